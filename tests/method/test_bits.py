"""Whole numbers of few bits as a stream of bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.method.bits import pack_bits, unpack_bits


def test_three_bits_are_laid_out_least_significant_first_without_gaps():
    stream = pack_bits(np.array([1, 2, 7, 4]), 3)
    assert stream.tolist() == [0b11010001, 0b00001001]


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6, 8])
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_bit_streams_give_back_what_went_in(bits, data):
    codes = data.draw(st.lists(st.integers(0, 2**bits - 1), max_size=60))
    stream = pack_bits(np.array(codes, dtype=np.int64), bits)
    assert len(stream) == -(-len(codes) * bits // 8)
    assert unpack_bits(stream, bits, len(codes)).tolist() == codes


def test_a_stream_that_is_too_short_is_refused():
    with pytest.raises(ValueError, match="hold no 9 codes of 4 bits"):
        unpack_bits(np.zeros(4, dtype=np.uint8), 4, 9)
