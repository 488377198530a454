"""A split as bytes, for other processes and machines: a NumPy archive without objects."""

from __future__ import annotations

import io
import json
from typing import Any, BinaryIO

import numpy as np

from bench.data.csr import CSR
from bench.data.interactions import Interactions

_PARTS = ("train", "valid", "test")
_FIELDS = ("name", "split", "title", "note", "users", "items", "fingerprint", "repairs", "temporal")


def write_split(data: Interactions, stream: BinaryIO, compressed: bool = False) -> None:
    """Write a split into an open file."""
    arrays: dict[str, Any] = {}
    for part in _PARTS:
        matrix: CSR = getattr(data, part)
        arrays |= {f"{part}.indptr": matrix.indptr, f"{part}.indices": matrix.indices}
    fields = {name: getattr(data, name) for name in (*_FIELDS, "fingerprints", "test_count")}
    meta = np.frombuffer(json.dumps(fields).encode(), dtype=np.uint8)
    save = np.savez_compressed if compressed else np.savez
    save(stream, meta=meta, **arrays)


def pack_split(data: Interactions) -> bytes:
    """Return a split as few bytes."""
    stream = io.BytesIO()
    write_split(data, stream, compressed=True)
    return stream.getvalue()


def unpack_split(content: bytes) -> Interactions:
    """Return the split of such bytes."""
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        fields = json.loads(stored["meta"].tobytes())
        for part in _PARTS:
            fields[part] = CSR(stored[f"{part}.indptr"], stored[f"{part}.indices"])
    return Interactions(**fields)
