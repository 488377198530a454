"""Rows of words: each id has codes, which are places in books of users or of items."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

import numpy as np

from compact_lookup.container import File
from compact_lookup.readers.fields import locate
from compact_lookup.values import Index, Rows, Values, Windows

_MOST_BITS = 8
_MOST_PARTS = 64  # of residual codes, whatever the columns
_STEPS = 16.0  # of lengths between powers of 2


def _parts(file: File) -> int:
    """Codes of an id."""
    return file.whole(file.config["parts"], max(_MOST_PARTS, file.columns * 8))


class _Codes:
    """Codes of some bits each in one stream: int64 [n] -> int64 [n, parts]."""

    def __init__(self, file: File, name: str, ids: int, bits: int) -> None:
        self.parts, self.bits = _parts(file), bits
        stream = file.array(name, np.uint8, (ceil(ids * self.parts * bits / 8),))
        self.pairs = Windows(stream, 2)

    def __call__(self, index: Index) -> Index:
        start = (index[:, None] * self.parts + np.arange(self.parts)) * self.bits
        low, high = self.pairs[start >> 3].transpose(2, 0, 1).astype(np.int64)
        return (low | high << 8) >> (start & 7) & (2**self.bits - 1)


class _Words:
    """The words of ids, from their codes: float32 [n, parts, part]."""

    def __init__(self, file: File) -> None:
        config = file.config
        bits = file.whole(config["word_bits"], _MOST_BITS)
        self.file, self.words = file, 2**bits
        self.parts = _parts(file)
        part = file.whole(config["part"], file.columns)
        self.books = Values(file, "books.weight", (2 * self.parts * self.words, part))
        # Of the users and of the items, how many have codes of their own length.
        self.heads = np.array((file.users, file.items))
        if "tail_bits" in config:
            heads = (max(1, round(config["head"] * n)) for n in (file.users, file.items))
            self.heads = np.array(tuple(heads))
            rest = int(file.ids - self.heads.sum())
            tail = min(bits, file.whole(config["tail_bits"], _MOST_BITS))
            self.tail = _Codes(file, "codes.tail", rest, tail)
        self.codes = _Codes(file, "codes", int(self.heads.sum()), bits)

    def _codes(self, side: Index, own: Index) -> Index:
        codes = np.empty((len(own), self.parts), np.int64)
        head = own < self.heads[side]
        codes[head] = self.codes((own + side * self.heads[0])[head])
        if not head.all():
            number = own - self.heads[side] + side * (self.file.users - self.heads[0])
            codes[~head] = self.tail(number[~head])
        return codes

    def __call__(self, ids: Index) -> Rows:
        side, own = locate(self.file, False, ids)
        book = side[:, None] * self.parts + np.arange(self.parts)
        place = book * self.words + self._codes(side, own)
        return self.books(place.ravel()).reshape(len(ids), self.parts, -1)


def _lengths(file: File) -> Callable[[Index], Rows]:
    """The length of each row, [n, 1]."""
    stored = file.ids if file.config["user_lengths"] else file.items
    lengths = file.array("lengths", np.uint8, (stored,))
    middle = file.array("middle", np.float32, (2,))
    powers = np.exp2((np.arange(256) - 128) / _STEPS).astype(np.float32)

    def look_up(ids: Index) -> Rows:
        side, own = locate(file, False, ids)
        if len(lengths) == file.ids:
            found = lengths[ids]
        else:
            found = np.where(side == 1, lengths[own * side], 128)
        return (middle[side] * powers[found])[:, None]

    return look_up


def _filled(file: File, rows: Rows) -> Rows:
    """Rows with zeros for the columns that are not stored."""
    missing = file.columns - rows.shape[1]
    return np.pad(rows, ((0, 0), (0, missing))) if missing > 0 else rows


def side_by_side(file: File) -> Callable[[Index], Rows]:
    """Words one after another."""
    words = _Words(file)
    return lambda ids: _filled(file, words(ids).reshape(len(ids), -1))


def product(file: File) -> Callable[[Index], Rows]:
    """Words one after another, and a length."""
    words, length = side_by_side(file), _lengths(file)
    return lambda ids: words(ids) * length(ids)


def residual(file: File) -> Callable[[Index], Rows]:
    """Sums of words, and a length."""
    words, length = _Words(file), _lengths(file)
    return lambda ids: _filled(file, words(ids).sum(1)) * length(ids)


METHODS = {
    "recjpq": side_by_side,
    **dict.fromkeys(("pq", "pq-tuned", "dpq", "mgqe"), product),
    **dict.fromkeys(("rq", "rq-tuned"), residual),
}
