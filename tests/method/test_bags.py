"""Sums of rows and their gradients: the same as by PyTorch's own operations."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from bench.method import Rows
from bench.method.bags import sums_of_rows


@pytest.mark.parametrize("shape", [(20, 3), (4, 5, 1)])
def test_sums_and_gradients_equal_autograds(shape):
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(7, 19, generator=generator, requires_grad=True)
    index = torch.randint(7, shape, generator=generator)
    weights = torch.randn(*shape[:-1], 19, generator=generator)
    found, expected = sums_of_rows(table, index), functional.embedding(index, table).sum(-2)
    torch.testing.assert_close(found, expected)
    ours, theirs = (
        torch.autograd.grad((sums * weights).sum(), table)[0] for sums in (found, expected)
    )
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("count", [3, 40], ids=["few rows", "more than the table has"])
def test_sums_of_a_table_are_sums_of_what_it_looks_up(count):
    generator = torch.Generator().manual_seed(0)
    rows = Rows(11, 4)
    rows.normal(1.0, generator)
    index = torch.randint(11, (count, 2), generator=generator)
    found = rows.sums(index)
    torch.testing.assert_close(found, rows(index).sum(-2))
    with torch.no_grad():
        assert torch.equal(rows.sums(index), rows(index).sum(-2))
