"""Plugin files in the form in which they are sent to another machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def sources(plugins: Sequence[str]) -> dict[str, str]:
    """Return the plugin files by name; a number keeps files of equal names apart."""
    return {
        f"{number}-{Path(path).name}": Path(path).read_text(encoding="utf-8")
        for number, path in enumerate(plugins)
    }
