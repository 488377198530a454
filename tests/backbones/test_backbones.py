"""Matrix factorisation: dot products and cosines."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from bench.backbones.mf import MF
from bench.engine.evaluate import Evaluator
from bench.engine.rank import rank


def backbone(data, **config):
    return MF(data, 3, MF.Config(**config))


USERS = torch.tensor([[3.0, 4, 0], [0, 0, 2]])
ITEMS = torch.tensor([[1.0, 1, 0], [0, 0, 5]])


def test_dot_product_by_hand(tiny):
    mf = backbone(tiny)
    assert mf.embed(USERS) is USERS
    assert mf.pairs(USERS, ITEMS).tolist() == [7, 10]
    assert mf.matrix(USERS, ITEMS).tolist() == [[7, 0], [0, 10]]


def test_cosine_by_hand(tiny):
    mf = backbone(tiny, similarity="cosine")
    users, items = mf.embed(USERS), mf.embed(ITEMS)
    assert mf.pairs(users, items).tolist() == pytest.approx([7 / 5 / 2**0.5, 1])


@pytest.mark.parametrize(("power", "expected"), [(0.2, 7 / 50**0.4), (0.5, 7 / 50**0.25)])
def test_lengths_keep_a_power_of_both_lengths(tiny, power, expected):
    mf = backbone(tiny, similarity="cosine", lengths=power)
    score = mf.pairs(mf.embed(USERS), mf.embed(ITEMS))[0]  # dot product 7, lengths 5 and 2**.5
    assert float(score) == pytest.approx(expected)


@pytest.mark.parametrize("power", [None, 0.1, 0.7])
def test_the_gradient_of_a_scaled_row_is_autograds(power, double):
    settings = MF.Config(similarity="cosine", norm_power=power)
    rows = torch.randn(9, 5, generator=torch.Generator().manual_seed(2))
    rows[3], rows[4] = 0.0, rows[4] * 1e-14  # too short: divided by a constant
    rows.requires_grad_()
    length = rows.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    expected = rows * length.pow((power or 0.0) - 1)
    weights = torch.randn(9, 5, generator=torch.Generator().manual_seed(3))
    ours = settings.scaled(rows)
    assert torch.allclose(ours, expected, rtol=1e-13)
    (one,) = torch.autograd.grad(ours, rows, weights)
    (other,) = torch.autograd.grad(expected, rows, weights)
    assert torch.allclose(one, other, rtol=1e-10)


@pytest.mark.parametrize("power", [None, 0.3])
def test_scaled_rows_in_float32_are_those_in_float64(power):
    settings = MF.Config(similarity="cosine", norm_power=power)
    rows = torch.randn(9, 21, generator=torch.Generator().manual_seed(2))
    rows[3], rows[4] = 0.0, rows[4] * 1e-14
    weights = torch.randn(9, 21, generator=torch.Generator().manual_seed(3))
    found = []
    for given in (rows, rows.double()):
        given = given.clone().requires_grad_()
        scaled = settings.scaled(given)
        (grad,) = torch.autograd.grad(scaled, given, weights.to(given.dtype))
        found.append((scaled.detach().double(), grad.double()))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_lengths_are_for_cosines():
    with pytest.raises(ValidationError, match="norm_power is for similarity = 'cosine'"):
        MF.Config(lengths=0.1)
    with pytest.raises(ValidationError, match="less than 1"):
        MF.Config(similarity="cosine", lengths=1)
    with pytest.raises(ValidationError, match="greater than 0"):
        MF.Config(similarity="cosine", lengths=0)  # the cosine has one name, not two


def test_a_knob_that_is_not_set_is_not_in_a_record():
    assert MF.Config(similarity="cosine").stored() == {"similarity": "cosine"}
    assert MF.Config(similarity="cosine", lengths=0.1).stored()["lengths"] == 0.1


@pytest.mark.parametrize("lengths", [None, 0.1])
def test_zero_row_has_a_finite_cosine_and_gradient(tiny, lengths):
    mf = backbone(tiny, similarity="cosine", lengths=lengths)
    rows = torch.zeros(2, 3, requires_grad=True)
    score = mf.pairs(mf.embed(rows), mf.embed(ITEMS)).sum()
    score.backward()
    assert float(score.detach()) == 0.0
    assert bool(rows.grad.isfinite().all())


def test_pairs_broadcast_and_matrix_writes_in_place(tiny):
    mf = backbone(tiny)
    negatives = torch.stack((ITEMS, ITEMS.flip(0)), 1)  # [B, k, width]
    assert mf.pairs(USERS.unsqueeze(1), negatives).tolist() == [[7, 0], [10, 0]]
    out = torch.empty(2, 2)
    assert mf.matrix(USERS, ITEMS, out=out) is out
    assert torch.equal(out, mf.matrix(USERS, ITEMS))


@pytest.mark.parametrize(
    "config", [{}, {"similarity": "cosine"}, {"similarity": "cosine", "lengths": 0.3}]
)
def test_ranking_agrees_with_pairs(tiny, config):
    mf = backbone(tiny, **config)
    rows = torch.randn(tiny.ids, 3, generator=torch.Generator().manual_seed(0))
    result = rank(mf, rows, Evaluator(tiny.test, [tiny.train], tiny.items, block=5))
    vectors = mf.embed(rows)
    for user, top in zip(result.users[:6], result.top[:6], strict=True):
        scores = mf.pairs(vectors[user], vectors[tiny.users :])
        scores[tiny.train.row(user).astype("int64")] = -torch.inf
        unseen = tiny.items - len(tiny.train.row(user))
        assert top[:unseen].tolist() == scores.argsort(descending=True)[:unseen].tolist()


def test_it_has_no_parameters_and_refuses_unknown_knobs(tiny):
    assert list(backbone(tiny).parameters()) == []
    with pytest.raises(ValidationError):
        MF.Config(layers=2)
    with pytest.raises(ValidationError):
        MF.Config(similarity="euclid")
