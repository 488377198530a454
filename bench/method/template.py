"""Starting a method of one's own: copies the template under another name."""

from __future__ import annotations

import re
from pathlib import Path

from bench import paths
from bench.errors import BenchError
from bench.method.registry import find_methods
from bench.names import wrong_name


def new_method(name: str, folder: Path) -> Path:
    """Write `<name>.py` from the template.

    Raises:
        BenchError: the name is no identifier or is taken, or the file exists.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise BenchError(f"{name!r}: use small letters, digits and _, beginning with a letter")
    if wrong := wrong_name(name):
        raise BenchError(wrong)
    if name in find_methods():
        raise BenchError(f"there is a method {name!r} already; choose another name")
    path = folder / f"{name}.py"
    if path.exists():
        raise BenchError(f"{path}: exists already; remove it or choose another name")
    if not folder.is_dir():
        raise BenchError(f"{folder}: no such folder; make it or choose another with --folder")
    text = (paths.folder("methods") / "_template.py").read_text(encoding="utf-8")
    title = "".join(part.capitalize() for part in name.split("_"))
    path.write_text(text.replace("CLASS", title).replace("NAME", name), encoding="utf-8")
    return path
