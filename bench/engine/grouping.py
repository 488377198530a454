"""Loops over the rows and pairs of a batch, compiled by numba.

`bench.engine.grouped_loss` calls them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.compiled import compiled, reordered

CHUNK = 64  # scores that are compared with a margin together


@compiled
def group(places: NDArray[Any], size: int) -> tuple[Any, Any, Any, Any]:
    """Group equal numbers.

    Args:
        places: int64 [n], each in 0..size-1.
        size: how many numbers there can be.

    Returns:
        int64: the distinct numbers, rising [m]; where the group of each starts [m + 1] in the
        order of groups; this order, as places in `places` [n]; the group of each of these [n].
    """
    counts = np.zeros(size, np.int64)
    for place in places:
        counts[place] += 1
    found, starts = np.empty(size, np.int64), np.zeros(size + 1, np.int64)
    groups = 0
    for number in range(size):
        count = counts[number]
        if count:
            found[groups] = number
            starts[groups + 1] = starts[groups] + count
            counts[number] = groups
            groups += 1
    order, owner = np.empty(len(places), np.int64), np.empty(len(places), np.int64)
    nexts = starts[:groups].copy()
    for i in range(len(places)):
        its = counts[places[i]]
        order[nexts[its]], owner[nexts[its]] = i, its
        nexts[its] += 1
    return found[:groups], starts[: groups + 1], order, owner


@reordered
def longest(rows: NDArray[Any]) -> Any:
    """The largest sum of squares of a row, float [n, width]."""
    most = 0.0
    for i in range(len(rows)):
        row = rows[i]
        total = row[0] * row[0]
        for k in range(1, len(row)):
            total += row[k] * row[k]
        most = max(most, total)
    return most


@reordered
def pair_scores(
    rows: NDArray[Any], users: NDArray[Any], items: NDArray[Any], scale: float, out: NDArray[Any]
) -> None:
    """Scaled dot products of pairs of rows: float [n, width], int64 [B] and [B] -> `out` [B]."""
    for i in range(len(users)):
        one, other = rows[users[i]], rows[items[i]]
        total = one[0] * other[0]
        for k in range(1, len(one)):
            total += one[k] * other[k]
        out[i] = total * scale


@compiled
def softmax_pairs(
    above: NDArray[Any],
    owners: NDArray[Any],
    totals: NDArray[Any],
    count: int,
    pull: NDArray[Any],
    share: NDArray[Any],
) -> float:
    """The softmax of each pair's score among the negatives of its user.

    Args:
        above: scores of pairs [b].
        owners: user of each pair [b].
        totals: sums of the exponentials of each user's negatives [u]; 1 or more where scores are
            large, so that no difference of scores over- or underflows.
        count: pairs of the whole batch.
        pull: [b], written: the derivative of the batch's mean loss by the score of a pair.
        share: [u], written: what an exponential has to be multiplied by to be that by its score.

    Returns:
        The sum of the losses.
    """
    loss = 0.0
    share[:] = 0
    for i in range(len(above)):
        rest = totals[owners[i]]
        if above[i] > 0:  # everything over the exponential of the pair's score
            rest *= math.exp(-above[i])
            own = 1 / ((1 + rest) * count)
            share[owners[i]] += math.exp(-above[i]) * own
            loss += math.log1p(rest)
        else:
            own = 1 / ((math.exp(above[i]) + rest) * count)
            share[owners[i]] += own
            loss += math.log(math.exp(above[i]) + rest) - above[i]
        # The derivative is minus the probability of a negative.
        pull[i] = -rest * own
    return loss


@compiled
def add_pairs(
    rows: NDArray[Any],
    users: NDArray[Any],
    items: NDArray[Any],
    pull: NDArray[Any],
    out: NDArray[Any],
) -> None:
    """Add to each row of a pair the other one times `pull` [B]: [n, width] -> `out`, likewise."""
    for i in range(len(users)):
        factor = pull[i]
        one, other = rows[users[i]], rows[items[i]]
        by_one, by_other = out[users[i]], out[items[i]]
        for k in range(len(by_one)):
            by_one[k] += factor * other[k]
        for k in range(len(by_other)):
            by_other[k] += factor * one[k]


@compiled
def _any_above(part: NDArray[Any], margin: Any) -> Any:
    """Whether one of `CHUNK` scores is above a margin."""
    found = np.int32(0)  # a sum of 32 bits becomes vector instructions
    for i in range(np.int32(CHUNK)):
        found += np.int32(1) if part[i] > margin else np.int32(0)
    return found > 0


@compiled
def above_margin(
    scores: NDArray[Any],
    margin: Any,
    counts: NDArray[Any],
    sums: NDArray[Any],
    starts: NDArray[Any],
    columns: NDArray[Any],
) -> bool:
    """Find the scores above a margin.

    Args:
        scores: [u, k].
        margin: of the type of the scores, so that a comparison needs no conversion.
        counts: [k], how often each column counts.
        sums: float64 [u], written: of what each row has above the margin.
        starts: int64 [u + 1], written: where the columns of each row start.
        columns: int32, written: of the scores above the margin, row by row.

    Returns:
        Whether there was room for all of them. Otherwise what was written means nothing.
    """
    found, width = 0, scores.shape[1]
    for i in range(len(scores)):
        row, total = scores[i], 0.0
        starts[i] = found
        for start in range(0, width, CHUNK):
            end = min(start + CHUNK, width)
            if end - start == CHUNK and not _any_above(row[start:end], margin):
                continue
            for j in range(start, end):
                if row[j] > margin:
                    if found == len(columns):
                        return False
                    columns[found] = j
                    found += 1
                    total += counts[j] * (row[j] - margin)
        sums[i] = total
    starts[len(scores)] = found
    return True


@compiled
def add_few(
    items: NDArray[Any],
    counts: NDArray[Any],
    own: NDArray[Any],
    starts: NDArray[Any],
    columns: NDArray[Any],
    by_user: NDArray[Any],
    by_item: NDArray[Any],
) -> None:
    """Products with a sparse matrix of ones, as `above_margin` finds it.

    Args:
        items: rows of negatives [k, width].
        counts: how often the batch has each negative [k].
        own: rows of users times their share [u, width].
        starts: int64 [u + 1].
        columns: int32 [n].
        by_user: [u, width], written: for each user the sum of its negatives' rows, with counts.
        by_item: [k, width], added to: for each negative the sum of its users' `own`.
    """
    for i in range(len(own)):
        mine, me = by_user[i], own[i]
        mine[:] = 0
        for at in range(starts[i], starts[i + 1]):
            column = columns[at]
            other, theirs, count = items[column], by_item[column], counts[column]
            for k in range(len(mine)):
                mine[k] += count * other[k]
            for k in range(len(theirs)):
                theirs[k] += me[k]
