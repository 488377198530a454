"""Streams of whole numbers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.method import bits_for, pack_numbers, stream_bytes, unpack_numbers


def test_by_hand():
    # 5 = 101, 2 = 010, 7 = 111: 10101011 1.......
    assert pack_numbers(torch.tensor([5, 2, 7]), 3).tolist() == [0b10101011, 0b10000000]


@given(st.integers(1, 20), st.data())
def test_numbers_come_back(bits, data):
    numbers = data.draw(st.lists(st.integers(0, 2**bits - 1), max_size=40))
    stream = pack_numbers(torch.tensor(numbers, dtype=torch.int64), bits)
    assert len(stream) == stream_bytes(len(numbers), bits)
    assert unpack_numbers(stream, bits, len(numbers)).tolist() == numbers


@pytest.mark.parametrize(("top", "bits"), [(0, 1), (1, 1), (2, 2), (255, 8), (256, 9)])
def test_bits_hold_the_largest_number(top, bits):
    assert bits_for(top) == bits


def test_a_short_stream_is_refused():
    with pytest.raises(ValueError, match="1 bytes hold no 3 numbers of 3 bits"):
        unpack_numbers(torch.zeros(1, dtype=torch.uint8), 3, 3)
