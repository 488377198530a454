"""Tables as a product of three small tensors."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

import numpy as np

from compact_lookup.container import File
from compact_lookup.values import Index, Rows, Values

_BATCH = 256  # ids at a time: each needs a slice of the middle core
_SHORTEST = np.float32(1e-12)  # shorter rows keep their direction, as in training


def _heights(ids: int) -> tuple[int, int, int]:
    """Slices of the cores."""
    third = round(ids ** (1 / 3))
    third += third**3 < ids
    second = ceil((ids / third) ** 0.5)
    return ceil(ids / third / second), second, third


def _widths(width: int, last: int | None) -> tuple[int, int, int]:
    """Parts of a row that the cores have."""
    splits = [
        (a, b, width // a // b)
        for a in range(1, width + 1)
        if width % a == 0
        for b in range(a, width // a + 1)
        if width // a % b == 0 and width // a // b >= b
    ]
    q1, q2, q3 = min(splits, key=lambda q: q[2] - q[0])
    if last is not None:
        q3 = max(q for q in range(1, min(last, width) + 1) if width // q2 % q == 0)
        q1 = width // q2 // q3
    return q1, q2, q3


def train(file: File) -> Callable[[Index], Rows]:
    """A row of id (i1 p2 + i2) p3 + i3 is the product of slices i1, i2 and i3."""
    (p1, p2, p3), config = _heights(file.ids), file.config
    q1, q2, q3 = _widths(file.columns, config.get("last"))
    rank1, rank2 = (file.whole(config[name], 2**24) for name in ("rank1", "rank2"))
    core1 = Values(file, "core1", (p1, q1, rank1))
    core2 = Values(file, "core2", (p2, q2, rank1, rank2))
    core3 = Values(file, "core3", (p3, q3, rank2))

    def look_up(ids: Index) -> Rows:
        found = np.empty((len(ids), file.columns), np.float32)
        for start in range(0, len(ids), _BATCH):
            some = ids[start : start + _BATCH]
            one = core1(some // p3 // p2).reshape(-1, 1, q1, rank1)
            two = core2(some // p3 % p2).reshape(-1, q2, rank1, rank2)
            three = core3(some % p3).reshape(-1, 1, q3, rank2)
            product = one @ two @ three.swapaxes(2, 3)
            found[start : start + _BATCH] = product.swapaxes(1, 2).reshape(len(some), -1)
        if config.get("unit_rows"):
            found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), _SHORTEST)
        return found

    return look_up


METHODS = {"ttrec": train}
