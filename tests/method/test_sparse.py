"""Sparse packing: exact, as small as promised, the cheapest of three codes."""

from __future__ import annotations

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.budget import Budget
from bench.errors import Infeasible
from bench.method import Table
from bench.method.registry import get_method
from bench.method.size import describe, size_of
from bench.method.sparse import pack_sparse, sparse_arrays, unpack_sparse


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
    arrays = sparse_arrays("t", 1000, 64, 63_000, free=True)
    assert size_of(arrays, free={"t.mask"}).values == 63_000
    assert set(sparse_arrays("t", 1000, 64, 64_000, free=True)) == {"t"}


def test_bitmap_costs_one_bit_an_entry():
    arrays = sparse_arrays("t", 1000, 64, 16_000)
    assert arrays["t.mask"] == (torch.uint8, (8000,))
    assert arrays["t"] == (torch.float32, (16_000,))


def test_row_counts_and_columns_take_as_few_bits_as_hold_them():
    arrays = sparse_arrays("t", 1000, 64, 100)
    assert arrays["t.counts"] == (torch.uint8, (875,))  # 0..64 take 7 bits
    assert arrays["t.columns"] == (torch.uint8, (75,))  # 0..63 take 6 bits


PEP = get_method("pep")


@pytest.mark.parametrize("ids", [(51, 50), (600, 400), (4, 3)])
@pytest.mark.parametrize("dim", [3, 16, 64])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.6, 0.97, 1.5])
def test_most_kept_fits_to_the_entry(ids, dim, share):
    """The header states how many, so that one more digit counts, too."""
    entries = sum(ids) * dim
    table = Table(*ids, dim, Budget(int(share * entries * 4)))

    def size(kept):
        return PEP.file_size(table, PEP.Config(kept=kept))

    try:
        kept = PEP.plan(table, PEP.Config()).kept
    except Infeasible as error:
        assert error.minimum == size(1).bytes > table.cap.cap
        assert "positions" in str(error)
        return
    assert size(kept).within(table.cap)
    assert kept == entries or not size(kept + 1).within(table.cap)


def test_positions_are_free_in_values():
    assert PEP.plan(Table(60, 40, 8, Budget(123, "values")), PEP.Config()).kept == 123
    assert PEP.plan(Table(60, 40, 8, Budget(10**6, "values")), PEP.Config()).kept == 800


@pytest.mark.parametrize("header", ["", "x" * 3, "x" * 700])
def test_cost_never_falls_as_more_is_kept(header):
    arrays = [sparse_arrays("t", 40, 9, kept, header=header) for kept in range(361)]
    sizes = [size_of(one, header).bytes for one in arrays]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize("kept", [20, 300])
def test_positions_that_do_not_fit_are_refused(kept):
    table, mask = table_and_mask(50, 16, kept)
    packed = pack_sparse("t", table, mask)
    part = "t.mask" if "t.mask" in packed else "t.columns"
    for wrong in (packed[part][:-1], packed[part] ^ 255):
        with pytest.raises(ValueError, match="positions of t do not fit its"):
            unpack_sparse({**packed, part: wrong}, "t", 50, 16)
