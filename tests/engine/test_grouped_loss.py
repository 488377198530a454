"""Losses by groups of equal users and negatives: the same as pair by pair."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from bench.engine import grouped_loss, losses
from bench.engine import grouping as loops
from bench.engine.losses import grouping, mean_loss
from bench.engine.objectives import BPR, Contrastive, Softmax, Squared

pytest.importorskip("numba")

DOT = SimpleNamespace(dot=True, name="mf")


def _graded(loss, rows):
    rows = rows.clone().requires_grad_()
    value = loss(rows)
    (3 * value).backward()  # a loss may be one term of several
    return float(value.detach()), rows.grad


def _assert_equal_pair_by_pair(objective, rows, users, positives, negatives):
    expected = _graded(
        lambda table: mean_loss(objective, DOT, table[users], table[positives], table[negatives]),
        rows.double(),
    )
    how = grouping(objective)
    found = _graded(
        lambda table: grouped_loss.grouped_loss(table, users, positives, negatives, how), rows
    )
    assert found[0] == pytest.approx(expected[0], rel=1e-5)
    torch.testing.assert_close(found[1].double(), expected[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("width", [3, 20])
@pytest.mark.parametrize("block", [2**18, 14], ids=["at once", "few users at a time"])
@pytest.mark.parametrize("users_first", [True, False])
@pytest.mark.parametrize(
    "objective",
    [
        Softmax(negatives=12, temperature=0.5),
        Softmax(negatives=12, temperature=0.01),
        Contrastive(negatives=12, margin=0.1, weight=5),
    ],
    ids=["softmax", "softmax with large scores", "ccl"],
)
def test_grouped_losses_and_gradients_equal_those_of_single_pairs(
    objective, block, users_first, width, monkeypatch
):
    monkeypatch.setattr(grouped_loss, "_BLOCK", block)
    generator = torch.Generator().manual_seed(0)
    rows = torch.nn.functional.normalize(torch.randn(30, width, generator=generator), dim=1)
    users = torch.randint(8, (25,), generator=generator)
    users[0] = 7
    users[1:9] = torch.arange(8)
    positives, negatives = (
        torch.randint(8, 30, (count,), generator=generator) for count in (25, 12)
    )
    if not users_first:
        users, positives, negatives = 29 - users, 29 - positives, 29 - negatives
    _assert_equal_pair_by_pair(objective, rows, users, positives, negatives)


@pytest.mark.parametrize("share", [1, 7, 10**6], ids=["few", "some rows have few", "all scores"])
@pytest.mark.parametrize("width", [3, 20])
def test_products_with_the_few_scores_above_a_margin_equal_those_with_all(
    share, width, monkeypatch
):
    """170 distinct negatives: chunks and a rest. A user at a time, so that both kinds mix."""
    assert 170 % loops.CHUNK
    monkeypatch.setattr(losses, "_FEW", share)
    monkeypatch.setattr(grouped_loss, "_BLOCK", 170)
    found = []

    def above_margin(*args):
        found.append(original(*args))
        return found[-1]

    original = loops.above_margin
    monkeypatch.setattr(loops, "above_margin", above_margin)
    generator = torch.Generator().manual_seed(1)
    rows = torch.nn.functional.normalize(torch.randn(300, width, generator=generator), dim=1)
    users = torch.cat([torch.arange(40), torch.randint(40, (30,), generator=generator)])
    positives = torch.randint(40, 300, (70,), generator=generator)
    negatives = torch.randint(40, 210, (60,), generator=generator)
    negatives = torch.cat([torch.arange(40, 210), negatives])
    objective = Contrastive(negatives=230, margin=0.75 if width == 3 else 0.2, weight=5)
    _assert_equal_pair_by_pair(objective, rows, users, positives, negatives)
    assert set(found) == {1: {True}, 7: {True, False}, 10**6: {False}}[share]


def test_a_pair_far_above_all_others_leaves_the_loss_finite():
    """Scores of a user's two pairs: 100 and -5; of the negatives: -6 and -7."""
    rows = torch.tensor([[1.0], [100.0], [-5.0], [-6.0], [-7.0]])
    users, positives = torch.tensor([0, 0]), torch.tensor([1, 2])
    negatives, objective = torch.tensor([3, 4]), Softmax(negatives=2, temperature=1.0)
    _assert_equal_pair_by_pair(objective, rows, users, positives, negatives)


def test_objectives_whose_terms_join_a_pair_and_a_negative_are_not_grouped():
    assert grouping(BPR(negatives=3, shared=True)) is None
    assert grouping(Squared()) is None
