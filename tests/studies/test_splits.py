"""The study of public splits finds a part that is not random, and only that."""

from __future__ import annotations

import numpy as np

from bench.data import CSR
from bench.studies.splits import far, rows, shares


def test_shares_by_hand():
    counts = np.array([10] * 10 + [5, 5])
    cut = np.array([5] * 10 + [1, 0])
    assert shares(counts, cut) == [0.5, 0.1]


def test_a_random_part_has_no_far_items():
    generator = np.random.default_rng(0)
    counts = np.full(200, 400)
    assert far(counts, generator.binomial(counts, 0.2)) == 0


def test_items_that_are_cut_more_often_are_counted():
    generator = np.random.default_rng(0)
    counts = np.full(200, 400)
    chance = np.where(np.arange(200) < 7, 0.4, 0.2)
    assert far(counts, generator.binomial(counts, chance)) == 7


def test_rows_of_a_table():
    one, two, three = (
        CSR.from_pairs(np.array(users), np.array(items), 3)[0]
        for users, items in (([0, 1, 2], [0, 0, 1]), ([0], [1]), ([1, 2], [1, 0]))
    )
    valid, test = rows(one, two, three)
    assert valid == ["validation", "25.0%", "25.0%", *"––––", "1.0", "0"]
    assert test == ["test", "33.3%", "33.3%", *"––––", "1.5", "0"]
