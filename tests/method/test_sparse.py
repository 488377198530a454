"""Sparse packing: exact, as small as promised, the cheapest of three codes."""

from __future__ import annotations

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.budget import Budget
from bench.errors import Infeasible
from bench.method.size import describe, size_of
from bench.method.sparse import most_kept, pack_sparse, sparse_arrays, unpack_sparse


def table_and_mask(rows: int, columns: int, kept: int, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    mask = torch.zeros(rows * columns, dtype=torch.bool)
    mask[torch.randperm(rows * columns, generator=generator)[:kept]] = True
    return torch.randn(rows, columns, generator=generator), mask.view(rows, columns)


def check_round_trip(table, mask, free):
    rows, columns = table.shape
    packed = pack_sparse("t", table, mask, free)
    promised = sparse_arrays("t", rows, columns, int(mask.sum()), free)
    assert describe(packed) == promised
    stored = safetensors.torch.save(packed)
    assert len(stored) == size_of(promised).bytes
    back, where = unpack_sparse(safetensors.torch.load(stored), "t", rows, columns)
    assert torch.equal(back, torch.where(mask, table, 0.0))
    if back.shape == packed["t"].shape:
        return  # dense: everything is stored, zeros too
    assert torch.equal(where, mask)


@settings(max_examples=120, deadline=None)
@given(st.integers(1, 30), st.integers(1, 40), st.floats(0, 1), st.booleans(), st.integers(0, 99))
def test_round_trip_is_exact_and_of_the_promised_size(rows, columns, share, free, seed):
    kept = round(share * rows * columns)
    check_round_trip(*table_and_mask(rows, columns, kept, seed), free)


@pytest.mark.parametrize("columns", [1, 2, 3, 63, 64, 65, 128])
def test_round_trip_where_rows_are_empty_or_full(columns):
    # A full row counts `columns` entries, which takes a bit more than the last column's number.
    table, mask = table_and_mask(50, columns, 0)
    mask[7] = True
    mask[49, columns - 1] = True
    mask[0, 0] = True
    check_round_trip(table, mask, False)


@pytest.mark.parametrize(
    ("kept", "keys"),
    [
        (100, {"t", "t.counts", "t.columns"}),
        (16_000, {"t", "t.mask"}),
        (63_000, {"t"}),
        (64_000, {"t"}),
    ],
)
def test_cheapest_code_is_taken(kept, keys):
    assert set(sparse_arrays("t", 1000, 64, kept)) == keys


def test_dense_is_no_choice_where_values_alone_are_counted():
    assert set(sparse_arrays("t", 1000, 64, 63_000, free=True)) == {"t", "t.mask"}
    assert size_of(sparse_arrays("t", 1000, 64, 63_000, free=True)).values == 63_000
    assert set(sparse_arrays("t", 1000, 64, 64_000, free=True)) == {"t"}


def test_bitmap_costs_one_bit_an_entry():
    arrays = sparse_arrays("t", 1000, 64, 16_000)
    assert arrays["t.mask"] == (torch.uint8, (8000,))
    assert arrays["t"] == (torch.float32, (16_000,))


def test_row_counts_and_columns_take_as_few_bits_as_hold_them():
    arrays = sparse_arrays("t", 1000, 64, 100)
    assert arrays["t.counts"] == (torch.uint8, (875,))  # 0..64 take 7 bits
    assert arrays["t.columns"] == (torch.uint8, (75,))  # 0..63 take 6 bits


@pytest.mark.parametrize("shape", [(101, 16), (1000, 64), (7, 3), (300, 128)])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.6, 0.97, 1.5])
def test_most_kept_fits_to_the_entry(shape, share):
    rows, columns = shape
    budget = Budget(int(share * rows * columns * 4))
    try:
        kept = most_kept("t", rows, columns, budget)
    except Infeasible as error:
        assert error.minimum == size_of(sparse_arrays("t", rows, columns, 1)).bytes
        assert error.minimum > budget.cap
        return
    assert size_of(sparse_arrays("t", rows, columns, kept)).within(budget)
    if kept < rows * columns:
        assert not size_of(sparse_arrays("t", rows, columns, kept + 1)).within(budget)


def test_positions_are_free_in_values():
    assert most_kept("t", 100, 8, Budget(123, "values")) == 123
    assert most_kept("t", 100, 8, Budget(10**6, "values")) == 800


def test_cost_never_falls_as_more_is_kept():
    sizes = [size_of(sparse_arrays("t", 40, 9, kept)).bytes for kept in range(361)]
    assert sizes == sorted(sizes)
