"""A backbone that cannot be trained under an objective is refused before anything runs."""

from __future__ import annotations

import pytest
from support.judge import JudgeHere

from bench.backbones.registry import find_backbones
from bench.check import tiny_data
from bench.errors import SpecError
from bench.method.registry import find_methods
from bench.runs.execute import execute
from bench.runs.plan import plan
from bench.runs.suite import Suite

METHODS = find_methods()
OBJECTIVES = {
    "bpr": {"name": "bpr"},
    "bpr, shared": {"name": "bpr", "shared": True, "negatives": 8},
    "softmax": {"name": "softmax", "negatives": 8},
    "ccl": {"name": "ccl", "negatives": 8},
    "squared": {"name": "squared"},
}
REFUSED = {
    ("mlp", "bpr, shared"): r"batch normalisation needs .* --set mlp\.norm=false",
    ("mlp", "softmax"): r"batch normalisation needs .*name=bpr",
    ("mlp", "ccl"): "batch normalisation needs",
    ("mlp", "squared"): "squared needs a dot-product score, mlp has none",
    ("neumf", "squared"): "squared needs a dot-product score, neumf has none",
}


def planned(backbone: str, objective: str, **scored: object):
    suite = Suite.model_validate(
        {
            "methods": ["full"],
            "backbones": [backbone],
            "backbone": {backbone: scored},
            "dim": 8,
            "seeds": 1,
            "training": {"objective": OBJECTIVES[objective], "epochs": 1, "lr": 0.01},
        }
    )
    return plan(suite, tiny_data(), METHODS, "bench run")[-1].run


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("backbone", find_backbones())
def test_a_pair_that_is_not_refused_trains(backbone, objective, store):
    if says := REFUSED.get((backbone, objective)):
        with pytest.raises(SpecError, match=says):
            planned(backbone, objective)
        return
    run, data = planned(backbone, objective), tiny_data()
    record = execute(run, data, METHODS, store, JudgeHere(data, METHODS))
    assert (record.status, record.error) == ("ok", None)


def test_mlp_without_normalisation_takes_shared_negatives():
    assert planned("mlp", "softmax", norm=False).spec.backbone.config["norm"] is False
