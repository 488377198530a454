"""Batches: every pair once, negatives that are none of the user's, all from the seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.data import CSR, Interactions
from bench.engine.batches import Sampler, seed_of
from bench.engine.objectives import BPR, Softmax

CPU = torch.device("cpu")


def collect(data, objective, batch, seed, user_pairs=1):
    return list(Sampler(data, objective, batch, CPU, user_pairs).epoch(seed))


@pytest.mark.parametrize("user_pairs", [1, 2, 3, 1000])
@pytest.mark.parametrize("batch", [1, 7, 64, 10_000])
def test_every_training_pair_comes_once_an_epoch(tiny, batch, user_pairs):
    batches = collect(tiny, BPR(), batch, 1, user_pairs)
    users = torch.cat([b.users for b in batches]).numpy()
    items = torch.cat([b.positives for b in batches]).numpy() - tiny.users
    assert sorted(users << 31 | items) == tiny.train.keys().tolist()
    assert len(batches) == Sampler(tiny, BPR(), batch, CPU).steps
    assert all(len(b.users) == batch for b in batches[:-1])


def test_pairs_of_a_user_stand_together_in_runs_of_random_order_and_items(tiny):
    counts = np.diff(tiny.train.indptr)
    for size in (2, 3):
        one, other = (collect(tiny, Softmax(negatives=1), 10_000, seed, size)[0] for seed in (1, 2))
        users = one.users.numpy()
        changes = 1 + np.count_nonzero(np.diff(users))
        # Two runs of a user may meet by chance.
        runs = int((-(-counts // size)).sum())
        assert 0.9 * runs < changes <= runs
        assert not torch.equal(one.users, other.users)
        # Which items stand together differs between epochs, too.
        user = int(counts.argmax())
        mine = [b.positives[b.users == user].tolist() for b in (one, other)]
        assert sorted(mine[0]) == sorted(mine[1])
        assert mine[0] != mine[1]


def test_negatives_are_items_that_the_user_has_not(tiny):
    known = set(tiny.train.keys().tolist())
    for seed in range(5):
        for users, _, negatives in collect(tiny, BPR(negatives=4), 32, seed):
            assert negatives.shape == (len(users), 4)
            items = negatives - tiny.users
            assert bool(((items >= 0) & (items < tiny.items)).all())
            pairs = (users.unsqueeze(1) << 31 | items).flatten().tolist()
            assert not known & set(pairs)


def test_all_unseen_items_are_drawn_about_equally(tiny):
    objective = BPR(negatives=4)
    batches = [b for seed in range(30) for b in collect(tiny, objective, 999, seed)]
    draws = torch.cat([batch.negatives.flatten() for batch in batches])
    counts = np.bincount(draws.numpy() - tiny.users, minlength=tiny.items)
    assert counts.min() > 0.8 * counts.mean()
    assert counts.max() < 1.2 * counts.mean()


def test_shared_negatives_come_with_each_batch(tiny):
    batches = collect(tiny, Softmax(negatives=9), 32, 1)
    assert all(b.negatives.shape == (9,) for b in batches)
    assert not torch.equal(batches[0].negatives, batches[1].negatives)
    everything = torch.cat([b.negatives for b in batches])
    assert int(everything.min()) >= tiny.users
    assert int(everything.max()) < tiny.ids


@pytest.mark.parametrize("user_pairs", [1, 2])
def test_seed_decides_the_epoch(tiny, user_pairs):
    one, same, other = (collect(tiny, BPR(), 32, seed, user_pairs) for seed in (1, 1, 2))
    for batch, again in zip(one, same, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(batch, again, strict=True))
    assert not torch.equal(one[0].users, other[0].users)


def test_user_who_has_every_item_does_not_stop_the_epoch():
    train = CSR.from_pairs(np.repeat([0, 1], [4, 1]), np.array([0, 1, 2, 3, 0]), 2)[0]
    empty = CSR.empty(2)
    data = Interactions("x", "x", "X", "", 2, 4, train=train, valid=empty, test=empty)
    batches = collect(data, BPR(), 5, 1)
    assert len(batches[0].users) == 5
    other = batches[0].negatives[batches[0].users == 1] - 2
    assert 0 not in other.flatten().tolist()


def test_seeds_are_the_same_in_every_process_and_all_parts_count():
    assert seed_of(0, "train", 3) == 3548068398548065054
    assert len({seed_of(0, "a"), seed_of(0, "b"), seed_of(1, "a"), seed_of("0a"), seed_of()}) == 5
    assert seed_of(1, 23) != seed_of(12, 3)
    assert all(0 <= seed_of(n) < 2**63 for n in range(100))
