"""No training step asks a device for a value: on a GPU it would wait for all steps before it.

Tensors on PyTorch's device `meta` have shapes and no values. The code for a GPU runs on them, and
whatever needs a value raises: `item`, `bool`, `nonzero`, `unique`, indexing with flags, a copy to
the host. What is done once in a phase or an epoch may wait, and is done on the CPU before.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.backbones.base import Backbone
from bench.backbones.graph.propagation import Graph
from bench.backbones.lightgcn import LightGCN
from bench.backbones.mf import MF
from bench.backbones.mlp import MLP
from bench.backbones.neumf import NeuMF
from bench.check import tiny_data
from bench.engine.adam import Adam
from bench.engine.batches import Batch
from bench.engine.loop import Fit
from bench.engine.settings import Training
from bench.errors import Infeasible
from bench.method import Budget, Method, Progress, Table
from bench.method.registry import find_methods
from bench.runs.teacher import stand_in

METHODS = {name: kind for name, kind in find_methods().items() if kind.phases}
OBJECTIVES = {
    "softmax": {"name": "softmax", "negatives": 64, "temperature": 0.2},
    "bpr": {"name": "bpr", "negatives": 2},
    "shared": {"name": "bpr", "negatives": 64, "shared": True},
    "ccl": {"name": "ccl", "negatives": 64},
    "squared": {"name": "squared"},
}
NOWHERE = torch.device("meta")
LATE = Progress(95, 100, 3, 4)  # rounding has begun
_PENALTY = "a penalty needs the distinct rows of a batch, whose number is a value"
WAITING = {
    **dict.fromkeys(("cerp", "cerp-magnitude", "cerp-noreg", "cerp-noretrain"), _PENALTY),
    **dict.fromkeys(("cerp-norewind", "dpq", "mgqe", "mpe", "optembed"), _PENALTY),
    "dhe": "the seed of the hashes is read from a tensor in each step",
    "distilled": "its loss needs the distinct ids of a batch, whose number is a value",
    "graded": "rows are rounded group by group, and a group's size is a value",
    "mixed": "rows are composed group by group, and a group's size is a value",
}


def made(kind: type[Method]) -> Method:
    """A method of the first budget that suits it, in 4 bits where that is a knob."""
    data = tiny_data()
    for share in (0.4, 0.8):
        cap = Budget(int(share * data.ids * 16 * 4)) if kind.budgeted else None
        table = stand_in(kind, Table(data.users, data.items, 16, cap), data)
        fixed = {} if kind.Config.own_precision else {"bits": 4}
        try:
            return kind(table, kind.plan(table, kind.Config(**fixed)))
        except Infeasible:
            continue
    pytest.skip("no budget of the tiny data suits it")


def fitted(method: Method, backbone: Backbone, objective: str) -> Fit:
    """A fit that validates nothing."""
    training = Training(batch=32, epochs=8, objective=OBJECTIVES[objective], l2=0.1)
    epochs = {phase.name: 4 for phase in method.phases}
    return Fit(method, backbone, tiny_data(), training, 7, epochs=epochs)


def move(thing: Any, seen: set[int]) -> None:
    """Take the values from all tensors of a module and of the objects that it has."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, nn.Module):
        thing.to(NOWHERE)
    for name, value in list(getattr(thing, "__dict__", {}).items()):
        if isinstance(value, Tensor):
            object.__setattr__(thing, name, value.to(NOWHERE))
        elif isinstance(value, (list, tuple, dict)):
            for one in value.values() if isinstance(value, dict) else value:
                if type(one).__module__.startswith("bench.") or isinstance(one, nn.Module):
                    move(one, seen)
        elif type(value).__module__.startswith("bench.") or isinstance(value, nn.Module):
            move(value, seen)


def prepare(method: Method, backbone: Backbone, phase: int) -> None:
    """Enter a phase and do a step on the CPU, then take all values."""
    fit = fitted(method, backbone, "bpr")
    fit.state.phase = phase
    optimizer = fit._enter(method.phases[phase])
    fit._step(next(fit.sampler.epoch(1)), LATE, optimizer)
    optimizer.close()
    move(method, set())
    move(backbone, set())


def step(method: Method, backbone: Backbone, objective: str, phase: int) -> None:
    """A step of a phase without values."""
    fit = fitted(method, backbone, objective)
    fit.state.phase = phase
    own = {"params": list(backbone.parameters()), "lr": 0.1}
    optimizer = Adam([*method.groups(0.1), own], method.tables())
    ids = torch.zeros(32, dtype=torch.int64, device=NOWHERE)
    shape = fit.training.objective.negatives_shape(32)
    fit._step(Batch(ids, ids, ids.new_zeros(shape)), LATE, optimizer)
    optimizer.close()


@pytest.mark.parametrize("name", sorted(METHODS))
def test_no_method_waits_for_a_device_in_a_step(name, request):
    if name in WAITING:
        request.applymarker(pytest.mark.xfail(reason=WAITING[name], strict=True))
    for phase in range(len(METHODS[name].phases)):
        method, backbone = made(METHODS[name]), MF(tiny_data(), 16, MF.Config(similarity="cosine"))
        prepare(method, backbone, phase)
        for objective in OBJECTIVES:
            step(method, backbone, objective, phase)


@pytest.mark.parametrize("scored", [LightGCN, NeuMF, MLP])
def test_no_backbone_waits_for_a_device_in_a_step(scored, monkeypatch):
    # PyTorch has no sparse product without values; test_cuda.py shows that it does not wait.
    monkeypatch.setattr(Graph, "product", lambda graph, rows, scale=1.0: rows * scale)
    method, backbone = made(METHODS["full"]), scored(tiny_data(), 16, scored.Config())
    prepare(method, backbone, 0)
    for objective in OBJECTIVES if backbone.dot else ["bpr"]:
        step(method, backbone, objective, 0)


@pytest.mark.parametrize(
    "ask",
    [
        lambda rows: rows.sum().item(),
        lambda rows: bool((rows > 0).all()),
        lambda rows: rows[rows[:, 0] > 0],
        lambda rows: rows.nonzero(),
        lambda rows: torch.unique(rows),
        lambda rows: rows.cpu(),
        lambda rows: rows.detach().numpy(),
    ],
)
def test_a_step_that_asks_for_a_value_is_found(ask, monkeypatch):
    method, backbone = made(METHODS["full"]), MF(tiny_data(), 16, MF.Config())
    prepare(method, backbone, 0)
    step(method, backbone, "softmax", 0)
    monkeypatch.setattr(backbone, "embed", lambda rows: (ask(rows), rows)[1])
    with pytest.raises((RuntimeError, TypeError)):
        step(method, backbone, "softmax", 0)
