"""Rows that are narrower than the table asked for: a knob that several methods share.

The number of columns that a method works in is a choice like any other, and at small budgets one
that decides: rows of 64 columns of which five are kept hardly meet each other, while five columns
of which four are kept do. A method that takes its columns from here stores and composes `width` of
them; the rest of a row is zero, which leaves dot products and cosines as they are.

Fewer bits a value can make room for more than a table of `dim` columns has use for. Then columns
are added until the budget is used (`fill_columns`), where the backbone takes wider rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from bench.budget import VALUE_BYTES
from bench.errors import Infeasible
from bench.method.base import AliasChoices, Choice, Field, Method, Table
from bench.method.precision import Storage

FILLED = 0.97  # share of a budget that has to be used before columns are added
WIDE = Choice((None, 1.05, 1.2, 1.5, 2.0, 3.0, 4.0, 6.0), coarse=True)  # what `bench tune` tries


def width_field(default: float | None) -> Any:
    """The knob `width_factor` with a default; records call it by an earlier name."""
    return Field(
        default,
        gt=0,
        validation_alias=AliasChoices("width_factor", "wide"),
        serialization_alias="wide",
    )


class Narrow(Method.Config):
    """Knobs of the columns.

    `width_factor`: how many, as a multiple of those that a plain table of the same size would have,
    so that one value serves all budgets; none: all `dim`. `width`: how many, solved from it.
    """

    width_factor: float | None = width_field(None)
    width: int | None = Field(None, ge=1)


_N = TypeVar("_N", bound=Narrow)


def solve_width(table: Table, config: _N) -> _N:
    """Set `width` from `width_factor` and the budget; keep a `width` that is set."""
    if config.width is not None or config.width_factor is None:
        return config
    storage = Storage.of(config)
    scale = storage.row_bytes(0) if storage else 0.0
    plain = max(0.0, table.cap.cap / table.ids - scale) / value_size(table, config)
    return config.but(width=min(table.most_columns, max(1, round(config.width_factor * plain))))


def fill_columns(
    kind: type[Method], table: Table, config: _N, solve: Callable[[_N], _N], step: int = 1
) -> _N:
    """Solve the size knobs; add columns where few bits a value leave much of the budget unused.

    Columns are as set. Where nobody set them they are `dim`, and more if values have fewer than 32
    bits, a row may be wider than `dim`, and less than 97 % of the budget is used otherwise.

    Args:
        kind: the method.
        table: what is wanted.
        config: before its size knobs are solved.
        solve: solves all size knobs but `width`.
        step: columns are added by so many.

    Raises:
        Infeasible: as of `solve`.
    """
    try:
        best = solve(solve_width(table, config))
    except Infeasible as error:
        confirm_minimum(kind, table, config, error)
        raise
    if best.width is not None or Storage.of(config) is None:
        return best

    def used(one: _N) -> int:
        return kind.file_size(table, one).of(table.cap)

    size = used(best)
    for width in range(table.dim + step, table.most_columns + 1, step):
        if size >= FILLED * table.cap.cap:
            break
        wider = solve(config.but(width=width))
        if (found := used(wider)) > size:
            best, size = wider, found
    return best


def confirm_minimum(
    kind: type[Method], table: Table, config: Method.Config, error: Infeasible
) -> None:
    """Raise with a larger minimum if the one that is named would not be enough.

    A smaller budget may allow fewer columns, so that a minimum from it need not hold at itself.

    Raises:
        Infeasible: with a minimum that is enough.
    """
    if error.minimum > table.cap.cap:
        kind.plan(replace(table, budget=replace(table.cap, cap=error.minimum)), config)


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
    """Fill rows with zeros up to `dim`: float32 [*, width] -> float32 [*, max(dim, width)].

    In training under a backbone that takes rows of any width they stay as they are: the training
    would only take the zeros away again.
    """
    missing = table.dim - rows.shape[-1]
    if missing <= 0 or (table.wide and torch.is_grad_enabled()):
        return rows
    return functional.pad(rows, (0, missing))
