"""Loops that are compiled by numba: the search of a ranking.

`bench.engine.scan` calls them and describes the search.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.compiled import compiled, reordered

CHUNK = 128  # scores that are compared with a bound together
_LANES = 32  # a loop of this length over four strided parts becomes vector instructions
_LOWEST = np.float32(np.finfo(np.float32).min)  # -inf, a masked score, is below it


@compiled
def kth_largest(values: NDArray[Any], size: int, k: int, work: NDArray[Any]) -> Any:
    """The k-th largest of values[:size] (Hoare's selection); `work` is overwritten."""
    for i in range(size):
        work[i] = values[i]
    low, high, place = 0, size - 1, k - 1
    while low < high:
        pivot = work[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while work[i] > pivot:
                i += 1
            while work[j] < pivot:
                j -= 1
            if i <= j:
                work[i], work[j] = work[j], work[i]
                i += 1
                j -= 1
        if place <= j:
            high = j
        elif place >= i:
            low = i
        else:
            break
    return work[place]


@compiled
def thin(values: NDArray[Any], columns: NDArray[Any], size: int, bound: Any) -> int:
    """Keep the entries of a row that reach a bound, in order; returns how many."""
    kept = 0
    for i in range(size):
        value, column = values[i], columns[i]
        values[kept], columns[kept] = value, column
        kept += value >= bound
    return kept


@compiled
def _mask(row: NDArray[Any], width: int, first: int, seen: NDArray[Any], at: int, end: int) -> int:
    """Give -inf to seen columns and to those from `width` on; returns the next seen column."""
    while at < end and seen[at] < first + width:
        row[seen[at] - first] = -np.inf
        at += 1
    row[width:] = -np.inf
    return at


@compiled
def _chunks_that_reach(
    row: NDArray[Any], number: int, bound: Any, rows: NDArray[Any], starts: NDArray[Any], found: int
) -> int:
    """Append the chunks of a row that hold a score of at least the bound; returns how many."""
    for start in range(0, len(row), CHUNK):
        part = row[start : start + CHUNK]
        reached = False
        for i in range(_LANES):
            reached |= (
                (part[i] >= bound)
                | (part[i + _LANES] >= bound)
                | (part[i + 2 * _LANES] >= bound)
                | (part[i + 3 * _LANES] >= bound)
            )
        # Written without a branch, which the processor could not foresee.
        rows[found], starts[found] = number, start
        found += reached
    return found


@compiled
def _last_that_reaches(part: NDArray[Any], size: int, bound: Any) -> Any:
    """The last place of part[:size] with a score of at least the bound, or -1."""
    last = np.int32(-1)
    for i in range(np.int32(size)):
        last = max(last, np.int32(i) if part[i] >= bound else np.int32(-1))
    return last


@compiled
def search(
    tile: NDArray[Any],
    width: int,
    first: int,
    seen: NDArray[Any],
    at: NDArray[Any],
    ends: NDArray[Any],
    values: NDArray[Any],
    columns: NDArray[Any],
    counts: NDArray[Any],
    bounds: NDArray[Any],
    slack: NDArray[Any],
    count: int,
    room: int,
    work: NDArray[Any],
) -> None:
    """Collect the scores of a tile that reach their row's bound.

    A row whose room is full raises its bound to its `count`-th best score less its slack. A row
    that is full of ties gives up: its count becomes -1.

    Args:
        tile: float32 [b, W], W a multiple of CHUNK; masked scores, and columns from `width` on,
            become -inf.
        width: columns that count.
        first: number of the tile's first column.
        seen: int32, columns to mask, rising within each row.
        at: int64 [b], where a row's columns of this tile start in `seen`; moved to the next tile.
        ends: int64 [b], where a row's columns end in `seen`.
        values: float32 [b, >= room], what was found so far.
        columns: int32 [b, >= room], the columns of these.
        counts: int64 [b], how many were found; -1 in rows that gave up.
        bounds: float32 [b]; all scores that reach it are collected.
        slack: float32 [b].
        count: wanted entries.
        room: entries that are collected before the bound is raised; more than `count`.
        work: float32 [>= room].
    """
    padded = (width + CHUNK - 1) // CHUNK * CHUNK
    rows = np.empty(len(tile) * padded // CHUNK + 1, np.int64)
    starts = np.empty(len(rows), np.int64)
    chunks = 0
    for r in range(len(tile)):
        row = tile[r, :padded]
        at[r] = _mask(row, width, first, seen, at[r], ends[r])
        if counts[r] >= 0:
            chunks = _chunks_that_reach(row, r, bounds[r], rows, starts, chunks)
    for chunk in range(chunks):
        r, start, found = rows[chunk], starts[chunk], counts[rows[chunk]]
        part = tile[r, start : start + CHUNK]
        place = _last_that_reaches(part, CHUNK, bounds[r]) if found >= 0 else -1
        while place >= 0:
            values[r, found], columns[r, found] = part[place], first + start + place
            found += 1
            if found == room:
                least = kth_largest(values[r], found, count, work)
                bounds[r] = max(bounds[r], least - slack[r])
                found = thin(values[r], columns[r], found, bounds[r])
                if found > room - room // 4:
                    found = -1
                    break
            place = _last_that_reaches(part, place, bounds[r])
        counts[r] = found


@compiled
def raise_bounds(
    values: NDArray[Any],
    columns: NDArray[Any],
    counts: NDArray[Any],
    bounds: NDArray[Any],
    slack: NDArray[Any],
    count: int,
    work: NDArray[Any],
) -> None:
    """Raise the bound of each row to its `count`-th best score less its slack, if it has one."""
    for r in range(len(counts)):
        if counts[r] >= count:
            least = kth_largest(values[r], counts[r], count, work)
            bounds[r] = max(bounds[r], least - slack[r])
            counts[r] = thin(values[r], columns[r], counts[r], bounds[r])


@reordered
def product(one: NDArray[Any], other: NDArray[Any]) -> Any:
    """The dot product of two float32 vectors, summed in float64 and rounded to float32."""
    total = np.float64(0.0)
    for k in range(len(one)):
        total += np.float64(one[k]) * np.float64(other[k])
    return np.float32(total)


@compiled
def _sort(scores: NDArray[Any], columns: NDArray[Any], start: int, stop: int) -> None:
    """Sort entries start to stop by falling score, ties by column, by insertion."""
    for i in range(start + 1, stop):
        score, column, place = scores[i], columns[i], i
        while place > start and (
            scores[place - 1] < score
            or (scores[place - 1] == score and columns[place - 1] > column)
        ):
            scores[place], columns[place] = scores[place - 1], columns[place - 1]
            place -= 1
        scores[place], columns[place] = score, column


@compiled
def decide(
    users: NDArray[Any],
    items: NDArray[Any],
    values: NDArray[Any],
    columns: NDArray[Any],
    counts: NDArray[Any],
    bounds: NDArray[Any],
    slack: NDArray[Any],
    best: NDArray[Any],
    work: NDArray[Any],
) -> None:
    """Order the collected entries by their products, summed in float64 and rounded to float32.

    Args:
        users: float32 [b, d].
        items: float32 [I, d].
        values: as of `search`.
        columns: likewise.
        counts: likewise.
        bounds: likewise.
        slack: likewise.
        best: int32 [b, count], the best columns, best first, ties by column; -1 in rows where
            the entries collected may not hold all of these.
        work: float32 [>= room].
    """
    count = best.shape[1]
    for r in range(len(counts)):
        best[r, 0] = -1
        if counts[r] < count:
            continue
        least = kth_largest(values[r], counts[r], count, work) - slack[r]
        if least < bounds[r]:  # entries below the bound, which were not collected, could count
            continue
        left = thin(values[r], columns[r], counts[r], least)
        scores, found = values[r], columns[r]
        _sort(scores, found, 0, left)
        start = 0
        while start < min(left, count):
            stop = start + 1
            while stop < left and scores[stop - 1] - scores[stop] <= slack[r]:
                stop += 1
            if stop > start + 1:
                for i in range(start, stop):
                    scores[i] = product(users[r], items[found[i]])
                _sort(scores, found, start, stop)
            start = stop
        best[r] = found[:count]
