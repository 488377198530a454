"""A device that is not there is refused in one line with the remedy."""

from __future__ import annotations

import pytest
import torch

from bench.engine.devices import check_device
from bench.errors import BenchError


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two CUDA devices."""
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.parametrize("name", ["cpu", "cuda", "cuda:0", "cuda:1"])
def test_what_is_there_is_taken(name: str, cards: None) -> None:
    check_device(name)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("gpu", "write cuda"),
        ("mps", "write cpu, cuda or"),
        ("cuda:x", "write cpu, cuda or cuda:NUMBER"),
        ("cuda:-1", "write cpu, cuda or cuda:NUMBER"),
        ("cuda:99", "there are cuda:0, cuda:1"),
        ("", "write cpu"),
    ],
)
def test_what_is_not_there_is_refused(name: str, remedy: str, cards: None) -> None:
    with pytest.raises(BenchError, match=remedy) as caught:
        check_device(name)
    assert f"--device {name}" in str(caught.value)


def test_a_build_without_cuda_and_a_machine_without_a_card_are_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: False)
    with pytest.raises(BenchError, match="built for processors only"):
        check_device("cuda")
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BenchError, match="nvidia-smi"):
        check_device("cuda:1")
