"""Reading LightGCN's text format: a line for each user, `user item item ...`, ids from 0."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from bench.data.blocks import read_text
from bench.data.raw import LARGEST_ID, RawPart, integers, shown
from bench.errors import DataError

_REMEDY = (
    "ids are whole numbers from 0; for other ids write a .inter or .csv file, which are renumbered"
)
_OTHER, _DIGIT, _SPACE, _NEWLINE = 0, 1, 2, 3
_DIGITS = 10


def read_lightgcn(path: Path) -> RawPart:
    """Read one file of LightGCN's text format.

    Args:
        path: the file.

    Returns:
        Its pairs. Repaired and counted: empty lines, users with two lines, users without items.

    Raises:
        DataError: the file is missing, not text or without an interaction, or an id is not a whole
            number from 0 to 2**31 - 2; with file, line and value.
    """
    data = read_text(path)
    buffer = np.frombuffer(data, dtype=np.uint8)
    kinds = np.zeros(256, dtype=np.uint8)
    kinds[48:58] = _DIGIT
    kinds[[32, 9]] = _SPACE
    kinds[10] = _NEWLINE
    kind = kinds[buffer]
    if not kind.all():
        _complain(path, data)

    digit = kind == _DIGIT
    edges = np.flatnonzero(np.diff(digit, prepend=False, append=False))
    starts, ends = edges[0::2], edges[1::2]
    if int((ends - starts).max()) > _DIGITS:
        _complain(path, data)
    values = integers(buffer, starts, ends)
    if int(values.max()) > LARGEST_ID:
        _complain(path, data)

    breaks = np.flatnonzero(kind == _NEWLINE)
    line = np.searchsorted(breaks, starts)
    first = np.ones(line.size, dtype=bool)
    np.not_equal(line[1:], line[:-1], out=first[1:])
    listed = values[first]
    if listed.size == values.size:
        raise DataError(f"{path}: no interactions, only users; fetch or export it again")
    tokens = np.diff(np.flatnonzero(np.append(first, True)))
    users = np.repeat(listed, tokens - 1)

    repeated = int(listed.size - np.unique(listed).size)
    if repeated:
        _refuse_rows(path, data, tokens)
    repairs = Counter(
        {
            "empty lines skipped": int(breaks.size - listed.size),
            "users without items": int((tokens == 1).sum()),
            "users on several lines merged": repeated,
        }
    )
    return RawPart(path, users, values[~first], listed, repairs)


def _refuse_rows(path: Path, data: bytes, tokens: NDArray[np.integer]) -> None:
    """Refuse a table of `user item rating` rows, which would be read as lists of items.

    Args:
        path: the file.
        data: its content.
        tokens: numbers on each line that has any, some user having several lines.
    """
    width = int(tokens[0])
    if width < 3 or not (tokens == width).all():
        return
    line = data.lstrip(b" \t\n").split(b"\n", 1)[0]
    names = ("user_id", "item_id", "rating", "timestamp")[:width]
    raise DataError(
        f"{path}, line 1: {shown(line)}: every line has {width} numbers and users repeat, so these"
        f" are rows `{' '.join(names)}`, not the items of one user a line; name the columns: write"
        f" {shown(' '.join(names))} as the first line of each file, or put [columns] with"
        ' user = "1" and item = "2" into dataset.toml (lists of items: one line a user)'
    )


def _complain(path: Path, data: bytes) -> NoReturn:
    """Find the first bad id of a file that the fast pass refused."""
    for number, line in enumerate(data.split(b"\n"), start=1):
        for token in line.replace(b"\t", b" ").split(b" "):
            if token.isdigit() and len(token) <= _DIGITS and int(token) <= LARGEST_ID:
                continue
            if not token:
                continue
            reason = "is not a whole number"
            if token.isdigit():
                long = len(token.lstrip(b"0")) > _DIGITS or int(token) > LARGEST_ID
                reason = f"is larger than {LARGEST_ID:,}" if long else "has too many zeros before"
            elif token[:1] == b"-" and token[1:].isdigit():
                reason = "is negative"
            raise DataError(f"{path}, line {number}: id {shown(token)} {reason}; {_REMEDY}")
    raise DataError(f"{path}: not LightGCN text; {_REMEDY}")


def line_with(path: Path, lowest: int, users: bool) -> tuple[int, int]:
    """First line with a user id (or an item id) of at least `lowest`, and that id.

    For messages only: it looks at each line. The file must have been read without an error.
    """
    for number, line in enumerate(read_text(path).split(b"\n"), start=1):
        ids = [int(token) for token in line.split()]
        for one in ids[:1] if users else ids[1:]:
            if one >= lowest:
                return number, one
    raise ValueError(f"no id from {lowest} on in {path}")
