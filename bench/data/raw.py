"""What a parser hands on, and how values of a file are shown."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# Ids are int32, and user and item ids share one range.
LARGEST_ID = 2**31 - 2
_SHOWN = 40


@dataclass
class RawPart:
    """The pairs of one file, as read.

    Attributes:
        path: the file, for messages.
        users: integers [n], user id of each interaction.
        items: integers [n], item id of each interaction.
        listed: int64 [m], the users that the file names, with interactions or without.
        repairs: what was mended while reading, with how often.
    """

    path: Path
    users: NDArray[np.integer]
    items: NDArray[np.integer]
    listed: NDArray[np.int64]
    repairs: Counter[str] = field(default_factory=Counter)


def shown(value: str | bytes, longest: int = _SHOWN) -> str:
    """Show a value from a file as it can stand in a one-line message."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return repr(text if len(text) <= longest else text[:longest] + "…")


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
