"""Rows of an array at whatever precision; only the rows that are asked for are decoded.

docs/storage.md describes the bytes. Codes of up to 4 bits are decoded several at a time: a byte, or
12 bits where codes have 3, is a place in a table of what its codes stand for. Longer codes are
whole numbers.
"""

from __future__ import annotations

from math import ceil, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compact_lookup.container import File
from compact_lookup.scales import Index, Rows, Scales, squares, unit_lengths

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
    """Finite float16 as float32, to the bit, and faster than NumPy's conversion.

    The bits of the exponent and of the fraction move to their places in a float32, whose exponent
    is then too small by 112: a product with 2^112 is exact, also for subnormal values.
    """
    bits = values.view(np.int16).astype(np.int32)
    bits <<= 13
    bits &= np.int32(-0x70000001)  # copies of the sign, in the three bits below it
    found = bits.view(np.float32)
    found *= np.float32(2.0**112)
    return found


def _pairs(raw: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Each 3 bytes as two numbers of 12 bits, in the halves of a word: the first one is low."""
    words = np.empty(raw.size // 3, "<u4")
    # Each is read with the first byte of the next.
    four: NDArray[np.uint32] = np.ndarray((len(words) - 1,), "<u4", raw, 0, (3,))
    np.bitwise_and(four, 0xFFFFFF, out=words[:-1])
    words[-1] = int.from_bytes(raw[-1, -3:].tobytes(), "little")
    high = words & 0xFFF000
    high *= 15
    words += high  # the bits of `high` stand 4 higher then
    return words


class Values:
    """An array of rows; call it with int64 [n] to have float32 [n, columns of a row].

    Args:
        file: the file.
        name: of the array.
        shape: of the array; single values are rows of one column.
        users: number of its first rows that are users'; None if users and items share rows.
        bits: of a value; None: as the settings of the method say.

        pruned: number of rows of the pruned table whose kept values the array holds; None for
            other arrays. Where these rows have scales of their own, only `unscaled` can be called.

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
        pruned: int | None = None,
    ) -> None:
        self.rows, self.columns, self.users = shape[0], prod(shape[1:]), users
        self.plain: NDArray[np.floating] | None = None
        if name in file.arrays:
            kind = np.float16 if file.arrays[name].dtype == np.float16 else np.float32
            self.plain = file.array(name, kind, shape).reshape(self.rows, self.columns)
            self.finite = kind == np.float16 and bool(np.isfinite(self.plain).all())
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
        self.scales = Scales(file, f"{name}.scale", pruned or self.rows, users)

    def _prepare(self, bits: int, levels: Rows, stream: NDArray[np.uint8]) -> None:
        self.bits, self.unit = bits, 12 if bits in (3, 6) else 8
        per = self.unit // bits
        self.units = units = ceil(self.columns / per)
        self.bytes = ceil(units * self.unit / 24) * 3 if self.unit == 12 else units
        self.stream: NDArray[np.uint8] | Windows = Windows(stream, self.bytes + 1)
        if self.columns * bits % 8 == 0:  # rows begin with a byte
            self.stream = stream.reshape(self.rows, self.columns * bits // 8)
        if bits > 4:
            return
        codes = np.arange(2**self.unit)[:, None] >> np.arange(0, self.unit, bits) & 2**bits - 1
        found = np.ascontiguousarray(levels[codes])
        # One item of as many bytes as its values have is looked up faster than a short row.
        item = {2: np.complex64, 4: np.complex128}.get(per)
        self.table = found.view(item).ravel() if item else found
        each = squares(levels)
        self.squares = each[codes].sum(1)
        rest = self.columns - (units - 1) * per  # codes in the last unit
        self.last, self.surplus = 2 ** (rest * bits) - 1, (per - rest) * each[0]

    def __call__(self, index: Index) -> Rows:
        """The rows at `index`, which must be within the array."""
        if self.plain is not None:
            found = self.plain.take(index, axis=0)
            return _widened(found) if self.finite else found.astype(np.float32, copy=False)
        if not len(index):
            return np.zeros((0, self.columns), np.float32)
        codes, found = self._codes(index)
        found *= self._scales(index, codes)
        return found[:, : self.columns]

    def unscaled(self, index: Index) -> Rows:
        """As a call, of rounded values, in units of their scales."""
        if not len(index):
            return np.zeros((0, self.columns), np.float32)
        return self._codes(index)[1][:, : self.columns]

    def _codes(self, index: Index) -> tuple[NDArray[Any], Rows]:
        """What is stored of each row, and what it stands for in units of its scale."""
        raw = self._bytes(index)
        if self.bits > 4:
            signed = self._signed(raw)
            return signed, signed.astype(np.float32)
        codes = self._numbers(raw)
        found = self.table.take(codes, axis=0, mode="wrap")  # the fastest; none is too large
        return codes, found.view(np.float32).reshape(len(index), -1)

    def _bytes(self, index: Index) -> NDArray[np.uint8]:
        """The bytes of each row, from its first bit on: [n, bytes]."""
        if isinstance(self.stream, np.ndarray):
            return self.stream.take(index, axis=0)
        start = index * (self.columns * self.bits)
        raw = self.stream[start >> 3]
        two: NDArray[np.uint16] = np.ndarray(
            (len(raw), self.bytes), "<u2", raw, 0, (raw.shape[1], 1)
        )
        return (two >> (start & 7).astype(np.uint16)[:, None]).astype(np.uint8)

    def _numbers(self, raw: NDArray[np.uint8]) -> NDArray[np.intp]:
        """The units of each row, [n, units]."""
        if self.unit == 8:
            return raw.astype(np.intp)
        pairs = _pairs(raw).view("<u2").reshape(len(raw), -1)
        return pairs[:, : self.units].astype(np.intp)

    def _signed(self, raw: NDArray[np.uint8]) -> NDArray[np.int8]:
        """What codes of 6 or 8 bits stand for, [n, columns]."""
        if self.bits == 6:
            pairs = _pairs(raw)
            high: NDArray[np.uint32] = pairs & np.uint32(0x0FC00FC0)
            high *= 3
            pairs += high  # the bits of `high` stand 2 higher then
            raw = pairs.view(np.uint8).reshape(len(raw), -1)
        raw -= np.uint8(2**self.bits >> 1)
        return raw.view(np.int8)[:, : self.columns]

    def _scales(self, index: Index, codes: NDArray[Any]) -> Rows:
        """The scale of each row, [n or 1, 1]."""
        scale = self.scales(index)
        if own := self.scales.own:
            mine = np.flatnonzero(index < own)
            scale[mine, 0] = self._unit_lengths(codes[mine])
        return scale

    def _unit_lengths(self, codes: NDArray[Any]) -> Rows:
        """Scales that give rows length 1; 0 for rows of zeros."""
        if self.bits > 4:
            wide = codes.astype(np.int32)
            return unit_lengths(np.einsum("ij,ij->i", wide, wide))
        if self.surplus:
            codes[:, -1] &= self.last
        return unit_lengths(self.squares.take(codes, mode="wrap").sum(1) - self.surplus)  # exact
