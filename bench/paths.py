"""Where the program's own data files lie: in the installed package, or in a checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
# A checkout keeps what contributors edit at the top level; the wheel puts it under `bench`, so that
# nothing called `datasets` or `methods` is installed where another package of that name would be.
_CHECKOUT_NAMES = {
    "cards": "datasets",
    "methods": "methods",
    "suites": "bench/suites",
    "tuned": "tuned",
}


def folder(name: str) -> Path:
    """Folder of the installed or checked-out `cards`, `methods`, `suites` or `tuned`."""
    installed = _PACKAGE / name
    return installed if installed.is_dir() else _PACKAGE.parent / _CHECKOUT_NAMES[name]
