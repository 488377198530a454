"""The mean of layers on a CPU, 16 columns at a time, in loops that numba compiles.

A product with A gathers a row for each entry: on Gowalla 1.46 million rows of 64 columns, from a
table of 18 MB that no core's cache holds. 16 columns of it are 4.5 MB, and each half of the graph
reads only users or only items of them. So all layers are computed for 16 columns before the next
16, in arrays of these columns alone.

A = S P S, where P has only zeros and ones and S divides by the root of the degree. The arrays hold
rows that are divided already, so that a sum needs no factor for each entry.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.backbones.graph.vectors import LANES, add_row, add_to_rows, sum_rows
from bench.compiled import compiled

__all__ = ["LANES", "mean_of_some", "mean_to_all", "product"]


@compiled
def product(
    rows: NDArray[Any],
    starts: NDArray[Any],
    columns: NDArray[Any],
    scale: NDArray[Any],
    out: NDArray[Any],
) -> None:
    """S^2 P: float32 [N, 16] -> [N, 16], written into `out`."""
    for i in range(len(scale)):
        weight = scale[i] * scale[i]
        sum_rows(out, i * LANES, rows, 0, 0.0, rows, columns, starts[i], starts[i + 1], weight)


@compiled
def mean_of_some(
    rows: NDArray[Any],
    first: int,
    starts: NDArray[Any],
    columns: NDArray[Any],
    scale: NDArray[Any],
    layers: int,
    ids: NDArray[Any],
    out: NDArray[Any],
) -> None:
    """Rows `ids` of (E + A E + ... + A^L E) / (L + 1), in columns `first` to `first` + 16.

    Args:
        rows: E, float32 [N, dim], contiguous; dim is a multiple of 16.
        first: first column.
        starts: row starts of P, [N + 1].
        columns: columns of its ones.
        scale: the diagonal of S, float32 [N].
        layers: L, at least 1.
        ids: rows that are wanted, [n].
        out: float32 [n, dim], contiguous; written.
    """
    count, dim = rows.shape
    share = np.float32(1 / (layers + 1))
    now, after = np.empty((count, LANES), np.float32), np.empty((count, LANES), np.float32)
    for i in range(count):  # S E
        sum_rows(now, i * LANES, rows, i * dim + first, scale[i], now, columns, 0, 0, 0.0)
    for k in range(len(ids)):
        there = ids[k] * dim + first
        sum_rows(out, k * dim + first, rows, there, share, now, columns, 0, 0, 0.0)
    for _ in range(layers - 1):
        product(now, starts, columns, scale, after)
        now, after = after, now
        for k in range(len(ids)):
            add_row(out, k * dim + first, now, ids[k] * LANES, share / scale[ids[k]])
    for k in range(len(ids)):
        i, at = ids[k], k * dim + first
        weight = share * scale[i]
        sum_rows(out, at, out, at, 1.0, now, columns, starts[i], starts[i + 1], weight)


@compiled
def mean_to_all(
    grad: NDArray[Any],
    first: int,
    starts: NDArray[Any],
    columns: NDArray[Any],
    scale: NDArray[Any],
    layers: int,
    ids: NDArray[Any],
    out: NDArray[Any],
) -> None:
    """The transpose of `mean_of_some`: rows of `ids` -> rows of all.

    Args:
        grad: float32 [n, dim], contiguous; dim is a multiple of 16.
        first: first column.
        starts: as above.
        columns: as above.
        scale: as above.
        layers: as above.
        ids: rows that `grad` belongs to, [n].
        out: float32 [N, dim], contiguous; written.
    """
    count, dim = out.shape
    share = np.float32(1 / (layers + 1))
    divided = np.empty((len(ids), LANES), np.float32)  # S g
    for k in range(len(ids)):
        weight, there = scale[ids[k]], k * dim + first
        sum_rows(divided, k * LANES, grad, there, weight, divided, columns, 0, 0, 0.0)
    now, after = np.zeros((count, LANES), np.float32), np.empty((count, LANES), np.float32)
    square = scale * scale
    for k in range(len(ids)):  # S^2 P S g: few rows have a value, which are added to their columns
        i = ids[k]
        add_to_rows(now, columns, starts[i], starts[i + 1], square, divided, k * LANES)
    for layer in range(1, layers):
        if layer > 1:
            product(now, starts, columns, scale, after)
            now, after = after, now
        for k in range(len(ids)):
            add_row(now, ids[k] * LANES, divided, k * LANES, 1.0)
    for i in range(count):
        at, begin, end = i * dim + first, starts[i], starts[i + 1]
        if layers == 1:  # S times what was divided once too often
            sum_rows(out, at, now, i * LANES, share / scale[i], now, columns, 0, 0, 0.0)
        else:
            sum_rows(out, at, now, 0, 0.0, now, columns, begin, end, share * scale[i])
    for k in range(len(ids)):
        add_row(out, ids[k] * dim + first, grad, k * dim + first, share)
