"""The loss that pulls scores to a teacher's."""

from __future__ import annotations

import math

import pytest
import torch

from bench.backbones.mf import MF
from bench.backbones.registry import find_backbones
from bench.check import tiny_data
from bench.engine.distillation import Distillation, _some
from bench.engine.loop import Fit
from bench.engine.objectives import BPR, Softmax
from bench.engine.settings import Training
from bench.method import Table
from bench.method.registry import get_method

DATA = tiny_data()
USERS, ITEMS = DATA.users, DATA.items
DIM = 8


def scored(kind=MF):
    backbone = kind(DATA, DIM, kind.Config())
    backbone.reset(torch.Generator().manual_seed(3))
    return backbone


def drawn(seed, rows=USERS + ITEMS):
    return torch.randn(rows, DIM, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_hand_case_of_one_user_and_two_items(temperature):
    """A teacher of .75 and .25, scores of .5 and .5: .75 ln 1.5 + .25 ln .5."""
    teacher = torch.zeros(USERS + ITEMS, DIM)
    teacher[5, 0] = 1
    teacher[USERS + 2, 0] = math.log(3) * temperature
    ids, vectors = torch.tensor([5, USERS + 2, USERS + 9]), torch.zeros(3, DIM)
    loss = Distillation(teacher, scored(), temperature, 2.0).loss(vectors, ids, step=0)
    assert float(loss) == pytest.approx(2 * 0.130812, rel=1e-5)


@pytest.mark.parametrize("name", sorted(find_backbones()))
@torch.no_grad()
def test_no_loss_where_the_scores_are_the_teachers(name):
    backbone, teacher = scored(find_backbones()[name]).eval(), drawn(0)
    one = Distillation(teacher, backbone, 0.3, 1.0)
    ids = torch.arange(USERS + ITEMS)
    vectors = backbone.embed(backbone.spread(teacher))
    assert float(one.loss(vectors, ids, 0)) == pytest.approx(0, abs=1e-5)
    assert float(one.loss(vectors.flip(1) + 1, ids, 0)) > 0.01


@pytest.mark.parametrize("name", sorted(find_backbones()))
@torch.no_grad()
def test_the_teachers_scores_stay_when_the_backbone_learns(name):
    backbone = scored(find_backbones()[name]).eval()
    one, ids = Distillation(drawn(0), backbone, 0.3, 1.0), torch.arange(USERS + ITEMS)
    before = one._scorer.matrix(one._teacher[:4], one._teacher[USERS:])
    for weight in backbone.parameters():
        weight.add_(1.0)
    assert torch.equal(before, one._scorer.matrix(one._teacher[:4], one._teacher[USERS:]))
    if list(backbone.parameters()):
        assert float(one.loss(backbone.embed(backbone.spread(drawn(0))), ids, 0)) > 1e-4


def test_large_batches_take_turns():
    seen = [_some(USERS, USERS + ITEMS, 16, step) for step in range(3)]
    places = [torch.arange(USERS + ITEMS)[one] for one in seen]
    assert all(len(one) <= 16 for one in places)
    assert torch.cat(places).sort().values.tolist() == list(range(USERS, USERS + ITEMS))


def test_gradient_lowers_the_loss_and_leaves_the_teacher():
    teacher, ids = drawn(0), torch.arange(USERS + ITEMS)
    one, rows = Distillation(teacher, scored(), 1.0, 1.0), drawn(1).requires_grad_()
    kept, losses = one._teacher.clone(), []
    for _ in range(20):
        loss = one.loss(rows, ids, 0)
        (gradient,) = torch.autograd.grad(loss, rows)
        rows = (rows - 5 * gradient).detach().requires_grad_()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert torch.equal(one._teacher, kept)


@pytest.mark.parametrize("objective", [Softmax(negatives=8, temperature=0.5), BPR()])
def test_training_comes_nearer_to_the_teacher(objective):
    kind, far = get_method("distilled"), {}
    bare = Table(USERS, ITEMS, DIM, std=0.1, teacher=drawn(4))
    ids = torch.arange(bare.ids)
    for weight in (0.0, 30.0):
        config = kind.Config(width=DIM, distil=weight, user_bits=4, scale_bits=8)
        training = Training(objective=objective, lr=0.02, batch=64, epochs=8, patience=8)
        method, backbone = kind(bare, config), scored()
        Fit(method, backbone, DATA, training, seed=0).run()
        with torch.no_grad():
            temperature = getattr(objective, "temperature", 1.0)
            one = Distillation(drawn(4), backbone, temperature, 1.0)
            far[weight] = float(one.loss(method(ids), ids, 0))
    assert far[30.0] < 0.8 * far[0.0]


def test_methods_without_a_weight_or_a_teacher_have_none():
    kind = get_method("distilled")
    for weight, teacher in ((0.0, drawn(0)), (5.0, None)):
        table = Table(USERS, ITEMS, DIM, teacher=teacher)
        method = kind(table, kind.Config(width=DIM, distil=weight, user_bits=4, scale_bits=8))
        assert Distillation.of(method, scored(), BPR()) is None


@pytest.mark.parametrize("name", sorted(find_backbones()))
def test_the_loss_leaves_a_backbone_in_training_and_its_statistics_alone(name):
    backbone = scored(find_backbones()[name]).train()
    one, ids = Distillation(drawn(0), backbone, 0.3, 1.0), torch.arange(USERS + ITEMS)
    vectors = backbone.embed(backbone.spread(drawn(1)))
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    assert float(one.loss(vectors, ids, 0).detach()) > 0
    assert backbone.training
    after = backbone.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
