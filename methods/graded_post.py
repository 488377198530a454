"""Graded codes of a trained table, without training after that."""

from __future__ import annotations

from typing import ClassVar

import torch
from bench.methods.graded import GradeBits, Graded

from bench.method import Choice, Field, Phase, Table, project


class GradedPost(Graded):
    """The rows of a trained full table in graded codes, with as many columns as the budget holds.

    Fewer columns than the table has come from `bench.method.factors.project`. `graded` trains with
    its codes instead.
    """

    name = "graded-post"
    title = "Graded codes after training"
    paper = "this project"
    family = "post-training"
    needs: ClassVar = {"teacher"}
    phases: ClassVar[tuple[Phase, ...]] = ()
    space: ClassVar = {**Graded.space, "length_power": Choice((0.0, 0.25, 0.5, 1.0))}

    class Config(Graded.Config):
        """As of `graded`. `length_power`: see `bench.method.factors.project`.

        Columns that are left out of a trained table cost more than bits, so users have 3 bits.
        """

        user_bits: GradeBits | None = 3
        length_power: float = Field(0.5, ge=0, le=1)
        aware: float | None = None  # nothing is trained

    @classmethod
    def plan(cls, table: Table, config: Config) -> Config:
        config = config.but(user_lengths=config.user_lengths or None)
        return cls.by_size(table, config, table.dim)

    def reset(self, generator: torch.Generator) -> None:
        table, config = self.table, self.config
        assert table.teacher is not None
        lengths, power = bool(config.user_lengths), config.length_power
        rows = project(table.teacher, table.users, config.width, generator, power, lengths)
        with torch.no_grad():
            self.stored.weight.copy_(rows)
