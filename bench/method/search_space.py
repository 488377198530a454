"""What a knob may be set to when it is tuned: the values of a method's `space`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Choice:
    """One of some values (text, numbers, true or false).

    Attributes:
        values: the values.
        coarse: whether the setting is one of those that matter most, which a search varies alone
            at first. Logs of searches do not hold it.
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
    """A number between two positive ones, equally likely at every scale.

    `coarse`: as in `Choice`.
    """

    low: float
    high: float
    coarse: bool = field(default=False, repr=False)


Space = Choice | Range | LogRange


BITS = Choice((None, 8, 6, 4, 3, 2), coarse=True)
"""Values of `bits`, which is searched for every method without precision knobs of its own.

A method whose values stay float32 says `"bits": Choice((None,))` in its `space`.
"""
