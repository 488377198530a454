"""Graded codes that start from a trained full table and learn from its scores, too."""

from __future__ import annotations

from typing import ClassVar

import torch
from bench.methods.graded import GradeBits
from bench.methods.graded_post import GradedPost

from bench.method import Field, LogRange, Phase, Table, project

_SMALLEST = 1e-12  # deviation that a start is divided by; a table of zeros stays one
_FURTHER = 0.1  # of the deviation of a start: that of columns that the teacher does not have


class Distilled(GradedPost):
    """Graded codes whose loss has a second term: it pulls their scores to a teacher's.

    The teacher is a full table. It is trained first, and its passes count: a third of the passes
    that other methods have is left for the codes. They start from the teacher's rows in fewer
    columns (`bench.method.factors.project`), scaled to the deviation that all rows start from. The
    second term is that of `bench.engine.distillation` (Hinton, Vinyals & Dean, 2015); the best
    known relative for recommenders is ranking distillation (Tang & Wang, KDD 2018). The file is
    that of `graded`.
    """

    name = "distilled"
    title = "Graded codes, distilled"
    paper = "this project"
    family = "mixed precision"
    phases: ClassVar[tuple[Phase, ...]] = (Phase("train"),)
    space: ClassVar = {**GradedPost.space, "distil": LogRange(1.0, 30.0)}

    class Config(GradedPost.Config):
        """As of `graded-post`. `distil`: weight of the second term; the objective has 1."""

        user_bits: GradeBits | None = None
        distil: float = Field(5.0, ge=0)

    @classmethod
    def plan(cls, table: Table, config: Config) -> Config:
        config = config.but(user_lengths=config.user_lengths or None)
        return cls.by_size(table, config, table.most_columns)

    @property
    def distillation(self) -> float:
        return float(self.config.distil)

    def reset(self, generator: torch.Generator) -> None:
        table, config = self.table, self.config
        assert table.teacher is not None
        width, power = min(config.width, table.dim), config.length_power
        lengths = bool(config.user_lengths)
        rows = project(table.teacher, table.users, width, generator, power, lengths)
        rows *= table.std / rows.std().clamp(min=_SMALLEST)
        # The teacher says nothing of further columns, and columns of zeros would stay as they are.
        more = torch.randn(table.ids, config.width - width, generator=generator)
        with torch.no_grad():
            self.stored.weight.copy_(torch.cat((rows, _FURTHER * table.std * more), 1))
