"""Loops over the rows and pairs of a batch, compiled by numba.

`bench.engine.grouped_loss` calls them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.compiled import compiled, reordered


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
