"""Every backbone with every method and class of precision, from plan to record, on real data.

A tiny data set does not do: rows, backbones and the fast ways to rank meet only in a catalogue of
some size. The users are the first of MovieLens 100k. Training is just long enough to tell a learned
ranking from a random one.
"""

from __future__ import annotations

import pytest
import torch
from support.data import first_users
from support.judge import JudgeHere

from bench.backbones.registry import find_backbones
from bench.data import Interactions, load
from bench.engine.evaluate import Evaluator
from bench.errors import SpecError
from bench.method.registry import find_methods
from bench.runs.execute import execute
from bench.runs.plan import Planned, keeps_products, plan
from bench.runs.suite import Suite

METHODS = {name: kind for name, kind in find_methods().items() if kind.role != "ablation"}
PRODUCTS = {name for name, kind in METHODS.items() if keeps_products(kind)}
FEW = {"full", "dims-quantised", "hashing", "cerp", "ttrec", "graded", "ptq"}
CELLS = [
    pytest.param(name, method, marks=() if name == "mf" or method in FEW else pytest.mark.slow)
    for name, backbone in find_backbones().items()
    for method in METHODS
    if backbone.narrow or method not in PRODUCTS
]
SUITE = Suite(
    backbones=tuple(find_backbones()),
    methods=tuple(METHODS),
    budgets=("50%",),
    dim=16,
    seeds=1,
    bits=(32, 4),
    training={
        "objective": {"name": "bpr", "negatives": 1},
        "lr": 0.02,
        "batch": 1024,
        "epochs": 3,
        "search_epochs": 1,
        "valid_users": 50,
    },
    backbone={"mlp": {"widths": (1.0,)}},
)


@pytest.fixture(name="data", scope="module")
def data_fixture() -> Interactions:
    pytest.importorskip("recbole", reason="its wheel holds MovieLens 100k")
    return first_users(load("ml-100k"), 450)


@pytest.fixture(name="chance", scope="module")
def chance_fixture(data: Interactions) -> float:
    """NDCG@20 of a random ranking."""
    evaluator = Evaluator(data.test, [data.train, data.valid], data.items)
    generator = torch.Generator().manual_seed(0)
    found = evaluator(lambda users, order, out: out.uniform_(generator=generator))
    return found.metrics["ndcg@20"]


@pytest.fixture(name="planned", scope="module")
def planned_fixture(data: Interactions) -> dict[tuple[str, str], list[Planned]]:
    found: dict[tuple[str, str], list[Planned]] = {}
    apart = [
        SUITE.model_copy(
            update={
                "backbones": (name,),
                "methods": tuple(one.values[1] for one in CELLS if one.values[0] == name),
            }
        )
        for name in find_backbones()
    ]
    for one in (one for suite in apart for one in plan(suite, data, METHODS, "bench run")):
        found.setdefault((one.run.spec.backbone.name, one.run.spec.method.name), []).append(one)
    return found


@pytest.mark.parametrize(("backbone", "method"), CELLS)
def test_every_method_ranks_under_every_backbone(backbone, method, planned, data, chance, store):
    for one in planned[backbone, method]:
        assert one.infeasible is None, one.infeasible
        record = execute(one.run, data, METHODS, store, JudgeHere(data, METHODS))
        assert record.status == "ok", record.error
        assert record.metrics.test["ndcg@20"] > 3 * chance, one.run.command


@pytest.mark.parametrize("method", sorted(PRODUCTS))
def test_what_keeps_products_is_refused_under_a_network(method, data):
    suite = SUITE.model_copy(update={"backbones": ("mlp",), "methods": (method,)})
    with pytest.raises(SpecError, match=f"{method} .* mlp .* mf or lightgcn"):
        plan(suite, data, METHODS, "bench run")
