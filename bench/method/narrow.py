"""Rows that are narrower than the table asked for: a knob that several methods share.

The number of columns that a method works in is a choice like any other, and at small budgets one
that decides: rows of 64 columns of which five are kept hardly meet each other, while five columns
of which four are kept do. A method that takes its columns from here stores and composes `width` of
them; the rest of a row is zero, which leaves dot products and cosines as they are.
"""

from __future__ import annotations

from typing import TypeVar

from torch import Tensor
from torch.nn import functional

from bench.budget import VALUE_BYTES
from bench.method.base import AliasChoices, Choice, Field, Method, Table
from bench.method.precision import Storage

WIDE = Choice((None, 1.2, 1.5, 2.0, 3.0, 4.0, 6.0))  # what `bench tune` tries


class Narrow(Method.Config):
    """Knobs of the columns.

    `width_factor`: how many, as a multiple of those that a plain table of the same size would have,
    so that one value serves all budgets; none: all `dim`. `width`: how many, solved from it.
    """

    width_factor: float | None = Field(
        None,
        gt=0,
        validation_alias=AliasChoices("width_factor", "wide"),
        serialization_alias="wide",
    )
    width: int | None = Field(None, ge=1)


_N = TypeVar("_N", bound=Narrow)


def solve_width(table: Table, config: _N) -> _N:
    """Sets `width` from `width_factor` and the budget; keeps a `width` that is set."""
    if config.width is not None or config.width_factor is None:
        return config
    storage = Storage.of(config)
    scale = storage.row_bytes(0) if storage else 0.0
    plain = max(0.0, table.cap.cap / table.ids - scale) / value_size(table, config)
    return config.but(width=min(table.most_columns, max(1, round(config.width_factor * plain))))


def value_size(table: Table, config: Method.Config) -> float:
    """What a value counts for in the budget: bytes, less than 4 at a lower precision, or 1."""
    storage = Storage.of(config)
    if table.cap.accounting == "values":
        return 1.0
    return storage.bits / 8 if storage else float(VALUE_BYTES)


def columns(table: Table, config: Narrow) -> int:
    """Columns that a method works in."""
    return table.dim if config.width is None else config.width


def widen(rows: Tensor, table: Table) -> Tensor:
    """Fills rows with zeros up to `dim`: float32 [*, width] -> float32 [*, max(dim, width)]."""
    missing = table.dim - rows.shape[-1]
    return functional.pad(rows, (0, missing)) if missing > 0 else rows
