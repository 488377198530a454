"""What a method may be called, on the command line and on a board."""

from __future__ import annotations

import re

RESERVED = ("popularity",)
"""Names that the benchmark itself uses."""

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_TITLE = re.compile(r"[^\x00-\x1f\x7f]{1,60}")


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
