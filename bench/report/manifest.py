"""What an earlier report wrote, so that files of boards that are gone do not stay behind."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

NAME = ".bench-report.json"


def digest(path: Path) -> str:
    """Return the sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read(out: Path) -> dict[str, dict[str, str]]:
    """Return by format the files of the last report in a folder and their sha256.

    Empty where there is none, or one that cannot be read: then nothing is removed.
    """
    try:
        content = json.loads((out / NAME).read_text(encoding="utf-8"))
        formats = {str(k): dict(v) for k, v in content["formats"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {
        name: {p: d for p, d in files.items() if isinstance(p, str) and isinstance(d, str)}
        for name, files in formats.items()
    }


def sweep(out: Path, before: Mapping[str, str], written: Iterable[Path]) -> list[Path]:
    """Remove files that the last report wrote, this one did not, and nobody changed since.

    Args:
        out: folder of the report; nothing outside is touched, whatever the manifest says.
        before: path in the folder and sha256 of the files of the last report.
        written: files of this report.

    Returns:
        The files removed.
    """
    kept = {path.relative_to(out).as_posix() for path in written}
    removed = []
    for name, known in sorted(before.items()):
        path = out / name
        if name in kept or not _inside(out, name) or path.is_symlink() or not path.is_file():
            continue
        if digest(path) == known:
            path.unlink()
            removed.append(path)
    return removed


def write(
    out: Path, formats: Mapping[str, Iterable[Path]], before: Mapping[str, dict[str, str]]
) -> Path:
    """Write the manifest.

    Args:
        out: folder of the report.
        formats: files of this report by format.
        before: the last manifest; formats that were not asked for now stay as they were.
    """
    content = {name: dict(files) for name, files in before.items()}
    for name, paths in formats.items():
        content[name] = {path.relative_to(out).as_posix(): digest(path) for path in paths}
    text = json.dumps({"schema": 1, "formats": content}, indent=1, sort_keys=True) + "\n"
    path = out / NAME
    path.write_bytes(text.encode())
    return path


def _inside(out: Path, name: str) -> bool:
    """Return whether a path leads to a place in the folder, by no detour."""
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or ":" in name:
        return False
    return (out / name).resolve() == (out.resolve() / name)
