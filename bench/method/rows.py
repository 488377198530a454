"""A table of rows that can be looked up, and updated at the cost of the rows looked up."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.method.bags import sums_of_rows
from bench.method.straight_through import Rounding


class Reader(Protocol):
    """What an optimiser puts into a table while it trains it."""

    def read(self, index: Tensor) -> Tensor:
        """Rows at `index`, as differentiable inputs of the loss."""

    def distinct(self, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rows likewise, each once: [n, dim], their numbers [n], and their places as `index`."""


class Rows(nn.Module):
    """Embedding table float32 [rows, dim].

    Like `torch.nn.Embedding`. The difference is in training: an optimiser that knows how to
    postpone the updates of rows that a batch does not touch reads the table through `reader`, and
    `rounding` gives rows as the file will hold them.

    Attributes:
        users: how many of the first rows are users'; None where users and items share rows. Only
            some scales of rounded values ask for it; known by itself where a row is an id.
    """

    def __init__(self, rows: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(rows, dim))
        self.reader: Reader | None = None
        self.rounding: Rounding | None = None
        self.users: int | None = None

    def normal(self, std: float, generator: torch.Generator) -> None:
        """Fill the table from N(0, std^2).

        Drawn on the CPU, so that every device starts from the same weights.
        """
        with torch.no_grad():
            self.weight.copy_(torch.randn(self.weight.shape, generator=generator).mul_(std))

    def signs(self, generator: torch.Generator) -> None:
        """Fill the table with 1 and -1, drawn on the CPU."""
        with torch.no_grad():
            drawn = torch.randint(2, self.weight.shape, generator=generator)
            self.weight.copy_(drawn * 2 - 1)

    def forward(self, index: Tensor) -> Tensor:
        """Rows at `index`: int64 [*] -> float32 [*, dim]."""
        rounding = self.rounding
        if not torch.is_grad_enabled():
            # All of the table, so that what is validated is the file to the bit.
            table = self.weight if rounding is None else rounding.whole(self.weight)
            return functional.embedding(index, table)
        if rounding is None or not rounding.active:
            return self._read(index)
        if index.numel() <= len(self.weight):
            return rounding.straight(self._read(index), index)
        every = torch.arange(len(self.weight), device=self.weight.device)
        return functional.embedding(index, rounding.straight(self._read(every), every))

    def sums(self, index: Tensor) -> Tensor:
        """Sums of rows over the last axis: int64 [*, k] -> float32 [*, dim]."""
        if not torch.is_grad_enabled() or self.reader is None:
            return self(index).sum(-2)
        rows, numbers, places = self.reader.distinct(index)
        if self.rounding is not None and self.rounding.active:
            rows = self.rounding.straight(rows, numbers)
        return sums_of_rows(rows, places)

    def _read(self, index: Tensor) -> Tensor:
        if self.reader is None:
            return functional.embedding(index, self.weight)
        return self.reader.read(index)
