"""Fewer dimensions: the control at the same bytes that a compression method has to beat."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from bench.method import Bits, Choice, Method, Rows, Scale, Table, widen


class Dims(Method):
    """A full table with as many columns as the budget holds; the rest of a row is zero."""

    name = "dims"
    title = "Fewer dimensions"
    role = "control"
    family = "baseline"
    stores = "a table with fewer columns"
    space: ClassVar = {"bits": Choice((None,))}  # this control is the one in float32

    class Config(Method.Config):
        """`width`: columns stored."""

        width: int = 0

    @classmethod
    def plan(cls, table: Table, config: Config) -> Config:
        return cls.solve("width", table, config, low=1, high=table.most_columns)

    def build(self) -> None:
        self.stored = Rows(self.table.ids, self.config.width)

    @property
    def width(self) -> int:
        return self.config.width

    def reset(self, generator: torch.Generator) -> None:
        self.stored.normal(self.table.std, generator)

    def forward(self, ids: Tensor) -> Tensor:
        return widen(self.stored(ids), self.table)

    def outcome(self) -> str:
        return f"{self.config.width} columns of {self.config.bits or 32} bits"


class QuantisedDims(Dims):
    """Fewer dimensions at a low precision: the plainest way to spend few bytes well."""

    name = "dims-quantised"
    title = "Fewer dimensions, quantised"
    stores = "a table with fewer columns in few bits, lengths of items"
    revision = 2
    space: ClassVar = {"bits": Choice((3, 4, 6, 8), coarse=True), "scale": Choice(("row", "item"))}

    class Config(Dims.Config):
        """As `Dims`, in 4 bits; a user's row has length 1, an item's length is a byte."""

        bits: Bits | None = 4
        scale: Scale | None = "item"

    @classmethod
    def with_user_lengths(cls, config: Config) -> Config:  # type: ignore[override]
        return config if "scale" in config.model_fields_set else config.but(scale="row")
