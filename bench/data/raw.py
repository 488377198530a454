"""What a parser hands on, and the checks of a file's bytes that all parsers share."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError

# Ids are int32, and user and item ids share one range.
LARGEST_ID = 2**31 - 2
_SHOWN = 40


@dataclass
class RawPart:
    """The pairs of one file, as read.

    Attributes:
        path: the file, for messages.
        users: int64 [n], user id of each interaction.
        items: int64 [n], item id of each interaction.
        listed: int64 [m], the users that the file names, with interactions or without.
        repairs: what was mended while reading, with how often.
    """

    path: Path
    users: NDArray[np.int64]
    items: NDArray[np.int64]
    listed: NDArray[np.int64]
    repairs: Counter[str] = field(default_factory=Counter)


def shown(value: str | bytes) -> str:
    """Show a value from a file as it can stand in a one-line message."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def read_text(path: Path) -> bytes:
    """Read a text file as UTF-8 without a byte order mark, lines ended by a line feed.

    Raises:
        DataError: the file cannot be read, is empty, is not text, or is not UTF-8.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError(f"{path}: the text is UTF-16; save it as UTF-8")
    if data[:4] == b"PK\x03\x04" or data[:2] == b"\x1f\x8b":
        raise DataError(f"{path}: this is a compressed archive; unpack it and give its folder")
    data = data.removeprefix(b"\xef\xbb\xbf")
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    nul = data.find(b"\0")
    if nul >= 0:
        raise DataError(
            f"{path}, line {_line(data, nul)}: a NUL byte, so this is not a text file; fetch or"
            " export it again"
        )
    if not data.isascii():
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path}, line {_line(data, error.start)}: byte 0x{data[error.start]:02x} is not"
                " UTF-8; save the file as UTF-8"
            ) from None
    if not data.strip():
        raise DataError(f"{path}: the file is empty; fetch or export it again")
    return data


def _line(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1


def integers(
    buffer: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Decimal numbers in `buffer[starts:ends]`, int64 [n].

    Args:
        buffer: uint8 [bytes]; digits only between each start and end, at most 18 of them.
        starts: int64 [n].
        ends: int64 [n], each greater than its start.
    """
    lengths = ends - starts
    values = np.zeros(starts.size, dtype=np.int64)
    for place in range(int(lengths.max(initial=0))):
        # One step for each digit place, not for each number: ids have six digits, files millions.
        inside = lengths > place
        digits = buffer[np.minimum(starts + place, buffer.size - 1)] - np.uint8(48)
        values = np.where(inside, values * 10 + digits, values)
    return values
