"""Run records on disk: their paths, and writing without incomplete files."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from bench.errors import StoreError
from bench.files import write_atomic
from bench.processes import current_process, parse_process_id
from bench.records.per_user import joined, same, shared_path, split_up
from bench.records.scan import check_record, read_record
from bench.records.schema import Record, SpecOf

WORK = ".work"
KEPT = (".safetensors", ".backbone.safetensors")
"""Suffixes of the files that a run may keep: its own, and the weights of its backbone."""
_OLD = 86400.0  # seconds until a temporary file of another machine counts as abandoned


def _write(stream: BinaryIO, content: bytes) -> None:
    stream.write(content)


class Store:
    """A results folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, spec: SpecOf[Any], run: str) -> Path:
        """Return the path of the record of a run."""
        folder = self.root / spec.dataset.split / spec.backbone.name / spec.method.name
        return folder / f"{run}.json"

    def work(self, run: str, part: str = "safetensors") -> Path:
        """Return the path of a file of an unfinished run: by default its checkpoint."""
        return self.root / WORK / f"{run}.{part}"

    def read(self, spec: SpecOf[Any], run: str) -> Record | None:
        """Return the record of a run; None if it is missing, unreadable or invalid."""
        try:
            record = read_record(self.root, self.path(spec, run))
        except (OSError, ValueError):
            return None
        return record if record.id == run else None

    def checked(self, record: Record) -> Record:
        """Return the record, if it is valid for readers.

        Raises:
            ValueError: the record is invalid; the message says why.
        """
        name = self.path(record.spec, record.id).relative_to(self.root).as_posix()
        check_record(record.stored(), name)
        return record

    def write(self, record: Record, per_user: dict[str, np.ndarray] | None = None) -> Path:
        """Store the per-user arrays and then the record, so that a record implies its arrays.

        Raises:
            ValueError: the record contradicts itself.
            StoreError: the folder cannot be written.
        """
        content = self.checked(record).stored()
        text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        path = self.path(record.spec, record.id)
        if per_user is not None:
            dataset = record.spec.dataset
            where = shared_path(self.root, dataset.split, dataset.fingerprint)
            shared, own = split_up(per_user)
            if not where.exists():
                write_atomic(where, lambda f: np.savez_compressed(f, **shared))
            if not same(where, shared):
                own = per_user  # another version wrote the shared file, and its runs need it
            write_atomic(path.with_suffix(".npz"), lambda f: np.savez_compressed(f, **own))
        write_atomic(path, lambda f: f.write((text + "\n").encode()))
        return path

    def kept(self, spec: SpecOf[Any], run: str, suffix: str) -> Path:
        """Return the path of a file that a run may keep; `suffix` is one of `KEPT`."""
        path = self.path(spec, run)
        return path.with_name(path.stem + suffix)

    def keep(self, spec: SpecOf[Any], run: str, files: Mapping[str, bytes]) -> None:
        """Store the files of a run, by suffix, and remove earlier ones.

        Raises:
            StoreError: the folder cannot be written.
        """
        for suffix in KEPT:
            path = self.kept(spec, run, suffix)
            if suffix in files:
                write_atomic(path, partial(_write, content=files[suffix]))
            else:
                path.unlink(missing_ok=True)

    def per_user(self, spec: SpecOf[Any], run: str) -> dict[str, np.ndarray] | None:
        """Return the per-user arrays of a run, with those that the runs of a split share.

        Raises:
            ValueError: the files are damaged.
        """
        path, dataset = self.path(spec, run).with_suffix(".npz"), spec.dataset
        if not path.exists():
            return None
        return joined(path, shared_path(self.root, dataset.split, dataset.fingerprint))[0]

    def discard_work(self, run: str) -> None:
        """Remove the checkpoint and other work files of a run.

        Raises:
            StoreError: the folder cannot be written.
        """
        for path in (self.root / WORK).glob(f"{run}.*"):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise StoreError(path, error) from error

    def sweep(self) -> None:
        """Remove temporary files of dead processes here, and day-old ones of other machines."""
        now: float | None = None
        for path in self._temporary():
            writer = parse_process_id(path.name.split(".")[1])
            if writer is None:
                continue
            try:
                if writer.is_local():
                    old = writer.is_dead()
                else:
                    now = self._now() if now is None else now
                    old = now - path.stat().st_mtime > _OLD
                if old:
                    path.unlink(missing_ok=True)
            except OSError:
                continue  # already removed, or not removable; the file does no harm

    def _temporary(self) -> Iterator[Path]:
        for folder, _, names in os.walk(self.root):
            yield from (Path(folder) / n for n in names if n.startswith(".") and n.endswith(".tmp"))

    def _now(self) -> float:
        """Return the time by the clock of the file system."""
        with tempfile.NamedTemporaryFile(
            dir=self.root, prefix=f".{current_process()}.", suffix=".tmp"
        ) as stream:
            return os.fstat(stream.fileno()).st_mtime
