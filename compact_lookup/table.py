"""An exported folder: rows by number or by your own ids, and recommendations."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compact_lookup.container import BadFile, File, read_arrays
from compact_lookup.readers import READERS, Reader
from compact_lookup.values import Rows

A = TypeVar("A")
R = TypeVar("R")
TABLE, IDS = "embeddings.safetensors", "ids.safetensors"
RECOMMENDS = frozenset({"mf"})
"""Backbones whose scores need nothing but the rows."""

_BLOCK = 4096  # items that are scored at a time
_SHORTEST = 1e-12  # least length that a row is divided by


class NoReader(LookupError):
    """Nothing here reads the files of a method, or scores with a backbone."""


class Names:
    """Your own ids of users or of items, by number and back."""

    def __init__(self, path: Path, arrays: dict[str, NDArray[Any]], kind: str, count: int) -> None:
        try:
            self.text, self.ends, self.order = (
                arrays[f"{kind}.{part}"] for part in ("text", "ends", "order")
            )
        except KeyError as error:
            raise BadFile(f"{path}: the array {error} is missing") from None
        ends, order = self.ends, self.order
        if not (
            (self.text.dtype, order.dtype) == (np.uint8, np.int32)
            and ends.dtype in (np.int32, np.int64)
            and (self.text.ndim, ends.shape, order.shape) == (1, (count,), (count,))
            and ends[0] >= 0
            and (np.diff(ends) >= 0).all()
            and ends[-1] == len(self.text)
            and np.array_equal(np.sort(order), np.arange(count))
        ):
            raise BadFile(f"{path}: not the ids of {count} {kind}s; export the folder again")
        self.kind = kind

    def __getitem__(self, number: int) -> str:
        """The id of a number."""
        return self._bytes(number).decode("utf-8", "replace")

    def _bytes(self, number: int) -> bytes:
        start = self.ends[number - 1] if number else 0
        return self.text[start : self.ends[number]].tobytes()

    def number(self, name: object) -> int:
        """The number of an id.

        Raises:
            KeyError: there is none.
        """
        for wanted in _texts(name):
            place = bisect_left(self.order, wanted, key=lambda number: self._bytes(number))
            if place < len(self.order) and self._bytes(self.order[place]) == wanted:
                return int(self.order[place])
        raise KeyError(f"no {self.kind} {name!r} in this table")


class Table:
    """A table; `load` makes one.

    Attributes:
        users, items: users are the numbers 0 to users - 1, items follow.
        columns: of a row.
        header: what the file says of itself.
    """

    def __init__(self, file: File, reader: Reader, names: tuple[Names, Names] | None) -> None:
        self.path, self.header = file.path, file.header
        self.users, self.items, self.columns = file.users, file.items, file.columns
        self._names = names
        self._look_up = _guarded(reader, file)(file)
        file.arrays.clear()  # readers keep what they need
        self._look_up = _guarded(self._look_up, file)

    def rows(self, ids: ArrayLike) -> Rows:
        """Rows by number: whole numbers [...] -> float32 [..., columns].

        Raises:
            IndexError: a number is negative or too large.
            BadFile: what the file says of its arrays cannot be.
        """
        wanted = np.asarray(ids)
        if not wanted.size:
            return np.zeros((*wanted.shape, self.columns), np.float32)
        if wanted.dtype.kind not in "iu":
            raise TypeError(f"rows takes whole numbers, not {wanted.dtype}; see user() and item()")
        index = wanted.astype(np.int64, copy=False).ravel()
        # A negative number is a large one without its sign; uint64 beyond int64 is negative.
        if index.view(np.uint64).max() >= self.users + self.items:
            raise IndexError(f"ids are 0 to {self.users + self.items - 1}")
        found = self._look_up(index)
        return found.reshape(*wanted.shape, found.shape[-1])

    def user(self, name: object) -> Rows:
        """The row of a user, by your own id: float32 [columns]. KeyError if there is none."""
        return self.rows(self._name(0).number(name))

    def item(self, name: object) -> Rows:
        """The row of an item, by your own id: float32 [columns]. KeyError if there is none."""
        return self.rows(self.users + self._name(1).number(name))

    def recommend(
        self, user: object, k: int = 20, seen: Iterable[object] = ()
    ) -> list[tuple[str, float]]:
        """The k items with the highest scores, and their scores; best first.

        Args:
            user: your own id.
            k: how many.
            seen: your own ids of items to leave out; unknown ones are passed over.

        Raises:
            KeyError: there is no such user.
            NoReader: the scores need more than the table.
            TypeError: `seen` is one id, not several.
        """
        if isinstance(seen, (str, bytes)):
            raise TypeError(f"seen={seen!r} is one id; write seen=[{seen!r}]")
        items, power = self._name(1), self._norm_power()
        vector = _scaled(self.user(user)[None], power)[0]
        scores = np.empty(self.items, np.float32)
        for start in range(0, self.items, _BLOCK):
            stop = min(self.items, start + _BLOCK)
            block = self.rows(np.arange(self.users + start, self.users + stop))
            scores[start:stop] = _scaled(block, power) @ vector
        for name in seen:
            try:
                scores[items.number(name)] = -np.inf
            except KeyError:
                continue
        k = max(0, min(k, self.items))
        best = np.argpartition(-scores, k - 1)[:k] if k else np.zeros(0, np.int64)
        best = best[np.lexsort((best, -scores[best]))]
        return [(items[int(i)], float(scores[i])) for i in best if scores[i] > -np.inf]

    def _name(self, side: int) -> Names:
        if self._names is None:
            raise NoReader(f"{self.path}: there is no {IDS} beside it, so ids are numbers only")
        return self._names[side]

    def _norm_power(self) -> float:
        """Power of its length that a row keeps: 1 for dot products, 0 for the cosine."""
        backbone = self.header.get("backbone") or {}
        if backbone.get("name") not in RECOMMENDS:
            raise NoReader(
                f"{self.path}: scores under {backbone.get('name')!r} need more than this table (a"
                " graph or a network); use rows() with a model of your own"
            )
        config = backbone.get("config") or {}
        if config.get("similarity") != "cosine":
            return 1.0
        return float(config.get("lengths") or config.get("norm_power") or 0)


def _texts(name: object) -> Iterator[bytes]:
    """An id in the forms that the file may have it in.

    Databases give bytes in place of text, and data frames 4.0 in place of 4.
    """
    yield bytes(name) if isinstance(name, bytes) else str(name).encode()
    if isinstance(name, (float, np.floating)) and float(name).is_integer():
        yield str(int(name)).encode()


def _guarded(function: Callable[[A], R], file: File) -> Callable[[A], R]:
    """The function, whose errors say that the file is damaged: all else was checked before."""

    def call(argument: A) -> R:
        try:
            return function(argument)
        except BadFile:
            raise
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            reason = " ".join(repr(error).split())
            raise file.bad(f"its header does not fit its arrays ({reason:.80})") from error

    return call


def _scaled(rows: Rows, power: float) -> Rows:
    """Rows whose dot products are the scores."""
    if power == 1:
        return rows
    length = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(_SHORTEST))
    return rows * length ** np.float32(power - 1)


def load(path: str | PathLike[str], reader: Reader | None = None) -> Table:
    """Open an exported folder, or the file of a table without ids.

    Args:
        path: the folder, or the file.
        reader: for a method that is not part of the benchmark: takes a `File`, returns a function
            from ids, int64 [n], to rows, float32 [n, columns].

    Raises:
        BadFile: a file is damaged.
        NoReader: the method is unknown, and no reader is given.
        OSError: a file cannot be read.
    """
    folder = Path(path)
    file = File(folder / TABLE if folder.is_dir() else folder)
    known = reader or READERS.get(file.method)
    if known is None:
        raise NoReader(f"{file.path}: method {file.method!r} is not known here; give load a reader")
    names = None
    if folder.is_dir() and (where := folder / IDS).exists():
        arrays, _ = read_arrays(where)
        names = tuple(
            Names(where, arrays, kind, count)
            for kind, count in (("user", file.users), ("item", file.items))
        )
    return Table(file, known, names)  # type: ignore[arg-type]
