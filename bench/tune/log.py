"""The log of a study: one line for each finished trial, so that a killed study continues."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.errors import BenchError

Key = tuple[int, str]
"""Number of a trial, and its stage."""


def read_log(path: Path) -> dict[Key, dict[str, Any]]:
    """Return the outcomes of the trials of a study."""
    outcomes: dict[Key, dict[str, Any]] = {}
    for entry in read_lines(path):
        # Logs of an earlier form have no stage.
        if {"number", "stage"} <= entry.keys():
            outcomes.setdefault((entry.pop("number"), entry.pop("stage")), entry)
    return outcomes


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a log; incomplete ones, left by a kill, are ignored."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            yield entry


def append(path: Path, conditions: Mapping[str, Any], entry: Mapping[str, Any]) -> None:
    """Append a line in one write; the first line of a log states the conditions.

    Raises:
        BenchError: the log cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            size = os.fstat(handle).st_size
            # An incomplete line, left by a kill, is ended first.
            cut = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
            lines = [""] if cut else [] if size else [_line({"study": dict(conditions)})]
            os.write(handle, "\n".join([*lines, _line(entry), ""]).encode())
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise BenchError(
            f"{path}: cannot be written: {error.strerror or error}; make room or name another"
            " folder with --results"
        ) from error


def _line(content: Mapping[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=True, allow_nan=False)
