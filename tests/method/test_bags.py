"""Sums of rows and their gradients: the same as by PyTorch's own operations."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from bench.engine.adam import Adam
from bench.method import Rows
from bench.method.bags import sums_of_rows
from bench.method.precision import Storage
from bench.method.straight_through import Rounding


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


@pytest.mark.parametrize("bits", [None, 4])
@pytest.mark.parametrize("count", [3, 30], ids=["few rows", "most rows"])
def test_an_optimiser_gets_the_gradients_of_sums(count, bits):
    """Two tables are trained, one by sums and one by the rows that are summed."""
    generator = torch.Generator().manual_seed(0)
    ours, theirs = Rows(40, 4), Rows(40, 4)
    ours.normal(1.0, generator)
    theirs.load_state_dict(ours.state_dict())
    steps = [Adam([{"params": [one.weight], "lr": 0.05}], [one]) for one in (ours, theirs)]
    for one in (ours, theirs):
        if bits:
            one.rounding = Rounding(Storage(bits, "normal", "row"))
            one.rounding.active = True
    for _ in range(12):
        index = torch.randint(40, (count, 2), generator=generator)
        weights = torch.randn(count, 4, generator=generator)
        (ours.sums(index) * weights).sum().backward()
        (theirs(index).sum(-2) * weights).sum().backward()
        for step in steps:
            step.step()
    for step in steps:
        step.close()
    torch.testing.assert_close(ours.weight, theirs.weight)
