"""The budget language: `5%`, `128k` (values), `256KB` (bytes), and what a budget binds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import log
from typing import Literal

from bench.errors import SpecError

Accounting = Literal["bytes", "values"]
Bits = Literal[1, 2, 3, 4, 6, 8, 16, 32]  # of a stored value
VALUE_BYTES = 4  # a full table stores float32

_AMOUNT = re.compile(
    r"\s*(\d+(?:\.\d+)?|\.\d+)\s*(%|[kmg]?(?:i?b)?|[kmg]i)\s*", re.ASCII | re.IGNORECASE
)
_STEPS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "ki": 1024, "mi": 1024**2, "gi": 1024**3}
_BYTES = {"k": "KB", "m": "MB", "g": "GB", "ki": "KiB", "mi": "MiB", "gi": "GiB"}


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
    """Resolve an amount such as `5%`, `128k` or `256KB` for a table of `ids` x `dim` float32.

    A share is of the full table. A number with k, M or G counts values; a number ending in B counts
    bytes (KB = 1000, KiB = 1024), in small or capital letters. A number without a unit could mean
    either, so it counts values only where budgets do. Amounts are converted between bytes and
    values at 4 bytes a value, so that every form can be used with either accounting.

    Raises:
        SpecError: the text is not an amount, or it is less than one byte or value.
    """
    number, unit = _amount(text, "budget", "write a share (5%), values (128k) or bytes (256KB)")
    if unit == "%":
        values = number / 100 * ids * dim
    elif unit.endswith("b"):
        values = number * _STEPS[unit[:-1]] / VALUE_BYTES
    elif unit.endswith("i"):
        raise SpecError(
            f"budget {text!r}: write {text.strip()[:-2].strip()}{_BYTES[unit]} for bytes"
        )
    else:
        values = number * _STEPS[unit]
    if not unit and accounting == "bytes" and number >= 1:
        plain, thousands = _plain(number), _plain(number / 1000)
        raise SpecError(
            f"budget {text!r} has no unit: write {plain}B for bytes, {thousands}k for"
            f" {plain} values, or a share such as 5%"
        )
    if not unit and 0 < number < 1:
        raise SpecError(
            f"budget {text!r} is less than one value; for a share of the full table write"
            f" {float(100 * number):g}%"
        )
    cap = int(values * (VALUE_BYTES if accounting == "bytes" else 1))
    if cap < 1:
        raise SpecError(f"budget {text!r} is less than one {accounting[:-1]}; ask for more")
    return Budget(cap, accounting)


def canonical(text: str) -> str:
    """A budget as a board shows it: `5 %` and `5.0%` are `5%`, `256kb` is `256KB`.

    Amounts keep their unit: `1000KB` stays apart from `1MB`. Other text stays.
    """
    squeezed = "".join(text.split())
    match = _AMOUNT.fullmatch(squeezed)
    unit = match[2].lower() if match else ""
    if not match or unit == "ib":  # no amount
        return squeezed
    if unit.endswith("b"):
        unit = _BYTES.get(unit[:-1], "B")
    elif unit in ("m", "g"):
        unit = unit.upper()
    return f"{Decimal(match[1]).normalize():f}{unit}"


def parse_bytes(text: str, option: str) -> int:
    """Resolve a size in bytes, such as `256KB`, `1.5 MiB` or `256000`.

    Raises:
        SpecError: the text is no size in bytes; names the option and the remedy.
    """
    number, unit = _amount(text, option, "give an amount of bytes, such as 256KB")
    if unit == "%":
        raise SpecError(f"{option} {text!r}: give an amount of bytes, such as 256KB")
    if unit in _BYTES:
        written = f"{float(number):g}{_BYTES[unit]}"
        raise SpecError(f"{option} {text!r}: sizes are in bytes here; write {written}")
    size = int(number * _STEPS[unit.removesuffix("b")])
    if size < 1:
        raise SpecError(f"{option} {text!r} is less than one byte; ask for more")
    return size


def _amount(text: str, what: str, remedy: str) -> tuple[Fraction, str]:
    """A number and its unit in small letters, such as `kb`."""
    match = _AMOUNT.fullmatch(text)
    unit = match[2].lower() if match else ""
    if not match or unit == "ib":
        raise SpecError(f"{what} {text!r} is not an amount: {remedy}")
    return Fraction(match[1]), unit


def _plain(number: Fraction) -> str:
    """A decimal number in full, without an exponent."""
    return f"{(Decimal(number.numerator) / number.denominator).normalize():f}"


def fraction(budget: Budget, ids: int, dim: int) -> float:
    """Share of the full float32 table that a budget allows."""
    full = ids * dim * (VALUE_BYTES if budget.accounting == "bytes" else 1)
    return budget.cap / full


def nearest(labels: Sequence[str], budget: str, share: float | None = None) -> str:
    """The label of a budget, or the one whose size is nearest in ratio; "" if none can be.

    Args:
        labels: budgets as they are written.
        budget: as it is written.
        share: the budget as a share of the full table; None: only known from percent.
    """
    same = {canonical(label): label for label in labels}
    if (found := canonical(budget)) in same:
        return same[found]
    wanted = share or share_of(budget)
    known = {label: size for label in labels if (size := share_of(label))}
    if not wanted or not known:
        return ""
    return min(known, key=lambda label: abs(log(known[label] / wanted)))


def share_of(text: str) -> float | None:
    """Share of the full table that a budget in percent is; None for another amount."""
    match = _AMOUNT.fullmatch(text)
    return float(match[1]) / 100 if match and match[2] == "%" else None
