"""Checkpoints: what is written is read back, without copies of the tensors."""

from __future__ import annotations

import tracemalloc

import pytest
import safetensors.torch
import torch

from bench.engine.checkpoint import CODES, Checkpoint, State, write_tensors


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
