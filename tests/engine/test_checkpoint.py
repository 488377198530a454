"""Checkpoints: what is written is read back, without copies of the tensors."""

from __future__ import annotations

import json
import tracemalloc

import pytest
import safetensors.torch
import torch

from bench.engine.checkpoint import CODES, Checkpoint, State, checksum, write_tensors


@pytest.mark.parametrize("dtype", CODES)
def test_tensors_of_every_type_and_shape_are_read_back(dtype, tmp_path):
    given = {
        "matrix": torch.arange(15).reshape(5, 3).to(dtype),
        "one": torch.ones((), dtype=dtype),
        "none": torch.zeros((0, 4), dtype=dtype),
        "odd": torch.ones(3, dtype=dtype),
    }
    with (tmp_path / "file").open("wb") as stream:
        write_tensors(stream, given, {"state": "x", "torch": "ü"})
    with safetensors.safe_open(str(tmp_path / "file"), "pt") as stored:
        assert stored.metadata() == {"state": "x", "torch": "ü"}
    found = safetensors.torch.load_file(tmp_path / "file")
    assert found.keys() == given.keys()
    for name, tensor in given.items():
        assert found[name].dtype == dtype
        assert torch.equal(found[name], tensor)


def test_saving_makes_no_copy_of_the_tensors(tmp_path):
    tensors = {name: torch.randn(500, 500) for name in "ab"}
    checkpoint = Checkpoint(tmp_path / "c")
    tracemalloc.start()
    try:
        checkpoint.save(State(epoch=3), tensors)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 500_000  # one of them has 1,000,000 bytes
    state, found = checkpoint.load(1)
    assert state.epoch == 3
    assert all(torch.equal(found[name], tensors[name]) for name in "ab")


ORIGIN = {"code": "0123456789ab", "torch": torch.__version__, "device": "cpu"}


def saved(path, origin) -> Checkpoint:
    """One that has been written by a program of some origin."""
    made = Checkpoint(path)
    made.origin = origin
    made.save(State(epoch=3), {"a": torch.ones(2)})
    return made


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"code": "0123456789ab-dirty"}, "written with code 0123456789ab-dirty"),
        ({"torch": "2.0.0"}, "written with torch 2.0.0"),
        ({"device": "cuda"}, "written with device cuda"),
    ],
)
def test_a_file_of_another_origin_is_not_continued(other, said, tmp_path, caplog):
    path = tmp_path / "c"
    saved(path, ORIGIN | other)
    mine = Checkpoint(path)
    mine.origin = ORIGIN
    assert mine.load(1) is None
    assert said in caplog.text
    assert not path.exists()
    assert saved(path, ORIGIN).load(1) is not None


def test_a_file_of_an_earlier_version_is_not_continued(tmp_path, caplog):
    text, tensors = json.dumps({"epoch": 3}), {"a": torch.ones(2)}
    meta = {"state": text, "torch": torch.__version__, "crc32": checksum(text, tensors)}
    with (tmp_path / "c").open("wb") as stream:
        write_tensors(stream, tensors, meta)
    assert Checkpoint(tmp_path / "c").load(1) is None
    assert "written with torch unknown" in caplog.text


def test_seconds_of_earlier_processes_are_kept(tmp_path, monkeypatch):
    clock = iter([0.0, 40.0, 40.0, 1000.0, 1002.0])
    monkeypatch.setattr("bench.engine.checkpoint.time.monotonic", lambda: next(clock))
    saved(tmp_path / "c", ORIGIN)  # begins at 0 and is saved at 40
    again = Checkpoint(tmp_path / "c")  # begins at 1000
    again.origin = ORIGIN
    assert again.load(1) is not None
    assert again.earlier == 40
    assert again.seconds == 42
    again.discard(ValueError("its tensors do not fit"))
    assert again.earlier == 0
