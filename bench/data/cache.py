"""Parsed and split data sets, kept in one file each so that the next load takes no time.

A cache never decides anything: what is unreadable, stale or of another version is built anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from bench.data.cards import Card
from bench.data.csr import CSR
from bench.data.interactions import Interactions
from bench.data.sources import Source

_log = logging.getLogger(__name__)
# Raise it when parsing, repairing or splitting changes, so that nobody keeps older results.
_VERSION = 4
_CLOCK_TICK_NS = 2_000_000_000  # of the coarsest file system in use, FAT
_PARTS = ("train", "valid", "test")


def cache_root(given: Path | None) -> Path:
    """Name the cache folder: as given, else BENCH_CACHE, else the platform's place for caches."""
    if given is not None:
        return Path(given)
    if os.environ.get("BENCH_CACHE"):
        return Path(os.environ["BENCH_CACHE"]).expanduser()
    return platformdirs.user_cache_path("compact-embedding-benchmark", appauthor=False)


def cache_file(root: Path, source: Source, card: Card, local: bool) -> Path:
    """Where the result of these files and this card is kept."""
    identity = [
        _VERSION,
        {part: str(path.resolve()) for part, path in source.parts.items()},
        card.model_dump(mode="json"),
        local,
    ]
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    return root / "parsed" / f"{card.name}-{key}.npz"


def stamps(source: Source) -> dict[str, dict[str, Any]]:
    """Size, times and sha256 of each file; take it before reading, so that no change is missed."""
    result = {}
    for part, path in source.parts.items():
        state = path.stat()
        content = _sha256(path)
        # A file that changes twice within a tick of the disk's clock shows the same time twice.
        settled = state.st_mtime_ns + _CLOCK_TICK_NS < time.time_ns()
        result[part] = {
            "size": state.st_size,
            "mtime_ns": state.st_mtime_ns if settled else None,
            "sha256": content,
        }
    return result


def read_cache(file: Path, source: Source) -> Interactions | None:
    """Read what is kept for these files; None if there is nothing, or nothing that still holds."""
    try:
        # Opened as a file of ours: np.load would leave it open where it is not a zip archive.
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            meta = json.loads(archive["meta"].tobytes())
            if not _current(meta["stamps"], source):
                _log.debug("%s: the source files have changed", file)
                return None
            arrays = {name: archive[name] for name in archive.files if name != "meta"}
        fields = meta["fields"]
        for part in _PARTS:
            matrix = CSR(arrays[f"{part}.indptr"], arrays[f"{part}.indices"])
            _check(matrix, fields["users"], fields["items"])
            fields[part] = matrix
        return Interactions(**fields)
    except FileNotFoundError:
        return None
    except Exception as error:  # zip, zlib, numpy and json each raise kinds of their own
        _log.debug("%s: rebuilt, since it cannot be read (%s)", file, error)
        return None


def write_cache(file: Path, data: Interactions, taken: dict[str, dict[str, Any]]) -> None:
    """Keep a data set; a folder that cannot be written to is no error.

    Args:
        file: as `cache_file` names it.
        data: what to keep.
        taken: `stamps` of its files, from before they were read.
    """
    fields = {
        name: getattr(data, name)
        for name in ("name", "split", "title", "note", "users", "items", "repairs", "temporal")
    }
    fields |= {"fingerprint": data.fingerprint, "fingerprints": data.fingerprints}
    meta = json.dumps({"stamps": taken, "fields": fields}).encode()
    arrays: dict[str, Any] = {"meta": np.frombuffer(meta, dtype=np.uint8)}
    for part in _PARTS:
        matrix = getattr(data, part)
        arrays |= {f"{part}.indptr": matrix.indptr, f"{part}.indices": matrix.indices}
    scratch = None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".tmp", delete=False) as stream:
            scratch = Path(stream.name)
            np.savez(stream, **arrays)
        scratch.replace(file)
    except OSError as error:
        _log.debug("%s: not kept (%s)", file, error)
        if scratch is not None:
            with contextlib.suppress(OSError):
                scratch.unlink()


def _current(kept: dict[str, dict[str, Any]], source: Source) -> bool:
    """Whether the files are as they were; the content decides where only the time differs."""
    for part, path in source.parts.items():
        state = path.stat()
        if state.st_size != kept[part]["size"]:
            return False
        same_time = state.st_mtime_ns == kept[part]["mtime_ns"]
        if not same_time and _sha256(path) != kept[part]["sha256"]:
            return False
    return True


def _sha256(path: Path) -> str:
    """Hex sha256 of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _check(matrix: CSR, users: int, items: int) -> None:
    """Refuse a matrix that would make the engine read outside an array."""
    indptr, indices = matrix.indptr, matrix.indices
    if indptr.dtype != np.int64 or indices.dtype != np.int32:
        raise ValueError("an array of another type")
    if indptr.shape != (users + 1,) or indptr[0] != 0 or indptr[-1] != indices.size:
        raise ValueError("row pointers that do not fit")
    if (np.diff(indptr) < 0).any():
        raise ValueError("row pointers that fall")
    if indices.size and (int(indices.min()) < 0 or int(indices.max()) >= items):
        raise ValueError("an item id out of range")
