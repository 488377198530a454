"""Pruned tables: the values that are left, and a code for where they are."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

import numpy as np
from numpy.typing import NDArray

from compact_lookup.container import File
from compact_lookup.readers.fields import locate, parts
from compact_lookup.scales import Index, Rows, Scales, squares, unit_lengths
from compact_lookup.values import Values, Windows

_STRIDE = 8  # rows between those whose first value is known without counting
_ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(1, dtype=np.float32)


class Numbers:
    """Whole numbers of some bits each in one stream, the most significant bit first."""

    def __init__(self, stream: NDArray[np.uint8], bits: int) -> None:
        self.bits, self.stream = np.uint64(bits), Windows(stream, 8)

    def __call__(self, index: Index) -> Index:
        """The numbers at `index`."""
        start = index.astype(np.uint64) * self.bits
        raw = (
            self.stream[(start >> np.uint64(3)).astype(np.int64)]
            .view(">u8")[:, 0]
            .astype(np.uint64)
        )
        high = np.uint64(64) - self.bits
        return (raw << (start & np.uint64(7)) >> high).astype(np.int64)


def _ones(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Bits that are set in each word: of neighbouring bits, pairs, halves of bytes, bytes."""
    one, two, four, eight = (np.uint64(n) for n in (1, 2, 4, 56))
    words = words - (words >> one & np.uint64(0x5555555555555555))
    low = np.uint64(0x3333333333333333)
    words = (words & low) + (words >> two & low)
    words = words + (words >> four) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return words * np.uint64(0x0101010101010101) >> eight


class _Pruned:
    """A table of which `kept` values are stored: int64 [n] -> float32 [n, columns]."""

    def __init__(self, file: File, rows: int, columns: int) -> None:
        self.file, self.rows, self.columns = file, rows, columns
        self.scales: Scales | None = None
        # Other scales do not ask which rows are users'.
        users = file.users if rows == file.ids and file.config.get("scale") == "item" else None
        self.kept = file.whole(file.config["kept"], rows * columns)
        self.mask = self.counts = None
        if "stored.mask" in file.arrays:
            mask = file.array("stored.mask", np.uint8, (ceil(rows * columns / 8),))
            self.mask = Windows(mask, ceil(columns / 8) + 1)
            self.blocks = Windows(mask, ceil(columns / 8) * 8)
            bit = np.arange(self.blocks.all.itemsize * 8)
            earlier = bit < np.arange(_STRIDE)[:, None] * columns
            self.earlier = np.packbits(earlier, axis=1)
        elif "stored.counts" in file.arrays:
            bits, place = columns.bit_length(), max(1, (columns - 1).bit_length())
            counts = file.array("stored.counts", np.uint8, (ceil(rows * bits / 8),))
            places = file.array("stored.columns", np.uint8, (ceil(self.kept * place / 8),))
            self.counts, self.places = Numbers(counts, bits), Numbers(places, place)
        else:
            self.values = Values(file, "stored", (rows, columns), users)
            return
        self.values = Values(file, "stored", (self.kept,), users, pruned=rows)
        if self.values.plain is None and self.values.scales.shared is None:
            self.scales = self.values.scales
        firsts, total = [], 0
        for start in range(0, rows, 4096 * _STRIDE):
            some = self._count(np.arange(start, min(rows, start + 4096 * _STRIDE)))
            firsts.append(total + np.cumsum(some)[_STRIDE - 1 :: _STRIDE])
            total += int(some.sum())
        self.firsts = np.concatenate(([0], *firsts))
        if total != self.kept:
            raise file.bad(f"{total} values have a place, {self.kept} are stored")

    def _mask(self, index: Index) -> NDArray[np.uint8]:
        """Which entries of rows are kept, a bit each: [n, bytes of a row]."""
        assert self.mask is not None
        start = index * self.columns
        shift, raw = (start & 7).astype(np.uint8)[:, None], self.mask[start >> 3]
        raw = (raw[:, :-1] << shift) | (raw[:, 1:] >> (8 - shift))
        raw[:, -1] &= 256 - 2 ** (-self.columns % 8)
        return raw

    def _count(self, index: Index) -> Index:
        """How many values rows keep."""
        if self.counts is not None:
            return self.counts(index)
        ones = _ONES.take(self._mask(index))
        return (ones @ np.ones(ones.shape[1], np.float32)).astype(np.int64)

    def _before(self, index: Index) -> Index:
        """How many values the rows keep that stand between a row and the last known place."""
        if self.mask is not None:
            # Eight rows begin at a byte, and have as many bytes as a row has columns.
            bits = self.blocks[index // _STRIDE * self.columns]
            bits &= self.earlier[index % _STRIDE]
            return _ones(bits.view(np.uint64)).sum(1).astype(np.int64)
        near = index[:, None] // _STRIDE * _STRIDE + np.arange(_STRIDE)
        within = near < index[:, None]
        counts = self._count(np.minimum(near, self.rows - 1).ravel())
        return (counts.reshape(near.shape) * within).sum(1)

    def _columns(self, index: Index, place: Index) -> Index:
        """Columns of the values of rows, one row after the other."""
        if self.mask is None:
            return self.places(place)
        kept = np.unpackbits(self._mask(index), axis=1)
        return np.flatnonzero(kept.view(bool)) % kept.shape[1]  # a flat search of bools is fast

    def __call__(self, index: Index) -> Rows:
        """The rows at `index`."""
        if self.mask is None and self.counts is None:
            return self.values(index)
        first, count = self.firsts[index // _STRIDE] + self._before(index), self._count(index)
        row = np.repeat(np.arange(len(index)), count)
        place = np.arange(len(row)) + np.repeat(first - (np.cumsum(count) - count), count)
        column = self._columns(index, place)
        if len(column) and int(column.max()) >= self.columns:
            raise self.file.bad("a value lies outside of its row")
        found = np.zeros((len(index), self.columns), np.float32)
        if self.scales is None:
            found[row, column] = self.values(place)[:, 0]
            return found
        found[row, column] = self.values.unscaled(place)[:, 0]
        scale = self.scales(index)
        mine = np.flatnonzero(index < self.scales.own)
        scale[mine, 0] = unit_lengths(squares(found[mine]).sum(1))
        return found * scale


def pruned(file: File) -> Callable[[Index], Rows]:
    """One table with a row for each id."""
    return _Pruned(file, file.ids, file.columns)


def composed(file: File) -> Callable[[Index], Rows]:
    """Sums of two rows: at the remainder by the buckets, and at the block of neighbours."""
    joint = bool(file.config["joint"])
    buckets, layout, rows = file.whole(file.config["buckets"], file.ids), [], 0
    for ids in parts(file, joint):
        own = max(1, round(buckets * ids / file.ids))
        block = ceil(ids / own)
        layout.append((rows, own, block))
        rows += own + ceil(ids / block)
    first, modulus, block = np.array(layout).T
    table = _Pruned(file, rows, file.columns)

    def look_up(ids: Index) -> Rows:
        part, number = locate(file, joint, ids)
        one = table(first[part] + number % modulus[part])
        return one + table(first[part] + modulus[part] + number // block[part])

    return look_up


METHODS = {
    **dict.fromkeys(("pep", "magnitude", "pep-magnitude", "magnitude-post"), pruned),
    **dict.fromkeys(
        ("cerp", "cerp-noreg", "cerp-noretrain", "cerp-norewind", "cerp-magnitude"), composed
    ),
}
