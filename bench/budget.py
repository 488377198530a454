"""The budget language: `5%`, `128k` (values), `256KB` (bytes), and what a budget binds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from bench.errors import SpecError

Accounting = Literal["bytes", "values"]
VALUE_BYTES = 4  # a full table stores float32

_AMOUNT = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(%|[kKmMgG]?i?B?|)\s*$")
_STEPS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "ki": 1024, "mi": 1024**2, "gi": 1024**3}


@dataclass(frozen=True)
class Budget:
    """A hard cap on the packed artefact.

    Attributes:
        cap: the most that may be stored, in the unit of `accounting`.
        accounting: `bytes` counts the stored file (values, indices, masks, codes, container);
            `values` counts numbers only, as the papers do: masks and indices are free.
    """

    cap: int
    accounting: Accounting = "bytes"


def parse_budget(text: str, ids: int, dim: int, accounting: Accounting = "bytes") -> Budget:
    """Resolves an amount such as `5%`, `128k` or `256KB` for a table of `ids` x `dim` float32.

    A share is of the full table; a plain or k/M/G number counts values; a number ending in B
    counts bytes (KB = 1000, KiB = 1024). Amounts are converted between bytes and values at 4
    bytes a value, so that every form can be used with either accounting.

    Raises:
        SpecError: the text is not an amount, or it is not positive.
    """
    match = _AMOUNT.match(text)
    if not match:
        raise SpecError(
            f"budget {text!r} is not an amount: write a share (5%), values (128k) or bytes (256KB)"
        )
    number, unit = Fraction(match[1]), match[2]
    if unit == "%":
        values = number / 100 * ids * dim
    elif unit.endswith("B"):
        values = number * _STEPS[unit[:-1].lower()] / VALUE_BYTES
    elif unit.endswith("i"):
        raise SpecError(f"budget {text!r}: write {text.strip()}B for bytes")
    else:
        values = number * _STEPS[unit.lower()]
    cap = int(values * (VALUE_BYTES if accounting == "bytes" else 1))
    if cap < 1:
        raise SpecError(f"budget {text!r} is less than one {accounting[:-1]}; ask for more")
    return Budget(cap, accounting)


def fraction(budget: Budget, ids: int, dim: int) -> float:
    """Share of the full float32 table that a budget allows."""
    full = ids * dim * (VALUE_BYTES if budget.accounting == "bytes" else 1)
    return budget.cap / full
