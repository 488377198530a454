"""Scales of rounded rows: one a row, one a side, or none where a row has length 1.

docs/storage.md describes the bytes.
"""

from __future__ import annotations

from math import ceil

import numpy as np
from numpy.typing import NDArray

from compact_lookup.container import File

Index = NDArray[np.int64]
Rows = NDArray[np.float32]


class Scales:
    """The scales of an array.

    Args:
        file: the file.
        name: of the list of scales.
        rows: number of rows of the array.
        users: number of its first rows that are users'; None if users and items share rows.

    Attributes:
        shared: float32 [1 or 2], those of all rows or of users and items; None: each has its own.
        own: the number of rows, the first ones, that have length 1 and no scale in the file.

    Raises:
        BadFile: the file has no such list, or one of another length.
    """

    def __init__(self, file: File, name: str, rows: int, users: int | None) -> None:
        self.users, self.own = users, 0
        self.shared: Rows | None = None
        scale = file.arrays.get(name)
        if scale is None or scale.ndim != 1:
            raise file.bad(f"the array {name!r} is missing, or not a list")
        if scale.dtype == np.float32:
            self.shared = file.array(name, np.float32, (1 if users is None else 2,))
            return
        scale = file.array(name, np.uint8, scale.shape)
        few = file.config.get("scale_bits") == 4
        # Rows of length 1 need no scale: users' rows, or none.
        known = (users or 0, 0) if file.config.get("scale") == "item" else (0, users or 0)
        sizes = {own: ceil((rows - own) / 2) + 3 if few else rows - own + 2 for own in known}
        fitting = [own for own, size in sizes.items() if size == len(scale)]
        if not fitting:
            raise file.bad(f"{name!r} has {len(scale)} bytes for {rows} rows")
        self.own = fitting[0]
        first, step = int(scale[:2].view("<i2")[0]), int(scale[2]) if few else 1
        both = np.stack((scale[3:] & 15, scale[3:] >> 4), 1).ravel()  # the low half comes first
        self.places = both[: rows - self.own] if few else scale[2:]
        numbers = np.arange(16 if few else 256)
        self.powers = np.exp2((numbers * step + first) / 16.0).astype(np.float32)
        self.powers[0] = 0

    def __call__(self, index: Index) -> Rows:
        """The scale of each row, [n or 1, 1]; that of a row without one may be any."""
        if self.shared is not None:
            if self.users is None:
                return self.shared[:, None]
            return self.shared.take(index >= self.users)[:, None]
        if not len(self.places):
            return np.ones((len(index), 1), np.float32)
        place = np.maximum(index - self.own, 0) if self.own else index
        return self.powers.take(self.places.take(place))[:, None]


def squares(units: Rows) -> NDArray[np.float64]:
    """Squares as multiples of 2^-32, which float64 adds exactly: float32 [*] -> [*]."""
    return np.rint(units.astype(np.float64) ** 2 * 2.0**32) / 2.0**32


def unit_lengths(sums: NDArray[np.floating] | NDArray[np.integer]) -> Rows:
    """Scales that give rows length 1, from their sums of squares; 0 for rows of zeros: [n]."""
    length = np.sqrt(sums).astype(np.float32)
    return np.divide(1, length, out=np.zeros_like(length), where=length > 0)
