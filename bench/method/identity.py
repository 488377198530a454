"""How a method is known: what it may be called, and the code that it is."""

from __future__ import annotations

import hashlib
import inspect
import re
from pathlib import Path

from bench.method.base import Method

RESERVED = ("popularity",)
"""Names that the benchmark itself uses."""

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_TITLE = re.compile(r"[^\x00-\x1f\x7f]{1,60}")
_OWN = ("bench.method.", "bench.methods.")


def wrong_name(name: object) -> str:
    """What is wrong with the name of a method; empty if nothing is.

    It is typed on the command line and names a folder.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return (
            f"the name {name!r} must begin with a small letter and hold 40 small letters, digits,"
            " - and _ at most"
        )
    if name in RESERVED:
        return f"the name {name!r} is used by the benchmark itself; choose another"
    return ""


def wrong_title(title: object) -> str:
    """What is wrong with the title of a method; empty if nothing is."""
    if not isinstance(title, str) or not title.strip() or not _TITLE.fullmatch(title):
        shown = repr(title) if len(repr(title)) < 40 else f"{repr(title)[:40]}..."
        return f"the title {shown} must be one line of 1 to 60 characters; it heads rows of a board"
    return ""


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
