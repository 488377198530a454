"""What a knob may be set to when it is tuned: the values of a method's `space`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Choice:
    """One of some values (text, numbers, true or false).

    Attributes:
        values: the values.
        coarse: whether the setting matters so much that a search varies it from its first trials
            on, as those of `COARSE`. It is no part of the text that logs of searches have.
    """

    values: tuple[Any, ...]
    coarse: bool = field(default=False, repr=False)


@dataclass(frozen=True)
class Range:
    """A number between two; whole if both ends are whole."""

    low: float
    high: float


@dataclass(frozen=True)
class LogRange:
    """A number between two positive ones, equally likely at every scale."""

    low: float
    high: float


Space = Choice | Range | LogRange


BITS = Choice((None, 8, 6, 4, 3, 2))
"""Values of `bits`, which is searched for every method without precision knobs of its own.

A method whose values stay float32 says `"bits": Choice((None,))` in its `space`.
"""

COARSE = ("bits", "width_factor", "user_share", "kept_user_share", "training.lr")
"""The settings that matter most, besides choices that say so; a search varies these at first."""
