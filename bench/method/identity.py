"""Which code a method is, and whether it rounds by itself."""

from __future__ import annotations

import hashlib
import inspect
from pathlib import Path

from bench.method.base import Method

_OWN = ("bench.method.", "bench.methods.")


def source_hash(kind: type[Method]) -> str | None:
    """First 12 hex digits of the sha256 of a method's file; None for the program's own methods.

    These are known by their `revision`, and by the commit in a record.
    """
    if kind.__module__.startswith(_OWN):
        return None
    return hashlib.sha256(Path(inspect.getfile(kind)).read_bytes()).hexdigest()[:12]


def rounds(kind: type[Method]) -> bool:
    """Whether a method chooses a precision below 32 bits by itself."""
    config = kind.Config()
    return bool(config.own_precision) or config.bits not in (None, 32)
