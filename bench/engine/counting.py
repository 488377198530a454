"""A loop that counts the items above given ones, compiled by numba; for `bench.engine.places`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.compiled import compiled
from bench.engine.kernels import product


@compiled
def exact_scores(
    users: NDArray[Any],
    items: NDArray[Any],
    columns: NDArray[Any],
    starts: NDArray[Any],
    out: NDArray[Any],
) -> None:
    """Scores of each user's wanted items, summed in float64: float32 [n], written."""
    for r in range(len(users)):
        for k in range(starts[r], starts[r + 1]):
            out[k] = product(users[r], items[columns[k]])


@compiled
def _count(row: NDArray[Any], low: Any, high: Any) -> Any:
    """How many scores are above `high`, and how many of the others are at least `low`."""
    above, near = np.int32(0), np.int32(0)
    for i in range(np.int32(len(row))):
        above += np.int32(1) if row[i] > high else np.int32(0)
        near += np.int32(1) if row[i] >= low else np.int32(0)
    return above, near - above


@compiled
def count_above(
    tile: NDArray[Any],
    first: int,
    seen: NDArray[Any],
    at: NDArray[Any],
    ends: NDArray[Any],
    columns: NDArray[Any],
    starts: NDArray[Any],
    exact: NDArray[Any],
    slack: NDArray[Any],
    users: NDArray[Any],
    items: NDArray[Any],
    most: int,
    places: NDArray[Any],
) -> None:
    """Add how many items of a tile stand above each wanted item of a user.

    Args:
        tile: float32 [b, w], scores of the items from `first` on; those of seen ones become -inf.
        first: number of the tile's first column.
        seen: int32, columns to leave out, rising within each row.
        at: int64 [b], where a row's columns of this tile start in `seen`; moved to the next tile.
        ends: int64 [b], where a row's columns end in `seen`.
        columns: int32 [n], the wanted items, row by row.
        starts: int64 [b + 1], where a row's part of these starts.
        exact: float32 [n], their scores.
        slack: float32 [b]; scores of a tile are off by less.
        users: float32 [b, d].
        items: float32 [I, d].
        most: places from which on an item's place is of no interest.
        places: int64 [n], the counts so far; those that reach `most` stay somewhere above it.
    """
    width = tile.shape[1]
    for r in range(len(tile)):
        row = tile[r]
        while at[r] < ends[r] and seen[at[r]] < first + width:
            row[seen[at[r]] - first] = -np.inf
            at[r] += 1
        for k in range(starts[r], starts[r + 1]):
            if places[k] >= most:
                continue
            low, high = exact[k] - slack[r], exact[k] + slack[r]
            above, near = _count(row, low, high)
            places[k] += above
            own = columns[k] - first
            if near <= (1 if 0 <= own < width else 0):
                continue
            for i in range(width):
                if low <= row[i] <= high and i != own and places[k] < most:
                    score = product(users[r], items[first + i]) if slack[r] > 0 else row[i]
                    if score > exact[k] or (score == exact[k] and i < own):
                        places[k] += 1
