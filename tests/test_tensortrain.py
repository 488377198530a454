"""Rows of a tensor train, multiplied by shared ends, against the sum over ranks."""

from __future__ import annotations

import pytest
import torch

from bench.tensortrain import train_rows

P, Q, RANKS = (3, 4), (2, 3, 5), (2, 6)  # p2 and p3; q1 to q3; R1 and R2

TAILS = {
    "each end once": torch.arange(12),
    "some ends not at all": torch.tensor([3, 11, 3, 0]),
    "one end for nearly all": torch.tensor([7] * 9 + [2, 0]),
    "all ends often, out of order": torch.arange(60).mul(7) % 12,
    "one row": torch.tensor([5]),
}


def inputs(rows):
    generator = torch.Generator().manual_seed(0)
    shapes = (
        (rows, Q[0], RANKS[0]),
        (P[0], RANKS[0], Q[1], RANKS[1]),
        (P[1], RANKS[1], Q[2]),
    )
    return [torch.randn(shape, generator=generator).requires_grad_() for shape in shapes]


@pytest.mark.parametrize("tails", TAILS.values(), ids=TAILS)
def test_rows_and_gradients_equal_autograds(double, tails):
    heads, core2, core3 = cores = inputs(len(tails))
    rows = train_rows(heads, core2, core3, tails)
    expected = torch.einsum(
        "niR,nRjS,nSk->nijk", heads, core2[tails // P[1]], core3[tails % P[1]]
    ).flatten(1)
    assert torch.allclose(rows, expected, rtol=1e-12)
    weights = torch.randn(rows.shape, generator=torch.Generator().manual_seed(1))
    ours = torch.autograd.grad((rows * weights).sum(), cores)
    theirs = torch.autograd.grad((expected * weights).sum(), cores)
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, rtol=1e-10, atol=1e-12)
