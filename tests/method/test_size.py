"""Sizes to the byte, against what safetensors writes."""

from __future__ import annotations

import json

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.budget import Budget
from bench.errors import Infeasible
from bench.method.size import Size, describe, f32, largest, size_of

TYPES = [
    torch.float32,
    torch.float16,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
]
shapes = st.lists(st.integers(0, 13), min_size=0, max_size=3).map(tuple)
names = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(names, st.tuples(st.sampled_from(TYPES), shapes), max_size=6))
def test_size_is_the_length_of_the_stored_file(arrays):
    if "__metadata__" in arrays:
        return  # the format's own key
    packed = {name: torch.zeros(shape, dtype=dtype) for name, (dtype, shape) in arrays.items()}
    assert size_of(describe(packed)).bytes == len(safetensors.torch.save(packed))


@settings(max_examples=80, deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=40))
def test_the_text_in_the_header_counts_as_it_is_written(text):
    """As the header of a method is: ASCII, with quotes and escapes."""
    said = json.dumps({"a": text}, ensure_ascii=True)
    content = safetensors.torch.save({"t": torch.zeros(3, 5)}, {"bench": said})
    assert size_of({"t": f32(3, 5)}, said).bytes == len(content)


def test_size_of_many_arrays_whose_offsets_gain_digits():
    packed = {f"core{k}": torch.zeros(10 ** (k % 5), dtype=TYPES[k % 7]) for k in range(30)}
    assert size_of(describe(packed)).bytes == len(safetensors.torch.save(packed))


def test_values_are_all_numbers_but_positions():
    arrays = {
        "a": f32(10, 3),
        "b": (torch.float16, (7,)),
        "codes": (torch.uint8, (100,)),
        "where": (torch.int32, (5, 5)),
        "bits": (torch.int64, (3,)),  # each has room for two float32
    }
    assert size_of(arrays).values == 30 + 7 + 100 + 25 + 6
    assert size_of(arrays, free={"where", "codes"}).values == 30 + 7 + 6


def test_scalar_counts_as_one_value():
    assert size_of({"a": f32()}).values == 1


def test_within_looks_at_what_the_budget_binds():
    size = Size(values=100, bytes=500)
    assert size.within(Budget(100, "values"))
    assert not size.within(Budget(99, "values"))
    assert size.within(Budget(500, "bytes"))
    assert not size.within(Budget(499, "bytes"))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bool, torch.complex64])
def test_types_that_may_not_be_stored_are_named_with_those_that_may(dtype):
    with pytest.raises(TypeError, match=r"'odd'.*float32") as caught:
        describe({"odd": torch.zeros(2, dtype=dtype)})
    assert str(dtype) in str(caught.value)


@pytest.mark.parametrize("accounting", ["bytes", "values"])
@pytest.mark.parametrize("cap", [300, 301, 1000, 4096, 99_999])
def test_largest_knob_fits_and_the_next_does_not(cap, accounting):
    def size(rows):
        return size_of({"t": f32(rows, 8)})

    budget = Budget(cap, accounting)
    knob = largest(size, budget)
    assert size(knob).within(budget)
    assert not size(knob + 1).within(budget)


def test_largest_stays_within_its_bounds():
    def size(rows):
        return size_of({"t": f32(rows, 8)})

    assert largest(size, Budget(10**9), low=3, high=17) == 17
    assert largest(size, Budget(24, "values"), low=3, high=17) == 3
    assert largest(size, Budget(10**9), low=5, high=5) == 5


def test_largest_does_not_ask_for_knobs_far_beyond_the_budget():
    asked = []

    def size(rows):
        asked.append(rows)
        return size_of({"t": f32(rows)})

    assert largest(size, Budget(1000, "values")) == 1000
    assert max(asked) < 3000


def test_infeasible_carries_the_least_size():
    def size(rows):
        return size_of({"t": f32(rows, 8)})

    with pytest.raises(Infeasible) as caught:
        largest(size, Budget(23, "values"), low=3)
    assert (caught.value.minimum, caught.value.unit) == (24, "values")
