"""Run records on disk: where they lie, and how they are written so that none is ever half there."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import StoreError
from bench.files import write_atomic
from bench.processes import current_process, parse_process_id
from bench.records.per_user import joined, same, shared_path, split_up
from bench.records.scan import check_record, read_record
from bench.records.schema import Record, SpecOf

WORK = ".work"
_OLD = 86400.0  # seconds after which a temporary file of another machine is nobody's


class Store:
    """A results folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, spec: SpecOf[Any], run: str) -> Path:
        """Where the record of a run lies."""
        folder = self.root / spec.dataset.split / spec.backbone.name / spec.method.name
        return folder / f"{run}.json"

    def work(self, run: str, part: str = "safetensors") -> Path:
        """A file of a run that has not ended: its checkpoint, if no other part is named."""
        return self.root / WORK / f"{run}.{part}"

    def read(self, spec: SpecOf[Any], run: str) -> Record | None:
        """The record of a run, or None; one that cannot be read or believed counts as missing."""
        try:
            record = read_record(self.root, self.path(spec, run))
        except (OSError, ValueError):
            return None
        return record if record.id == run else None

    def checked(self, record: Record) -> Record:
        """The record, if its readers will believe it.

        Raises:
            ValueError: why they will not.
        """
        name = self.path(record.spec, record.id).relative_to(self.root).as_posix()
        check_record(record.stored(), name)
        return record

    def write(self, record: Record, per_user: dict[str, np.ndarray] | None = None) -> Path:
        """Stores a record and its per-user arrays; the record last, so that it implies them.

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
                own = per_user  # another version wrote the file, and its runs need it
            write_atomic(path.with_suffix(".npz"), lambda f: np.savez_compressed(f, **own))
        write_atomic(path, lambda f: f.write((text + "\n").encode()))
        return path

    def per_user(self, spec: SpecOf[Any], run: str) -> dict[str, np.ndarray] | None:
        """The per-user arrays of a run, those included that the runs of a split share.

        Raises:
            ValueError: they are damaged.
        """
        path, dataset = self.path(spec, run).with_suffix(".npz"), spec.dataset
        if not path.exists():
            return None
        return joined(path, shared_path(self.root, dataset.split, dataset.fingerprint))[0]

    def discard_work(self, run: str) -> None:
        """Removes what a run has needed while it had not ended.

        Raises:
            StoreError: the folder cannot be written.
        """
        for path in (self.root / WORK).glob(f"{run}.*"):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise StoreError(path, error) from error

    def sweep(self) -> None:
        """Removes temporary files of writers that are gone: killed here, or a day old elsewhere."""
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
                continue  # it has gone, or may not be removed: it harms nobody

    def _temporary(self) -> Iterator[Path]:
        for folder, _, names in os.walk(self.root):
            yield from (Path(folder) / n for n in names if n.startswith(".") and n.endswith(".tmp"))

    def _now(self) -> float:
        """The time by the clock that stamps the folder's files."""
        with tempfile.NamedTemporaryFile(
            dir=self.root, prefix=f".{current_process()}.", suffix=".tmp"
        ) as stream:
            return os.fstat(stream.fileno()).st_mtime
