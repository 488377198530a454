"""A split and plugin files in the form in which they are sent to another machine."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.data import CSR, Interactions

_PARTS = ("train", "valid", "test")
_FIELDS = ("name", "split", "title", "note", "users", "items", "fingerprint", "repairs", "temporal")


def pack(data: Interactions) -> bytes:
    """Return a split as bytes: a NumPy archive without objects."""
    arrays: dict[str, Any] = {}
    for part in _PARTS:
        matrix: CSR = getattr(data, part)
        arrays |= {f"{part}.indptr": matrix.indptr, f"{part}.indices": matrix.indices}
    fields = {name: getattr(data, name) for name in (*_FIELDS, "fingerprints")}
    meta = np.frombuffer(json.dumps(fields).encode(), dtype=np.uint8)
    stream = io.BytesIO()
    np.savez_compressed(stream, meta=meta, **arrays)
    return stream.getvalue()


def unpack(content: bytes) -> Interactions:
    """Return the split of such bytes."""
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        fields = json.loads(stored["meta"].tobytes())
        for part in _PARTS:
            fields[part] = CSR(stored[f"{part}.indptr"], stored[f"{part}.indices"])
    return Interactions(**fields)


def sources(plugins: Sequence[str]) -> dict[str, str]:
    """Return the plugin files by name; a number keeps files of equal names apart."""
    return {
        f"{number}-{Path(path).name}": Path(path).read_text(encoding="utf-8")
        for number, path in enumerate(plugins)
    }
