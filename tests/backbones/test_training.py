import pytest
import torch
from support.backbones import random_data

from bench.backbones.registry import find_backbones, get_backbone
from bench.budget import parse_budget
from bench.check.subject import Subject
from bench.data import load
from bench.engine.loop import Fit
from bench.engine.objectives import BPR
from bench.engine.settings import Training
from bench.method import Table
from bench.method.registry import find_methods
from bench.runs.plan import plan
from bench.runs.suite import find_suite, validated

DIM = 8
CONFIG = {"mlp": {"widths": (1.0,), "norm": True}}
BACKBONES = sorted(find_backbones())
METHODS = sorted(find_methods())


def fitted(data, backbone, method, **training):
    kind, base = find_methods()[method], get_backbone(backbone)
    settings = {"objective": BPR(negatives=2), "lr": 0.01, "batch": 256, "epochs": 2}
    settings |= {"search_epochs": 2, "valid_users": 100, **training}
    table = Table(
        users=data.users,
        items=data.items,
        dim=DIM,
        budget=parse_budget("50%", data.ids, DIM) if kind.budgeted else None,
        counts=torch.from_numpy(data.counts()),
    )
    given = Subject(kind).given(table, data.train)
    embeddings = kind(given, kind.plan(table, kind.Config()))
    scores = base(data, DIM, base.Config.model_validate(CONFIG.get(backbone, {})))
    fit = Fit(embeddings, scores, data, Training(**settings), seed=0)
    return fit, fit.run()


@pytest.mark.parametrize("backbone", BACKBONES)
def test_loss_falls_on_ml_100k(backbone):
    pytest.importorskip("recbole", reason="MovieLens 100k comes with RecBole")
    _, state = fitted(load("ml-100k"), backbone, "full", batch=1024, epochs=3)
    losses = [entry["loss"] for entry in state.history]
    assert losses[-1] < losses[0] - 0.02
    assert losses[-1] < 0.65


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_under_every_backbone(backbone, method):
    data = random_data(users=120, items=150, seed=8)
    fit, state = fitted(data, backbone, method, epochs=5)
    if not fit.method.phases:
        return
    assert state.phases[-1]["name"] == fit.method.phases[-1].name
    last = [entry["loss"] for entry in state.history if entry["phase"] == state.phases[-1]["name"]]
    if not fit.method.phases[-1].until_budget:  # a search may lose what it prunes
        assert last[-1] < last[0]
    with torch.no_grad():
        rows = fit.method(torch.arange(data.ids))
    assert rows.isfinite().all()


def test_training_of_a_whole_backbone_repeats():
    data = random_data(users=60, items=80, seed=9)
    runs = [fitted(data, "lightgcn", "full")[1].history for _ in range(2)]
    assert [entry["loss"] for entry in runs[0]] == [entry["loss"] for entry in runs[1]]


def test_suite_holds_the_four_backbones():
    suite = find_suite("backbones")
    assert set(suite.backbones) == {"mf", "lightgcn", "neumf", "mlp"}
    for name in suite.backbones:
        get_backbone(name).Config.model_validate(suite.backbone.get(name, {}))


def test_learning_rate_and_l2_are_of_the_backbone_for_all_its_methods():
    data = random_data(users=60, items=80, seed=9)
    content = {"backbones": ["mf", "lightgcn"], "methods": ["full", "hashing"], "budgets": ["50%"]}
    own = {
        "when": {"backbone": "lightgcn"},
        "set": {"training.lr": 0.02, "training.l2": 0.001, "training.epochs": 3},
    }
    suite = validated({**content, "seeds": 1, "override": [own]}, "test")
    found = {
        (one.run.spec.backbone.name, training.lr, training.l2, training.epochs)
        for one in plan(suite, data, find_methods(), "bench run")
        if (training := one.run.spec.training)
    }
    assert found == {("mf", 0.001, 0.0, 50), ("lightgcn", 0.02, 0.001, 3)}
