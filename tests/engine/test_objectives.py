"""Objectives by hand, and their gradients against autograd's."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch.nn import functional

from bench.backbones.mf import MF
from bench.backbones.mlp import MLP
from bench.engine import shared_loss
from bench.engine.losses import mean_loss
from bench.engine.objectives import BPR, Contrastive, Objective, Softmax, Squared
from bench.errors import BenchError


@pytest.fixture
def dot(tiny):
    return MF(tiny, 4, MF.Config())


class Plain(MF):
    """The same scores, without any shortcut that an objective takes for dot products."""

    dot = False


def test_bpr_by_hand(dot):
    users = torch.tensor([[1.0, 0], [0, 2]])
    positives = torch.tensor([[3.0, 9], [9, 1]])  # scores 3 and 2
    negatives = torch.tensor([[[1.0, 0], [4, 0]], [[0, 0], [0, 1.5]]])  # 1, 4 and 0, 3
    expected = sum(math.log1p(math.exp(x)) for x in (-2, 1, -2, 1)) / 4
    assert float(mean_loss(BPR(negatives=2), dot, users, positives, negatives)) == pytest.approx(
        expected
    )


def test_bpr_with_shared_negatives_by_hand(dot):
    users = torch.tensor([[1.0, 0], [0, 2]])
    positives = torch.tensor([[3.0, 9], [9, 1]])  # scores 3 and 2
    negatives = torch.tensor([[1.0, 0], [0, 1], [2, 2]])  # 1, 0, 2 and 0, 2, 4
    expected = sum(math.log1p(math.exp(x)) for x in (-2, -3, -1, -2, 0, 2)) / 6
    objective = BPR(negatives=3, shared=True)
    assert objective.negatives_shape(10) == (3,)
    assert float(mean_loss(objective, dot, users, positives, negatives)) == pytest.approx(expected)


def test_softmax_by_hand(dot):
    users = torch.tensor([[1.0, 0], [0, 2]])
    positives = torch.tensor([[3.0, 9], [9, 1]])  # scores 3 and 2
    negatives = torch.tensor([[1.0, 0], [0, 1]])  # 1, 0 and 0, 2
    for temperature in (1.0, 0.5):
        scores = [[s / temperature for s in row] for row in ([3, 1, 0], [2, 0, 2])]
        expected = sum(math.log(sum(map(math.exp, row))) - row[0] for row in scores) / 2
        loss = mean_loss(
            Softmax(negatives=2, temperature=temperature), dot, users, positives, negatives
        )
        assert float(loss) == pytest.approx(expected)


def test_contrastive_by_hand(dot):
    users = torch.tensor([[1.0, 0], [0, 2]])
    positives = torch.tensor([[0.5, 9], [9, 0.25]])  # scores .5 and .5
    negatives = torch.tensor([[0.9, 0], [0, 0.1], [0.5, 0.4]])  # .9, 0, .5 and 0, .2, .8
    objective = Contrastive(negatives=3, margin=0.4, weight=12)
    expected = 0.5 + 12 * (0.5 + 0.1 + 0.4) / 6
    assert objective.negatives_shape(10) == (3,)
    assert float(mean_loss(objective, dot, users, positives, negatives)) == pytest.approx(expected)


def _softmax(temperature):
    def loss(above, below):
        logits = torch.cat((above, below), 1) / temperature
        return functional.cross_entropy(logits, torch.zeros(len(above), dtype=torch.int64))

    return loss


@pytest.mark.parametrize("few", [0, 16], ids=["wide", "narrow"])
@pytest.mark.parametrize("length", [1, 30], ids=["small scores", "large scores"])
@pytest.mark.parametrize("block", [2**19, 14], ids=["at once", "two users at a time"])
@pytest.mark.parametrize(
    ("objective", "formula"),
    [
        (Softmax(negatives=7), _softmax(1.0)),
        (Softmax(negatives=7, temperature=0.1), _softmax(0.1)),
        (
            BPR(negatives=7, shared=True),
            lambda above, below: -functional.logsigmoid(above - below).mean(),
        ),
        (
            Contrastive(negatives=7, margin=0.1, weight=5),
            lambda above, below: (1 - above).mean() + 5 * (below - 0.1).clamp(min=0).mean(),
        ),
    ],
    ids=["softmax", "softmax at a temperature", "bpr", "ccl"],
)
def test_a_loss_of_shared_negatives_and_its_gradient_equal_autograds(
    dot, tiny, double, objective, formula, block, length, few, monkeypatch
):
    monkeypatch.setattr(shared_loss, "_BLOCK", block)
    monkeypatch.setattr(shared_loss, "_FEW", few)
    generator = torch.Generator().manual_seed(0)
    shapes = (5, 4), (5, 4), (7, 4)
    inputs = [length * torch.randn(shape, generator=generator) for shape in shapes]

    def graded(loss):
        ours = [tensor.clone().requires_grad_() for tensor in inputs]
        value = loss(*ours)
        (3 * value).backward()  # a loss may be one term of several
        return float(value.detach()), [tensor.grad for tensor in ours]

    expected, gradients = graded(
        lambda users, positives, negatives: formula(
            (users * positives).sum(1, keepdim=True), users @ negatives.T
        )
    )
    for backbone in (dot, Plain(tiny, 4, MF.Config())):
        value, ours = graded(lambda *a, b=backbone: mean_loss(objective, b, *a))
        assert value == pytest.approx(expected, rel=1e-12)
        for one, other in zip(ours, gradients, strict=True):
            assert torch.allclose(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("objective", [BPR(), Softmax(negatives=1, temperature=0.01)])
def test_losses_stay_finite_at_extreme_scores(dot, objective):
    for sign in (1.0, -1.0):
        users = torch.full((1, 4), 100.0, requires_grad=True)
        below = -sign * torch.ones((1, 1, 4) if isinstance(objective, BPR) else (1, 4))
        loss = mean_loss(objective, dot, users, sign * torch.ones(1, 4), below)
        loss.backward()
        assert bool(loss.isfinite())
        assert bool(users.grad.isfinite().all())


def test_shapes_of_negatives():
    assert BPR(negatives=3).negatives_shape(10) == (10, 3)
    assert Softmax(negatives=3).negatives_shape(10) == (3,)


def test_objective_is_told_by_its_name():
    adapter = TypeAdapter(Objective)
    assert adapter.validate_python({"name": "softmax", "temperature": 0.2}).temperature == 0.2
    hinge, warm, none = {"name": "hinge"}, {"temperature": 1}, {"negatives": 0}
    for wrong in (hinge, {"name": "bpr", **warm}, {"name": "bpr", **none}):
        with pytest.raises(ValidationError):
            adapter.validate_python(wrong)


def test_squared_loss_is_that_of_all_cells():
    """5 users x 7 items, 4 positives: the Gramians give what a loop over all cells gives."""
    generator = torch.Generator().manual_seed(3)
    everyone = torch.randn(12, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    backbone = MF(SimpleNamespace(users=5, items=7), 4, MF.Config())
    pairs = [(0, 0), (0, 3), (2, 6), (4, 1)]
    users, items = (torch.tensor(side) for side in zip(*pairs, strict=True))
    loss = mean_loss(Squared(weight=2.5), backbone, everyone[users], everyone[5 + items], everyone)
    wanted = sum((1 - everyone[u] @ everyone[5 + i]) ** 2 for u, i in pairs) / 4
    cells = [(everyone[u] @ everyone[5 + i]) ** 2 for u in range(5) for i in range(7)]
    wanted = wanted + 2.5 * sum(cells) / 35
    torch.testing.assert_close(loss, wanted)
    grads = [torch.autograd.grad(value, everyone, retain_graph=True)[0] for value in (loss, wanted)]
    torch.testing.assert_close(*grads)


def test_squared_loss_refuses_a_score_that_is_no_dot_product():
    backbone = MLP(SimpleNamespace(users=1, items=1), 2, MLP.Config())
    with pytest.raises(BenchError, match=r"mlp has none; use --set training\.objective\.name"):
        mean_loss(Squared(), backbone, torch.ones(1, 2), torch.ones(1, 2), torch.ones(2, 2))
