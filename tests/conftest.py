"""What all tests share."""

from __future__ import annotations

import os

import pytest
import torch

from bench.check import tiny_data
from bench.records.store import Store
from bench.runs import environment


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Tiny tensors: more threads only wait for each other, and sums keep their order."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def committed():
    """Boards rank no runs of code with uncommitted changes; tests must not fail for having some."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environment, "code_state", lambda: "0123456789ab")
        yield


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory):
    """Parsed data are kept in a folder of this session, not in the cache of whoever runs it.

    Parallel workers share the folder: each file there is written whole.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(folder / "bench-cache"))
        yield


@pytest.fixture(scope="session")
def tiny():
    return tiny_data()


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results")


@pytest.fixture
def double():
    """float64 wherever a test or the engine asks for no type."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def runs_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Boards are carried out in this process."""
    from support.here import run_all_here

    from bench.runs import schedule

    monkeypatch.setattr(schedule, "run_all", run_all_here)
