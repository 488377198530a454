"""Rows of a tensor train, multiplied by shared ends, against the sum over ranks."""

from __future__ import annotations

import pytest
import torch

from bench.method import tensortrain

P, Q, RANKS = (5, 3, 4), (2, 3, 5), (2, 6)

IDS = {
    "all in order": torch.arange(60),
    "some heads and ends not at all": torch.tensor([3, 11, 40, 41]),
    "out of order and again": torch.tensor([59, 7, 7, 7, 31, 2, 59, 0]),
    "all often": torch.arange(180).mul(7) % 60,
    "one row": torch.tensor([5]),
    "none": torch.tensor([], dtype=torch.int64),
}


def cores():
    generator = torch.Generator().manual_seed(0)
    shapes = (
        (P[0], Q[0], RANKS[0]),
        (P[1], Q[1], RANKS[0], RANKS[1]),
        (P[2], Q[2], RANKS[1]),
    )
    return [torch.randn(shape, generator=generator).requires_grad_() for shape in shapes]


@pytest.mark.parametrize("gathered", [2**23, 7 * 15 * 2], ids=["at once", "seven at a time"])
@pytest.mark.parametrize("ids", IDS.values(), ids=IDS)
def test_rows_and_gradients_equal_autograds(double, ids, gathered, monkeypatch):
    monkeypatch.setattr(tensortrain, "_GATHERED", gathered)
    one, two, three = given = cores()
    rows = tensortrain.train_rows(one, two, three, ids)
    i1, i2, i3 = ids // 12, ids // 4 % 3, ids % 4
    expected = torch.einsum("niR,njRS,nkS->nijk", one[i1], two[i2], three[i3]).flatten(1)
    assert torch.allclose(rows, expected, rtol=1e-12)
    weights = torch.randn(rows.shape, generator=torch.Generator().manual_seed(1))
    ours = torch.autograd.grad((rows * weights).sum(), given)
    theirs = torch.autograd.grad((expected * weights).sum(), given)
    for our, their in zip(ours, theirs, strict=True):
        assert torch.allclose(our, their, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("ids", IDS.values(), ids=IDS)
def test_rows_taken_from_all_are_the_same(double, ids):
    one, two, three = given = cores()
    table = tensortrain.train_table(one, two, three, ids)
    expected = tensortrain.train_rows(one, two, three, ids)
    torch.testing.assert_close(table, expected)
    weights = torch.randn(table.shape, generator=torch.Generator().manual_seed(1))
    ours, theirs = (
        torch.autograd.grad((rows * weights).sum(), given) for rows in (table, expected)
    )
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their)
