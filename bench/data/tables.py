"""Reading tables with a row for each interaction: `.inter`, CSV, TSV, MovieLens' u.data."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.raw import RawPart, integers, read_text, shown
from bench.errors import DataError

_USER_NAMES = ("user_id", "user", "uid", "userid")
_ITEM_NAMES = ("item_id", "item", "iid", "itemid")
_RATING_NAMES = ("rating", "score", "stars")
_LONGEST_ID = 255
_LONGEST_NUMBER = 18


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a table; empty for the usual names (`user_id`, `item`, ...)."""

    user: str = ""
    item: str = ""
    rating: str = ""


@dataclass
class _Table:
    """User and item label of each kept row; bytes, or int64 where all labels are plain numbers."""

    path: Path
    users: NDArray[np.int64] | list[bytes]
    items: NDArray[np.int64] | list[bytes]
    repairs: Counter[str]


@dataclass(frozen=True)
class _Layout:
    """Where the columns stand, and the line that the data start on (0 or 1)."""

    user: int
    item: int
    rating: int | None
    width: int
    separator: bytes
    first: int


def read_tables(
    paths: Sequence[Path], columns: Columns | None = None, min_rating: float | None = None
) -> tuple[list[RawPart], int, int]:
    """Read tables that share their users and items, and number both from 0.

    Labels may be anything. They are numbered in rising order: by value where every label of the
    column is a plain whole number (`7`, not `07`), else by their UTF-8 bytes. Only labels of rows
    that are kept get a number. The order of the rows does not matter.

    Args:
        paths: the files, one for each part.
        columns: names of the columns, where they are not the usual ones.
        min_rating: keep rows with at least this rating; all rows if absent.

    Returns:
        One part for each path, the number of users and the number of items.

    Raises:
        DataError: a file is missing, empty or not text; a column is missing; a row has too few or
            too many fields, an empty id, or no number for a rating; with file, line and value.
    """
    tables = [_read(path, columns or Columns(), min_rating) for path in paths]
    users, user_total = _number([table.users for table in tables])
    items, item_total = _number([table.items for table in tables])
    parts = [
        RawPart(table.path, user, item, np.unique(user), table.repairs)
        for table, user, item in zip(tables, users, items, strict=True)
    ]
    return parts, user_total, item_total


def _number(
    labels: Sequence[NDArray[np.int64] | list[bytes]],
) -> tuple[list[NDArray[np.int64]], int]:
    """Give the labels of all parts together numbers in rising order."""
    arrays = [part for part in labels if isinstance(part, np.ndarray)]
    if len(arrays) == len(labels):
        values = np.unique(np.concatenate(arrays))
        return [np.searchsorted(values, part).astype(np.int64) for part in arrays], values.size
    # A column that is numeric in one part and not in another is text in both.
    texts = [
        part if isinstance(part, list) else [b"%d" % value for value in part.tolist()]
        for part in labels
    ]
    numbers = {text: at for at, text in enumerate(sorted(set().union(*texts)))}
    coded = [np.fromiter((numbers[t] for t in part), np.int64, len(part)) for part in texts]
    return coded, len(numbers)


def _read(path: Path, columns: Columns, min_rating: float | None) -> _Table:
    data = read_text(path)
    layout = _layout(path, data, columns, min_rating is not None)
    return _fast(path, data, layout, min_rating) or _slow(path, data, layout, min_rating)


def _layout(path: Path, data: bytes, columns: Columns, rated: bool) -> _Layout:
    start = data.split(b"\n", 1)[0]
    separator = _separator(path, start)
    fields = [field.strip() for field in next(_rows(path, start, separator), (1, [""]))[1]]
    numeric = all(_is_number(field) for field in fields)
    if numeric and not columns.user and not columns.item:
        # No header has numbers for names: MovieLens' u.data and its like.
        if len(fields) < 2 or (rated and len(fields) < 3):
            raise DataError(
                f"{path}, line 1: {len(fields)} column(s); a table without a header has the columns"
                f" user, item{', rating' if rated else '[, rating][, timestamp]'} in this order"
            )
        return _Layout(0, 1, 2 if rated else None, len(fields), separator, 0)
    # RecBole writes `user_id:token`: a name and a type.
    names = [field.split(":")[0].strip().lower() for field in fields]

    def find(what: str, given: str, usual: Sequence[str]) -> int:
        wanted = (given.lower(),) if given else usual
        at = next((names.index(name) for name in wanted if name in names), None)
        if at is None:
            raise DataError(
                f"{path}, line 1: no column for the {what} in {shown(', '.join(names))}; name it"
                f" {' or '.join(wanted[:3])}, or state its name in dataset.toml under [columns]"
            )
        return at

    return _Layout(
        user=find("user", columns.user, _USER_NAMES),
        item=find("item", columns.item, _ITEM_NAMES),
        rating=find("rating", columns.rating, _RATING_NAMES) if rated else None,
        width=len(fields),
        separator=separator,
        first=1,
    )


def _separator(path: Path, start: bytes) -> bytes:
    if path.suffix in (".inter", ".tsv", ".data"):
        return b"\t"
    return next((mark for mark in (b"\t", b";", b",") if mark in start), b",")


