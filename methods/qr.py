"""The quotient-remainder trick: an id is the pair of its quotient and its remainder."""

from __future__ import annotations

from math import ceil
from typing import Literal

import torch
from torch import Tensor

from bench.method import Infeasible, Method, Rows, Table
from bench.size import size_of


class QR(Method):
    """e_i = Q[i // c] * R[i mod c] (or their sum): no two ids share both rows.

    Of the two values of c that give the same size the smaller is taken (few ids share a quotient).
    Budgets between the sizes of c and c + 1 are not reached: rows are whole.
    """

    name = "qr"
    title = "QR trick"
    paper = "Shi et al., KDD 2020"

    class Config(Method.Config):
        """`combine`: how the two rows are joined; `divisor`: c."""

        combine: Literal["mult", "add"] = "mult"
        divisor: int = 0

    @classmethod
    def plan(cls, table: Table, config: Config) -> Config:
        if config.divisor:
            return config
        # The size falls with c up to about sqrt(N), unevenly because rows are whole: scan it.
        rows = {c: ceil(table.ids / c) + c for c in range(1, ceil(table.ids**0.5) + 1)}

        def size(divisor: int) -> int:
            return size_of(cls.arrays(table, config.but(divisor=divisor))).of(table.cap)

        values = table.cap.cap // (4 if table.cap.accounting == "bytes" else 1)
        for divisor, count in rows.items():
            if count * table.dim <= values and size(divisor) <= table.cap.cap:
                return config.but(divisor=divisor)
        smallest = min(rows, key=lambda c: rows[c])
        raise Infeasible(size(smallest), table.cap.accounting, "two partitions of the ids")

    def build(self) -> None:
        self.quotient = Rows(ceil(self.table.ids / self.config.divisor), self.table.dim)
        self.remainder = Rows(self.config.divisor, self.table.dim)

    def reset(self, generator: torch.Generator) -> None:
        # The reference code fills both from U(sqrt(1/N), 1): every product is positive and every
        # score starts near d/16. Centred factors give rows of the common scale instead.
        std = self.table.std
        factor = std**0.5 if self.config.combine == "mult" else std / 2**0.5
        self.quotient.normal(factor, generator)
        self.remainder.normal(factor, generator)

    def forward(self, ids: Tensor) -> Tensor:
        quotient = self.quotient(torch.div(ids, self.config.divisor, rounding_mode="floor"))
        remainder = self.remainder(ids % self.config.divisor)
        return quotient * remainder if self.config.combine == "mult" else quotient + remainder
