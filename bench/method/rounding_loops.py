"""Fitting rows to normal levels on a CPU, row by row, in loops that numba compiles.

`bench.method.rounding` calls them. Its own operations do the same in many passes over all rows.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.compiled import compiled, reordered

CHUNK = 1024  # values of a row that are rounded together, in the fastest cache


@compiled
def _nearest(
    values: NDArray[Any],
    scale: Any,
    borders: NDArray[Any],
    steps: NDArray[Any],
    size: NDArray[Any],
    out: NDArray[Any],
) -> None:
    """The normal level next to each value over a scale.

    Args:
        values: float32 [k].
        scale: float32; 1 is taken for 0.
        borders: between the positive levels, rising.
        steps: the lowest positive level, then by how much each exceeds the last.
        size: float32 [k], overwritten.
        out: float32 [k], written.
    """
    divisor = scale if scale > 0 else np.float32(1)
    count = len(values)
    for i in range(count):
        size[i] = abs(values[i] / divisor)
        out[i] = steps[0]
    for number in range(len(borders)):
        border, step = borders[number], steps[number + 1]
        for i in range(count):
            out[i] += step if size[i] > border else np.float32(0)
    for i in range(count):
        out[i] = np.copysign(out[i], values[i])


@compiled
def round_rows(
    rows: NDArray[Any],
    scales: NDArray[Any],
    borders: NDArray[Any],
    steps: NDArray[Any],
    units: NDArray[Any],
) -> None:
    """Levels of rows at given scales: float32 [n, k], [n] -> `units` [n, k]; as of `_nearest`."""
    size = np.empty(CHUNK, np.float32)
    for r in range(len(rows)):
        for start in range(0, rows.shape[1], CHUNK):
            stop = min(start + CHUNK, rows.shape[1])
            _nearest(rows[r, start:stop], scales[r], borders, steps, size, units[r, start:stop])


@reordered
def _extent(row: NDArray[Any]) -> Any:
    """The largest magnitude of a row and the root mean square."""
    most, total = np.float32(0), np.float32(0)
    for i in range(len(row)):
        most = max(most, abs(row[i]))
        total += row[i] * row[i]
    return most, math.sqrt(total / np.float32(len(row)))


@reordered
def _match(row: NDArray[Any], units: NDArray[Any]) -> Any:
    """The factor of least squared error, and a score that is larger where that error is smaller."""
    product, square = np.float32(0), np.float32(0)
    for i in range(len(row)):
        product += row[i] * units[i]
        square += units[i] * units[i]
    return product / square, product / math.sqrt(square)


@compiled
def _fit_row(
    row: NDArray[Any],
    shares: NDArray[Any],
    top: Any,
    borders: NDArray[Any],
    steps: NDArray[Any],
    trial: NDArray[Any],
    size: NDArray[Any],
    units: NDArray[Any],
) -> Any:
    """One row of `fit_rows`: float32 [k]; its factor. `trial` and `size` are overwritten."""
    start = -1 if top > 0 else 0
    best, factor = np.float32(0), np.float32(0)
    most, spread = _extent(row)
    for number in range(start, len(shares)):
        scale = most / top if number < 0 else spread * shares[number]
        _nearest(row, scale, borders, steps, size, trial)
        found, score = _match(row, trial)
        if number == start or score > best:
            best, factor = score, found
            units[:] = trial
    return factor


@compiled
def fit_rows(
    rows: NDArray[Any],
    kept: NDArray[Any],
    shares: NDArray[Any],
    top: Any,
    borders: NDArray[Any],
    steps: NDArray[Any],
    units: NDArray[Any],
    factors: NDArray[Any],
) -> None:
    """Levels and scale of each row, for the best of some choices of a scale.

    Args:
        rows: float32 [n, k].
        kept: bool [n, k], the entries that are fitted; the others are 0 in `units`. Without rows:
            all are fitted.
        shares: float32 [t], the scales to try, as shares of a row's root mean square.
        top: the highest level; the first scale to try is that at which the largest value of a row
            has it. 0: none.
        borders: as of `_nearest`.
        steps: likewise.
        units: float32 [n, k], written: levels.
        factors: float32 [n], written: the scale of least squared error; 0 where nothing is fitted.
    """
    width = rows.shape[1]
    trial, size = np.empty(width, np.float32), np.empty(width, np.float32)
    row, found = np.empty(width, np.float32), np.empty(width, np.float32)
    for r in range(len(rows)):
        if not len(kept):
            factors[r] = _fit_row(rows[r], shares, top, borders, steps, trial, size, units[r])
            continue
        count = 0
        for i in range(width):
            if kept[r, i]:
                row[count] = rows[r, i]
                count += 1
        factors[r] = 0
        if count:
            factors[r] = _fit_row(
                row[:count], shares, top, borders, steps, trial[:count], size, found[:count]
            )
        count = 0
        for i in range(width):
            units[r, i] = 0
            if kept[r, i]:
                units[r, i] = found[count]
                count += 1
