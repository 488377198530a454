"""Rows of an array at whatever precision; only the rows that are asked for are decoded.

docs/storage.md describes the bytes. Codes are decoded several at a time: a byte, or 12 bits where
codes of 3 or 6 bits lie, is a place in a table of what its codes stand for.
"""

from __future__ import annotations

from math import ceil, prod

import numpy as np
from numpy.typing import NDArray

from compact_lookup.container import File

Index = NDArray[np.int64]
Rows = NDArray[np.float32]
# Positive halves of the levels of least squared error for a normal distribution, by bits.
_NORMAL = {
    1: (0.7979,),
    2: (0.4528, 1.5104),
    3: (0.2451, 0.7560, 1.3439, 2.1519),
    4: (0.1284, 0.3880, 0.6568, 0.9423, 1.2562, 1.6180, 2.0690, 2.7326),
}


class Windows:
    """Some bytes of a stream from any place on; zeros follow the last byte."""

    def __init__(self, stream: NDArray[np.uint8], size: int) -> None:
        padded = np.zeros(len(stream) + size, np.uint8)
        padded[: len(stream)] = stream
        # Overlapping items of `size` bytes, which NumPy gathers faster than rows of single bytes.
        self.all: NDArray[np.void] = np.ndarray(
            (len(stream) + 1,), np.dtype((np.void, size)), padded, 0, (1,)
        )

    def __getitem__(self, place: Index) -> NDArray[np.uint8]:
        """Bytes that begin at `place`, int64 [...] -> uint8 [..., size]."""
        return self.all[place].view(np.uint8).reshape(*place.shape, self.all.itemsize)


def levels_of(bits: int, normal: bool) -> Rows:
    """What each code stands for, in units of its scale: float32 [2^bits]."""
    if not normal:
        return np.arange(2**bits, dtype=np.float32) - np.float32(2 ** (bits - 1))
    half = np.array(_NORMAL[bits], np.float32)
    half = np.cumsum(np.diff(half, prepend=np.float32(0)), dtype=np.float32)
    return np.concatenate((-half[::-1], half))


def _widened(values: NDArray[np.float16]) -> Rows:
    """float16 as float32, to the bit; for finite values faster than NumPy's conversion.

    The bits of the exponent and of the fraction move to their places in a float32, whose exponent
    is then too small by 112: a product with 2^112 is exact, also for subnormal values.
    """
    bits = values.view(np.uint16).astype(np.uint32)
    if ((bits & 0x7C00) == 0x7C00).any():  # infinite, or no number
        return values.astype(np.float32)
    found = ((bits & 0x8000) << 16 | (bits & 0x7FFF) << 13).view(np.float32)
    found *= np.float32(2.0**112)
    return found


