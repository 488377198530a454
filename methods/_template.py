"""NAME: one line that says what it does.

Further hooks: bench/method/base.py and docs/own-method.md. Test: `bench check` with this file.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.method import Method, Rows, Table


class CLASS(Method):
    """Which row an id gets, as a formula; the paper and what differs from its code."""

    name = "NAME"
    title = "CLASS"
    paper = ""

    class Config(Method.Config):
        """`rows`: rows of the table, solved from the budget."""

        rows: int = 0

    @classmethod
    def plan(cls, table: Table, config: Config) -> Config:
        return cls.solve("rows", table, config, low=1, high=table.ids)

    def build(self) -> None:
        self.stored = Rows(self.config.rows, self.table.dim)

    def reset(self, generator: torch.Generator) -> None:
        self.stored.normal(self.table.std, generator)

    def forward(self, ids: Tensor) -> Tensor:
        return self.stored(ids % self.config.rows)
