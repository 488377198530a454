"""Run records on disk: where they lie, and how they are written so that none is ever half there."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from bench.errors import BenchError

WORK = ".work"


def write_atomic(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Writes a file so that other processes, and a kill, see the old one or the new one.

    Raises:
        BenchError: the disk is full or the folder cannot be written; nothing is left behind.
    """
    handle = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as stream:
                write(stream)
                stream.flush()
                os.fsync(stream.fileno())
            Path(temporary).chmod(0o644)
            os.replace(temporary, path)  # noqa: PTH105
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise BenchError(
            f"{path}: cannot be written: {error.strerror or error}; make room or name another"
            " folder with --results"
        ) from error


class Store:
    """A results folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, spec: dict[str, Any], run: str) -> Path:
        """Where the record of a spec (canonical form) lies."""
        split, backbone, method = (
            spec["dataset"]["split"],
            spec["backbone"]["name"],
            spec["method"]["name"],
        )
        return self.root / split / backbone / method / f"{run}.json"

    def work(self, run: str) -> Path:
        """Checkpoint of a run that has not ended."""
        return self.root / WORK / f"{run}.safetensors"

    def read(self, spec: dict[str, Any], run: str) -> dict[str, Any] | None:
        """The record of a spec, or None; one that cannot be read counts as missing."""
        try:
            record = json.loads(self.path(spec, run).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return record if isinstance(record, dict) and record.get("id") == run else None

    def write(self, record: dict[str, Any], per_user: dict[str, np.ndarray] | None = None) -> Path:
        """Stores a record and its per-user arrays; the record last, so that it implies them."""
        path = self.path(record["spec"], record["id"])
        if per_user is not None:
            write_atomic(path.with_suffix(".npz"), lambda f: np.savez_compressed(f, **per_user))
        text = json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        write_atomic(path, lambda f: f.write((text + "\n").encode()))
        return path

    def discard_work(self, run: str) -> None:
        """Removes the checkpoint of a run."""
        self.work(run).unlink(missing_ok=True)
