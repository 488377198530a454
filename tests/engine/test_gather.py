"""Reading rows by numbers that repeat: the same as by PyTorch's own operations."""

from __future__ import annotations

import torch
from torch.nn import functional

from bench.engine.gather import distinct, take


def test_distinct_numbers_are_those_of_torch():
    generator = torch.Generator().manual_seed(0)
    for size, count in ((1, 4), (50, 300), (50, 7), (4000, 60)):
        numbers = torch.randint(size, (count,), generator=generator)
        expected = torch.unique(numbers, return_inverse=True)
        for ours, theirs in zip(distinct(numbers, size), expected, strict=True):
            assert torch.equal(ours, theirs)


def test_gradients_of_taken_rows_are_summed(double):
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(9, 3, generator=generator, requires_grad=True)
    places = [torch.randint(9, shape, generator=generator) for shape in ((4,), (20,), (5, 2))]
    weights = [torch.randn(*place.shape, 3, generator=generator) for place in places]

    def gradient(taken):
        total = sum((one * weight).sum() for one, weight in zip(taken, weights, strict=True))
        return torch.autograd.grad(total, rows)[0]

    expected = gradient([functional.embedding(place, rows) for place in places])
    assert torch.allclose(gradient(take(rows, *places)), expected, rtol=1e-13)
