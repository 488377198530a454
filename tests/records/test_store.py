"""Records on disk are whole or absent."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from support.make_records import TOYS, make

from bench.errors import BenchError
from bench.files import write_atomic
from bench.records.schema import Failure, Record, digest
from bench.records.store import Store

ARRAYS = {
    "users": np.arange(3, dtype=np.int32),
    "test_items": np.array([1, 3, 2], dtype=np.int32),
    "activity": np.array([0, 4, 2], dtype=np.uint8),
    "recall@20": np.array([1, 1 / 3, 0], dtype=np.float32),
    "ndcg@20": np.array([0.6309298, 0.469278, 0], dtype=np.float32),
    "item_hits": np.array([0, 0, 0, 1, 1]),
    "item_total": np.array([1, 1, 1, 1, 2]),
}
MADE = make(TOYS[0], "mf", "cerp", 0.1, 0)[0]
RECORD = Record.model_validate(MADE | {"id": digest(MADE["spec"])})
SPEC = RECORD.spec


def seed(number: int) -> Record:
    made = make(TOYS[0], "mf", "cerp", 0.1, number)[0]
    return Record.model_validate(made | {"id": digest(made["spec"])})


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_write_creates_folders_and_replaces(tmp_path):
    path = tmp_path / "a" / "b.txt"
    write_atomic(path, lambda stream: stream.write(b"one"))
    write_atomic(path, lambda stream: stream.write(b"two"))
    assert path.read_bytes() == b"two"
    assert files(tmp_path) == ["a/b.txt"]
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt()])
def test_failure_while_writing_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "b.txt"
    write_atomic(path, lambda stream: stream.write(b"old"))

    def fails(stream):
        stream.write(b"half")
        raise error

    with pytest.raises(type(error)):
        write_atomic(path, fails)
    assert path.read_bytes() == b"old"
    assert files(tmp_path) == ["b.txt"]


def test_full_disk_is_one_line_with_the_path_and_a_remedy(tmp_path):
    def full(stream):
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    path = tmp_path / "b.txt"
    with pytest.raises(BenchError, match="No space left on device; make room") as caught:
        write_atomic(path, full)
    assert str(path) in str(caught.value)
    assert files(tmp_path) == []


def test_failure_while_replacing_leaves_nothing(tmp_path, monkeypatch):
    def refuse(source, target):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(BenchError, match="Permission denied"):
        write_atomic(tmp_path / "b.txt", lambda stream: stream.write(b"x"))
    assert files(tmp_path) == []


def test_folder_that_is_a_file(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(BenchError, match="cannot be written"):
        write_atomic(tmp_path / "a" / "b.txt", lambda stream: stream.write(b"x"))


def test_record_lies_under_split_backbone_and_method(store):
    path = store.write(RECORD)
    assert path == store.root / SPEC.dataset.split / "mf" / "cerp" / f"{RECORD.id}.json"
    read = store.read(SPEC, RECORD.id)
    assert read.stored() | {"history": RECORD.stored()["history"]} == RECORD.stored()
    assert read.path == path.relative_to(store.root).as_posix()


def test_record_text_is_stable_and_ends_with_a_newline(store):
    text = store.write(RECORD).read_text()
    again = Record.model_validate(dict(reversed(RECORD.stored().items())))
    assert text == store.write(again).read_text()
    assert text.endswith("}\n")


def test_per_user_arrays_stand_beside_the_record(store):
    store.write(RECORD, ARRAYS)
    found = store.per_user(SPEC, RECORD.id)
    assert found is not None and found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_allclose(found[name], array, atol=3e-4)


def test_what_the_runs_of_a_split_share_is_stored_once(store):
    paths = [store.write(seed(n), ARRAYS) for n in (0, 1)]
    (shared,) = (store.root / SPEC.dataset.split).glob("users-*.npz")
    for path in paths:
        with np.load(path.with_suffix(".npz")) as own:
            assert not {"users", "activity", "test_items"} & set(own.files)
    # A run of another version may not change what others need: it keeps everything to itself.
    before = shared.read_bytes()
    other = ARRAYS | {"activity": ARRAYS["activity"][::-1]}
    path = store.write(seed(2), other)
    assert shared.read_bytes() == before
    with np.load(path.with_suffix(".npz")) as own:
        assert set(own.files) == set(ARRAYS)


def test_record_implies_its_arrays(store, monkeypatch):
    """A kill between the two writes must leave no record without arrays."""

    def fails(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", fails)
    with pytest.raises(BenchError):
        store.write(RECORD, ARRAYS)
    assert store.read(SPEC, RECORD.id) is None
    assert files(store.root) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1.5])
def test_what_no_reader_would_believe_is_not_written(store, value):
    test = RECORD.metrics.test | {"ndcg@20": value}
    metrics = RECORD.metrics.model_copy(update={"test": test})
    with pytest.raises(ValueError, match="ndcg@20"):
        store.write(RECORD.model_copy(update={"metrics": metrics}))
    assert store.read(SPEC, RECORD.id) is None
    assert files(store.root) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"id": "another"}', "\x00\xff"])
def test_damaged_record_counts_as_missing(store, text):
    path = store.write(RECORD)
    path.write_text(text, encoding="latin-1")
    assert store.read(SPEC, RECORD.id) is None


def test_missing_record(store):
    assert store.read(SPEC, RECORD.id) is None


def test_two_processes_may_write_the_same_record(store):
    # Temporary names differ, so neither sees the other's half.
    path = store.write(RECORD)
    error = Failure(type="X", message="y")
    Store(store.root).write(RECORD.model_copy(update={"status": "failed", "error": error}))
    assert json.loads(path.read_text())["status"] == "failed"
    assert len(files(store.root)) == 1


def test_checkpoint_is_discarded_once_and_again(store):
    path = store.work("0123456789ab")
    write_atomic(path, lambda stream: stream.write(b"x"))
    assert path.parent.name == ".work"
    store.discard_work("0123456789ab")
    store.discard_work("0123456789ab")
    assert not path.exists()
