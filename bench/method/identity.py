"""Which code a method is, whether it rounds by itself, and what its paper's form is."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.method.base import Method

_OWN = ("bench.method.", "bench.methods.")


def source_hash(kind: type[Method]) -> str | None:
    """First 12 hex digits of the sha256 of a method's file; None for the program's own methods.

    These are known by their `revision`, and by the commit in a record.
    """
    if kind.__module__.startswith(_OWN):
        return None
    return hashlib.sha256(Path(inspect.getfile(kind)).read_bytes()).hexdigest()[:12]


def published(kind: type[Method]) -> Mapping[str, Any]:
    """The knobs of a method's published form; empty without one. A subclass does not inherit it."""
    found: Mapping[str, Any] = vars(kind).get("published", {})
    return found


def rounds(kind: type[Method]) -> bool:
    """Whether a method chooses a precision below 32 bits by itself."""
    config = kind.Config()
    return bool(config.own_precision) or config.bits not in (None, 32)
