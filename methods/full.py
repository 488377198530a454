"""The uncompressed table: the ceiling that every curve is read against."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.method import Method, Rows


class Full(Method):
    """One row of `dim` values for each id."""

    name = "full"
    title = "Full table"
    role = "ceiling"
    family = "baseline"
    stores = "one table"
    budgeted = False

    def build(self) -> None:
        self.stored = Rows(self.table.ids, self.table.dim)

    def reset(self, generator: torch.Generator) -> None:
        self.stored.normal(self.table.std, generator)

    def forward(self, ids: Tensor) -> Tensor:
        return self.stored(ids)
