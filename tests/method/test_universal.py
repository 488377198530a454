"""Hash functions."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.method import draw_hashes, hashed, least_prime


@pytest.mark.parametrize(
    ("least", "prime"),
    [(0, 2), (1, 2), (2, 2), (3, 3), (4, 5), (8, 11), (9, 11), (24, 29), (2**31 - 20, 2**31 - 19)],
)
def test_least_prime(least, prime):
    assert least_prime(least) == prime


def test_hash_by_hand():
    drawn = torch.tensor([[4, 3], [0, 8]], dtype=torch.int32)
    # p = 7: a = 1 + 4 = 5, c = 3; a = 1, c = 1. Rows: 3.
    found = hashed(torch.arange(7), drawn, 7, 3)
    assert found[:, 0].tolist() == [h % 3 for h in (3, 1, 6, 4, 2, 0, 5)]
    assert found[:, 1].tolist() == [h % 3 for h in (1, 2, 3, 4, 5, 6, 0)]


def test_each_number_may_have_a_prime_and_rows_of_its_own():
    drawn = draw_hashes(3, torch.Generator().manual_seed(0))
    numbers = torch.tensor([4, 4])
    both = hashed(numbers, drawn, torch.tensor([7, 11]), torch.tensor([3, 5]))
    assert torch.equal(both[0], hashed(numbers[:1], drawn, 7, 3)[0])
    assert torch.equal(both[1], hashed(numbers[:1], drawn, 11, 5)[0])


@given(st.integers(1, 3000), st.integers(1, 500), st.integers(0, 2**31))
def test_rows_get_equal_numbers(count, rows, seed):
    prime = least_prime(count)
    drawn = draw_hashes(1, torch.Generator().manual_seed(seed))
    load = torch.bincount(hashed(torch.arange(count), drawn, prime, rows).flatten(), minlength=rows)
    assert len(load) == rows
    assert load.max() <= -(-prime // rows)
    assert load.min() >= prime // rows - (prime - count)


def test_pairs_of_numbers_collide_as_seldom_as_by_chance():
    """Universality: over draws, two numbers share one of M rows with probability 1 / M or less."""
    prime, rows = least_prime(1000), 20
    drawn = draw_hashes(4000, torch.Generator().manual_seed(0))
    pairs = torch.tensor([[0, 1], [3, 500], [998, 999], [0, 20]])
    found = hashed(pairs, drawn, prime, rows)
    share = (found[:, 0] == found[:, 1]).float().mean(1)
    assert share.max() < 1.3 / rows  # 4,000 draws: 0.05 plus four standard errors is 0.064
