"""Small data sets and cards for the tests of bench.data."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench import paths
from bench.data import CSR, Interactions

CHECKOUT = Path(__file__).resolve().parents[2]
TRAIN = "0 0 1 2 3\n1 1 2 4\n2 0 3 4 5\n"
TEST = "0 4 5\n1 0\n2 1 2\n"


@pytest.fixture(name="alone")
def alone_fixture(monkeypatch, tmp_path):
    """No settings of whoever runs the tests, and a cache of the test's own."""
    monkeypatch.delenv("BENCH_DATA", raising=False)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture(name="cards")
def cards_fixture(monkeypatch, tmp_path):
    """An empty folder in place of the installed cards."""
    folder = tmp_path / "cards"
    folder.mkdir()
    monkeypatch.setattr(paths, "folder", lambda name: folder)
    return folder


def write(folder: Path, **files: str | bytes) -> Path:
    """Write files; `train_txt="..."` becomes train.txt, `X_train_inter` becomes X.train.inter."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        data = content.encode() if isinstance(content, str) else content
        (folder / name.replace("_", ".")).write_bytes(data)
    return folder


def first_users(data: Interactions, users: int) -> Interactions:
    """The first users of a data set, or all if there are fewer, with its whole catalogue."""
    users = min(users, data.users)

    def cut(matrix: CSR) -> CSR:
        ends = matrix.indptr[: users + 1]
        return CSR(ends, matrix.indices[: ends[-1]])

    parts = {name: cut(getattr(data, name)) for name in ("train", "valid", "test")}
    fresh = {"fingerprint": "", "fingerprints": {}, "test_count": -1}
    return replace(data, users=users, **parts, **fresh)


def pairs(matrix) -> list[tuple[int, int]]:
    return list(zip(matrix.rows().tolist(), matrix.indices.tolist(), strict=True))


def fingerprint(wanted) -> str:
    """The documented fingerprint, worked out anew."""
    return hashlib.sha256(np.array(sorted(wanted), dtype="<i4").tobytes()).hexdigest()


def real_data() -> Path:
    """Folder of the real files, or skip."""
    named = os.environ.get("BENCH_DATA")
    folder = Path(named) if named else CHECKOUT.parent / "shared" / "data"
    if not (folder / "gowalla" / "train.txt").is_file():
        pytest.skip("the real Gowalla files are not here; set BENCH_DATA to the folder above them")
    return folder
