"""Scaling rows by a power of their norms, row by row, in loops that numba compiles.

`bench.backbones.similarity` calls them.
"""

from __future__ import annotations

import math
from typing import Any

from numpy.typing import NDArray

from bench.compiled import reordered


@reordered
def scale_rows(
    rows: NDArray[Any], power: float, shortest: float, out: NDArray[Any], factors: NDArray[Any]
) -> None:
    """Rows over their norms to the power 1 - `power`.

    Args:
        rows: float [n, d].
        power: of the norm that is left.
        shortest: least norm that a row is divided by.
        out: [n, d], written.
        factors: [n], written: what each row was multiplied by; negative in rows that are shorter.
    """
    for i in range(len(rows)):
        row, scaled = rows[i], out[i]
        total = row[0] * row[0]
        for k in range(1, len(row)):
            total += row[k] * row[k]
        norm = math.sqrt(total)
        length = max(norm, shortest)
        factor = row.dtype.type(length ** (power - 1) if power else 1 / length)
        for k in range(len(row)):
            scaled[k] = row[k] * factor
        factors[i] = factor if norm > shortest else -factor


@reordered
def scaled_gradients(
    rows: NDArray[Any],
    grads: NDArray[Any],
    factors: NDArray[Any],
    power: float,
    out: NDArray[Any],
) -> None:
    """Gradients by rows from gradients by scaled rows.

    Args:
        rows: float [n, d].
        grads: [n, d].
        factors: as of `scale_rows`; the length of a row that is too short counts as constant.
        power: likewise.
        out: [n, d], written.
    """
    for i in range(len(rows)):
        row, grad, found = rows[i], grads[i], out[i]
        along, total = row[0] * grad[0], row[0] * row[0]
        for k in range(1, len(row)):
            along += row[k] * grad[k]
            total += row[k] * row[k]
        factor = abs(factors[i])
        back = row.dtype.type(0)
        if factors[i] > 0:
            back = row.dtype.type((power - 1) * along * factor / total)
        for k in range(len(row)):
            found[k] = grad[k] * factor + back * row[k]
