"""Loops over the rows of a step, compiled by numba; for `bench.engine.postponed_adam`.

A row's moments and weight are read and written once. PyTorch's operations pass over all rows of a
step about 25 times, which takes three times as long.
"""

from __future__ import annotations

import math
from typing import Any

from numpy.typing import NDArray

from bench.compiled import compiled


@compiled
def current(
    rows: NDArray[Any],
    weight: NDArray[Any],
    m: NDArray[Any],
    v: NDArray[Any],
    last: NDArray[Any],
    missed: NDArray[Any],
    eps: float,
    out: NDArray[Any],
) -> None:
    """Weights of rows after the steps that they missed.

    Args:
        rows: int64 [n].
        weight: float [N, d].
        m: first moments, likewise.
        v: second moments, likewise.
        last: int64 [N], the last step of each row.
        missed: S by the last step.
        eps: of Adam.
        out: [n, d], written.
    """
    small = out.dtype.type(eps)
    for i in range(len(rows)):
        row = rows[i]
        move = missed[last[row]]
        old, first, second, new = weight[row], m[row], v[row], out[i]
        for k in range(len(new)):
            new[k] = old[k] - first[k] * move / (math.sqrt(second[k]) + small)


@compiled
def update(
    rows: NDArray[Any],
    now: NDArray[Any],
    grad: NDArray[Any],
    weight: NDArray[Any],
    m: NDArray[Any],
    v: NDArray[Any],
    last: NDArray[Any],
    fades: NDArray[Any],
    count: int,
    factors: NDArray[Any],
) -> None:
    """Do a step on rows.

    Args:
        rows: int64 [n], distinct.
        now: what `current` gave for them [n, d].
        grad: likewise.
        weight: [N, d], written.
        m: likewise.
        v: likewise.
        last: int64 [N], written.
        fades: [2, steps], what is left of both moments after some steps without a gradient.
        count: steps done before.
        factors: both betas, eps, the rate over 1 - beta1^step, and 1 / sqrt(1 - beta2^step); in an
            array of the table's type, so that all products are of that type.
    """
    beta1, beta2, eps, size, root = factors
    rest1, rest2 = 1 - beta1, 1 - beta2
    for i in range(len(rows)):
        row = rows[i]
        behind = count - last[row]
        keep1, keep2 = fades[0, behind] * beta1, fades[1, behind] * beta2
        old, by, new, first, second = now[i], grad[i], weight[row], m[row], v[row]
        for k in range(len(old)):
            one = first[k] * keep1 + by[k] * rest1
            two = second[k] * keep2 + by[k] * by[k] * rest2
            first[k], second[k] = one, two
            new[k] = old[k] - size * one / (math.sqrt(two) * root + eps)
        last[row] = count + 1