class Values:
    """An array of rows; call it with int64 [n] to have float32 [n, columns of a row].

    Args:
        file: the file.
        name: of the array.
        shape: of the array; single values are rows of one column.
        users: number of its first rows that are users'; None if users and items share rows.
        bits: of a value; None: as the settings of the method say.

    Raises:
        BadFile: the file has no such array.
    """

    def __init__(
        self,
        file: File,
        name: str,
        shape: tuple[int, ...],
        users: int | None = None,
        bits: int | None = None,
    ) -> None:
        self.rows, self.columns, self.users = shape[0], prod(shape[1:]), users
        self.plain: NDArray[np.floating] | None = None
        if name in file.arrays:
            kind = np.float16 if file.arrays[name].dtype == np.float16 else np.float32
            self.plain = file.array(name, kind, shape).reshape(self.rows, -1)
            return
        bits = bits or file.config.get("bits") or 32
        if bits not in (1, 2, 3, 4, 6, 8):
            raise file.bad(f"the array {name!r} is missing, for {bits!r:.20} bits")
        normal = file.config.get("levels", "normal" if bits <= 4 else "uniform") == "normal"
        if (normal and bits > 4) or (bits == 1 and not normal):
            raise file.bad(f"no such levels for {bits} bits")
        size = ceil(self.rows * self.columns * bits / 8)
        stream = file.array(f"{name}.codes", np.uint8, (size,))
        self._prepare(bits, levels_of(bits, normal), stream)
        self._prepare_scales(file, f"{name}.scale")

    def _prepare(self, bits: int, levels: Rows, stream: NDArray[np.uint8]) -> None:
        self.bits, self.unit = bits, 12 if bits in (3, 6) else 8
        per = self.unit // bits
        units = ceil(self.columns / per)
        codes = np.arange(2**self.unit)[:, None] >> np.arange(0, self.unit, bits) & 2**bits - 1
        found = np.ascontiguousarray(levels[codes])
        # One item of as many bytes as its values have is looked up faster than a short row.
        item = {1: np.float32, 2: np.complex64, 4: np.complex128}.get(per)
        self.table = found.view(item).ravel() if item else found
        squares = np.rint(levels.astype(np.float64) ** 2 * 2.0**32) / 2.0**32
        self.squares = squares[codes].sum(1)
        rest = self.columns - (units - 1) * per  # codes in the last unit
        self.last, self.surplus = 2 ** (rest * bits) - 1, (per - rest) * squares[0]
        self.aligned = self.columns * bits % 8 == 0
        self.bytes = ceil(units * self.unit / 24) * 3 if self.unit == 12 else units
        self.units, self.ones = units, np.ones(units)
        self.stream = Windows(stream, self.bytes + (not self.aligned))

    def _prepare_scales(self, file: File, name: str) -> None:
        scale = file.arrays.get(name)
        if scale is None or scale.ndim != 1:
            raise file.bad(f"the array {name!r} is missing, or not a list")
        self.shared: Rows | None = None
        if scale.dtype == np.float32:
            self.shared = file.array(name, np.float32, (1 if self.users is None else 2,))
            return
        scale = file.array(name, np.uint8, scale.shape)
        few = file.config.get("scale_bits") == 4
        # Rows of length 1 need no scale: users' rows, or none.
        known = (self.users or 0, 0) if file.config.get("scale") == "item" else (0, self.users or 0)
        sizes = {
            own: ceil((self.rows - own) / 2) + 3 if few else self.rows - own + 2 for own in known
        }
        fitting = [own for own, size in sizes.items() if size == len(scale)]
        if not fitting:
            raise file.bad(f"{name!r} has {len(scale)} bytes for {self.rows} rows")
        self.own = fitting[0]
        first, step = int(scale[:2].view("<i2")[0]), int(scale[2]) if few else 1
        both = np.stack((scale[3:] & 15, scale[3:] >> 4), 1).ravel()  # the low half comes first
        self.places = both[: self.rows - self.own] if few else scale[2:]
        numbers = np.arange(16 if few else 256)
        self.powers = np.exp2((numbers * step + first) / 16.0).astype(np.float32)
        self.powers[0] = 0

    def __call__(self, index: Index) -> Rows:
        """The rows at `index`, which must be within the array."""
        if self.plain is not None:
            found = self.plain[index]
            return _widened(found) if found.dtype == np.float16 else found
        if not len(index):
            return np.zeros((0, self.columns), np.float32)
        raw = self._numbers(index)
        numbers = raw.astype(np.intp)  # taken faster, and twice at times
        if self.bits == 8:  # uniform levels, which arithmetic gives faster than a table
            found = raw.astype(np.float32)
            found -= 128
        else:
            found = self.table.take(numbers, axis=0, mode="clip")  # no number is too large
            found = found.view(np.float32).reshape(len(index), -1)
        found *= self._scales(index, numbers)
        return found[:, : self.columns]

    def _numbers(self, index: Index) -> NDArray[np.unsignedinteger]:
        """The units of each row, [n, units]."""
        start = index * (self.columns * self.bits)
        raw = self.stream[start >> 3]
        if not self.aligned:
            shift = (start & 7).astype(np.uint8)[:, None]
            raw = (raw[:, :-1] >> shift) | (raw[:, 1:] << (8 - shift))
        if self.unit == 8:
            return raw
        # Two bytes from the first and from the second of each three hold 12 bits that are wanted.
        shape, steps = (len(raw), self.bytes // 3), (raw.strides[0], 3)
        low: NDArray[np.uint16] = np.ndarray(shape, "<u2", raw, 0, steps)
        high: NDArray[np.uint16] = np.ndarray(shape, "<u2", raw, 1, steps)
        pairs = np.empty((*shape, 2), np.uint16)
        np.bitwise_and(low, 4095, out=pairs[..., 0])
        np.right_shift(high, 4, out=pairs[..., 1])
        return pairs.reshape(len(index), -1)[:, : self.units]

    def _scales(self, index: Index, numbers: NDArray[np.intp]) -> Rows:
        """The scale of each row, [n or 1, 1]."""
        if self.shared is not None:
            if self.users is None:
                return self.shared[:, None]
            return self.shared[(index >= self.users).astype(np.intp)][:, None]
        if not self.own:
            return self.powers[self.places[index]][:, None]
        if self.own == self.rows:
            return self._unit_lengths(numbers)[:, None]
        scale = self.powers[self.places[np.maximum(index - self.own, 0)]]
        mine = np.flatnonzero(index < self.own)
        scale[mine] = self._unit_lengths(numbers[mine])
        return scale[:, None]

    def _unit_lengths(self, numbers: NDArray[np.intp]) -> Rows:
        """Scales that give rows length 1; 0 for rows of zeros."""
        if self.surplus:
            numbers[:, -1] &= self.last
        squares = self.squares.take(numbers, mode="clip") @ self.ones  # exact
        length = np.sqrt(squares - self.surplus).astype(np.float32)
        return np.divide(1, length, out=np.zeros_like(length), where=length > 0)
