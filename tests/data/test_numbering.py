"""Numbering of users and items during a run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.data import CSR, Interactions
from bench.data.numbering import number


def split_of(seed: int = 0, users: int = 30, items: int = 20) -> Interactions:
    rng = np.random.default_rng(seed)
    pairs = np.argwhere(rng.random((users, items)) < rng.random(items) * 0.6)
    which = rng.integers(0, 3, len(pairs))
    parts = [CSR.from_pairs(*pairs[which == k].T, users)[0] for k in range(3)]
    return Interactions("toy", "toy", "Toy", "", users, items, *parts)


def pairs_of(part: CSR) -> set[tuple[int, int]]:
    return set(zip(part.rows().tolist(), part.indices.tolist(), strict=True))


@pytest.mark.parametrize("how", ["popularity", "random", "file"])
def test_pairs_are_the_same_under_their_original_numbers(how):
    data = split_of()
    numbered = number(data, how)
    for name in ("train", "valid", "test"):
        back = {
            (int(numbered.users[u]), int(numbered.items[i]))
            for u, i in pairs_of(getattr(numbered.data, name))
        }
        assert back == pairs_of(getattr(data, name))
    assert numbered.data.fingerprint == data.fingerprint


def test_low_numbers_are_frequent():
    numbered = number(split_of(), "popularity").data
    assert (np.diff(numbered.user_counts()) <= 0).all()
    assert (np.diff(numbered.item_counts()) <= 0).all()


def test_equal_counts_do_not_keep_the_order_of_the_file():
    """All users and items have the same count: nothing of the file's order may be left."""
    users = np.repeat(np.arange(200), 2)
    ring = CSR.from_pairs(users, (users + np.tile([0, 1], 200)) % 200, 200)[0]
    data = Interactions("ring", "ring", "Ring", "", 200, 200, ring, CSR.empty(200), ring)
    order = number(data, "popularity").items
    assert abs(np.corrcoef(order, np.arange(200))[0, 1]) < 0.3
    assert not (order == number(data, "popularity").users).all()


def test_only_training_counts_decide():
    data = split_of()
    other = replace(data, valid=data.test, test=data.valid, fingerprint="", fingerprints={})
    for part in ("users", "items"):
        one, two = (getattr(number(d, "popularity"), part) for d in (data, other))
        assert one.tolist() == two.tolist()
