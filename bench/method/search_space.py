"""What a knob may be set to when it is tuned: the values of a method's `space`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Choice:
    """One of some values (text, numbers, true or false)."""

    values: tuple[Any, ...]


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

COARSE = ("bits", "scale", "width_factor", "user_share", "kept_user_share", "training.lr")
"""The settings that matter most; a search varies these alone at first."""
