"""Truncated singular value decomposition of a trained table."""

from __future__ import annotations

from typing import ClassVar

import torch
from bench.methods.dims import Dims

from bench.method import Choice, Field, Table, project, with_scale


class SVD(Dims):
    """The rows of fewest columns whose products are nearest to those of a trained full table.

    The matrix of all scores is decomposed, not the table: see `bench.method.factors`. The columns
    are solved from the budget. Nothing is trained after that.
    """

    name = "svd"
    role = "method"
    title = "SVD of the full table"
    paper = "Eckart & Young, Psychometrika 1936"
    family = "post-training"
    paper_title = "The Approximation of One Matrix by Another of Lower Rank"
    year = 1936
    url = "https://doi.org/10.1007/BF02288367"
    needs: ClassVar = {"teacher"}
    phases = ()
    space: ClassVar = {"length_power": Choice((0.0, 0.25, 0.5, 1.0))}

    class Config(Dims.Config):
        """As of `Dims`. `length_power`: see `bench.method.factors.project`.

        `user_lengths`: whether users' rows have lengths, none: where rows are summed over a graph.
        The scale "item" is "row" then.
        """

        length_power: float = Field(0.5, ge=0, le=1)
        user_lengths: bool | None = None

    @classmethod
    def plan(cls, table: Table, config: Config) -> Config:
        return cls.solve("width", table, with_scale(config), low=1, high=table.dim)

    def reset(self, generator: torch.Generator) -> None:
        table, config = self.table, self.config
        assert table.teacher is not None
        lengths, power = bool(config.user_lengths), config.length_power
        rows = project(table.teacher, table.users, config.width, generator, power, lengths)
        with torch.no_grad():
            self.stored.weight.copy_(rows)
