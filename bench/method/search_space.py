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
