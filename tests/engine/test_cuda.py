"""On a GPU: every method trains, is read back and ranked; training steps do not wait for the GPU.

They run with `pytest -m gpu` on a machine that has one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from bench.backbones.lightgcn import LightGCN
from bench.backbones.mf import MF
from bench.check import tiny_data
from bench.engine.evaluate import Evaluator
from bench.engine.loop import Fit
from bench.engine.rank import rank
from bench.engine.settings import Training
from bench.errors import Infeasible
from bench.method import Budget, Method, Table
from bench.method.file import read_file, write_file
from bench.method.registry import find_methods
from bench.runs.teacher import stand_in

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU here"),
]
METHODS = find_methods()
OBJECTIVES = {
    "softmax": {"name": "softmax", "negatives": 64, "temperature": 0.2},
    "bpr": {"name": "bpr", "negatives": 2},
    "ccl": {"name": "ccl", "negatives": 64},
}


def fitted(kind: type[Method], scored=MF, objective="softmax", bits: int | None = None) -> Fit:
    """A fit of a method on the GPU, on tiny data."""
    data = tiny_data()
    for share in (0.4, 0.8):
        cap = int(share * data.ids * 16 * 4)
        table = Table(data.users, data.items, 16, Budget(cap) if kind.budgeted else None)
        table = stand_in(kind, table, data)
        try:
            fixed = {"bits": bits} if bits and not kind.Config.own_precision else {}
            method = kind(table, kind.plan(table, kind.Config(**fixed)))
            break
        except Infeasible:
            continue
    else:
        pytest.skip("no budget of the tiny data suits it")
    training = Training(
        lr=0.05, batch=32, epochs=4, search_epochs=2, patience=4, objective=OBJECTIVES[objective]
    )
    backbone = scored(data, 16, scored.Config(similarity="cosine"))
    return Fit(method.to("cuda"), backbone.to("cuda"), data, training, 7)


@contextmanager
def waiting_is_an_error() -> Iterator[None]:
    """Makes PyTorch raise where the program would wait for the GPU."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("name", sorted(METHODS))
@pytest.mark.parametrize("scored", [MF, LightGCN])
def test_every_method_trains_and_its_file_gives_the_rows_that_validation_saw(name, scored) -> None:
    kind = METHODS[name]
    fit = fitted(kind, scored)
    if kind.needs and not kind.phases and scored is not MF:
        pytest.skip("has a teacher and no training of its own")
    fit.run()
    fit.method.eval()
    with torch.no_grad():
        rows = fit.method(torch.arange(fit.data.ids, device="cuda")).cpu()
        _, found = read_file(kind, write_file(fit.method), fit.method.table.budget)
        again = found(torch.arange(fit.data.ids))
    assert torch.allclose(rows, again, rtol=1e-4, atol=1e-6)


# TT-Rec is not among them: it asks how many rows use each slice of its first core.
@pytest.mark.parametrize("name", ["full", "dims", "hashing", "qr", "graded", "robe"])
@pytest.mark.parametrize("objective", sorted(OBJECTIVES))
@pytest.mark.parametrize("scored", [MF, LightGCN])
def test_steps_do_not_wait_for_the_gpu(name, objective, scored) -> None:
    fit = fitted(METHODS[name], scored, objective, bits=4)
    _, losses = fit.practice(0)
    for _ in range(4):
        next(losses)
    batches = iter(list(fit.sampler.epoch(3)))
    fit.sampler.epoch = lambda seed: batches  # drawing an epoch may wait
    with waiting_is_an_error():
        for _ in range(3):
            next(losses)


def test_ranking_on_the_gpu_is_that_of_the_processor() -> None:
    fit = fitted(METHODS["full"])
    rows = torch.randn(fit.data.ids, 16, generator=torch.Generator().manual_seed(0))
    results = []
    for device in ("cpu", "cuda"):
        evaluator = Evaluator(fit.data.test, [fit.data.train], fit.data.items, device)
        results.append(rank(fit.backbone.to(device), rows.to(device), evaluator))
    assert results[0].metrics == pytest.approx(results[1].metrics, abs=1e-6)


def test_equal_seeds_give_equal_runs_on_the_gpu() -> None:
    one, other = fitted(METHODS["hashing"]), fitted(METHODS["hashing"])
    for fit in (one, other):
        fit.run()
    for name, tensor in one.method.state_dict().items():
        assert torch.equal(tensor, other.method.state_dict()[name]), name