def _is_number(field: str) -> bool:
    try:
        return math.isfinite(float(field))
    except ValueError:
        return False


def _rows(path: Path, data: bytes, separator: bytes) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of each row; quotes are understood in comma-separated files only."""
    lines = data.decode("utf-8").split("\n")
    if separator == b"\t":
        # RecBole does not quote, and a label may hold a quotation mark.
        yield from ((number, line.split("\t")) for number, line in enumerate(lines, start=1))
        return
    reader = csv.reader((line + "\n" for line in lines), delimiter=separator.decode())
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(
                f"{path}, line {reader.line_num}: {error}; export the table again"
            ) from None
        yield reader.line_num, row


def _fast(path: Path, data: bytes, layout: _Layout, min_rating: float | None) -> _Table | None:
    """Read a regular table with array operations; None for one that needs a look at each row."""
    if b'"' in data or b" " in data or b"\n\n" in data:
        return None
    if not data.endswith(b"\n"):
        data += b"\n"
    body = data if layout.first == 0 else data[data.index(b"\n") + 1 :]
    buffer = np.frombuffer(body, dtype=np.uint8)
    newline = buffer == 10
    ends = np.flatnonzero(newline | (buffer == layout.separator[0]))
    lines = int(newline.sum())
    if lines == 0 or ends.size != lines * layout.width or body[:1] == b"\n":
        return None
    if not newline[ends[layout.width - 1 :: layout.width]].all():
        return None
    starts = np.concatenate([[0], ends[:-1] + 1])
    keep: NDArray[np.intp] | slice = slice(None)
    if layout.rating is not None and min_rating is not None:
        at = slice(layout.rating, None, layout.width)
        spans = zip(starts[at].tolist(), ends[at].tolist(), strict=True)
        try:
            ratings = np.array([float(body[s:e]) for s, e in spans])
        except ValueError:
            return None
        if not np.isfinite(ratings).all():
            return None
        keep = np.flatnonzero(ratings >= min_rating)

    def column(at: int) -> NDArray[np.int64] | list[bytes] | None:
        begin, end = starts[at :: layout.width][keep], ends[at :: layout.width][keep]
        lengths = end - begin
        if begin.size == 0 or int(lengths.min()) == 0 or int(lengths.max()) > _LONGEST_ID:
            return None
        if int(lengths.max()) <= _LONGEST_NUMBER and _all_plain(buffer, begin, end):
            return integers(buffer, begin, end)
        return [body[s:e] for s, e in zip(begin.tolist(), end.tolist(), strict=True)]

    users, items = column(layout.user), column(layout.item)
    if users is None or items is None:
        return None
    return _Table(path, users, items, Counter())


def _all_plain(buffer: NDArray[np.uint8], starts: NDArray[np.intp], ends: NDArray[np.intp]) -> bool:
    """Whether every field is digits without a leading zero, so that number and text agree."""
    nondigits = np.concatenate([[0], np.cumsum((buffer < 48) | (buffer > 57))])
    zeros = (buffer[starts] == 48) & (ends - starts > 1)
    return bool((nondigits[starts] == nondigits[ends]).all()) and not bool(zeros.any())


def _slow(path: Path, data: bytes, layout: _Layout, min_rating: float | None) -> _Table:
    """Read row by row: for quotes, spaces and blank lines, and to find the line of an error."""
    users: list[bytes] = []
    items: list[bytes] = []
    repairs: Counter[str] = Counter()
    total = data.count(b"\n") + 1
    rows = 0
    for number, row in _rows(path, data, layout.separator):
        if number <= layout.first:
            continue
        if not any(field.strip(" ") for field in row):
            if number < total:
                repairs["empty lines skipped"] += 1
            continue
        where = f"{path}, line {number}"
        if len(row) != layout.width:
            raise DataError(
                f"{where}: {len(row)} fields, expected {layout.width}; complete the line or"
                " fetch the file again"
            )
        rows += 1
        if layout.rating is not None and min_rating is not None:
            rating = row[layout.rating].strip(" ")
            if not _is_number(rating):
                raise DataError(f"{where}: rating {shown(rating)} is not a number; correct it")
            if float(rating) < min_rating:
                continue
        for at, into, what in ((layout.user, users, "user"), (layout.item, items, "item")):
            label = row[at].strip(" ").encode()
            if not label:
                raise DataError(f"{where}: the {what} id is empty; complete or drop the line")
            if len(label) > _LONGEST_ID:
                raise DataError(
                    f"{where}: the {what} id {shown(label)} is longer than {_LONGEST_ID} bytes;"
                    " shorten it"
                )
            into.append(label)
    if not users:
        why = f"no row has a rating of at least {min_rating:g}" if rows else "no rows"
        raise DataError(f"{path}: {why}, so there are no interactions; check the file")
    return _Table(path, _plain(users), _plain(items), repairs)


def _plain(labels: list[bytes]) -> NDArray[np.int64] | list[bytes]:
    """Labels as numbers where all are plain whole numbers, as the fast pass has them."""
    if all(
        label.isdigit() and len(label) <= _LONGEST_NUMBER and (label[:1] != b"0" or label == b"0")
        for label in labels
    ):
        return np.array([int(label) for label in labels], dtype=np.int64)
    return labels
