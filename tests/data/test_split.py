import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.data import pairs

from bench.data import CSR, split
from bench.data.split import cut

MASK = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15


def mix(z):
    z ^= z >> 30
    z = z * 0xBF58476D1CE4E5B9 & MASK
    z ^= z >> 27
    z = z * 0x94D049BB133111EB & MASK
    return z ^ (z >> 31)


def slow_cut(wanted, percent, seed, purpose):
    """The documented rule in plain integers, a user at a time."""
    start = mix((seed * 4 + {"valid": 1, "test": 2}[purpose]) * GOLDEN & MASK)
    taken = set()
    for user in {user for user, _ in wanted}:
        state = mix((start + (user + 1) * GOLDEN) & MASK)
        items = [item for one, item in wanted if one == user]
        share = len(items) * percent
        quota = share // 100 + ((mix(state) >> 33) % 100 < share % 100)
        quota = max(min(quota, len(items) - 1), 0)
        items.sort(key=lambda item: (mix((state + (item + 1) * GOLDEN) & MASK) >> 31, item))
        taken |= {(user, item) for item in items[:quota]}
    return taken


def matrix_of(wanted, rows):
    users, items = np.array(sorted(wanted), dtype=np.int64).reshape(-1, 2).T
    return CSR.from_pairs(users, items, rows)[0]


PAIRS = st.sets(st.tuples(st.integers(0, 9), st.integers(0, 60)), min_size=1)


@given(PAIRS, st.integers(0, 99), st.integers(0, 2**40), st.sampled_from(["valid", "test"]))
@settings(max_examples=150, deadline=None)
def test_cut_is_the_documented_rule(wanted, percent, seed, purpose):
    kept, taken = cut(matrix_of(wanted, 10), percent, seed, purpose)
    assert set(pairs(taken)) == slow_cut(wanted, percent, seed, purpose)
    assert sorted(pairs(kept) + pairs(taken)) == sorted(wanted)
    assert (kept.degrees()[[user for user, _ in wanted]] > 0).all()


def test_cut_never_changes():
    # If this fails, every published split id names other data than before.
    _, taken = cut(matrix_of({(u, i) for u in range(4) for i in range(10)}, 4), 20, 0, "valid")
    assert pairs(taken) == [(0, 0), (0, 7), (1, 0), (1, 6), (2, 0), (2, 4), (3, 4), (3, 8)]


def test_cut_takes_its_share_of_large_and_of_small_users():
    rng = np.random.Generator(np.random.PCG64(0))
    for degree in (2, 3, 27):
        wanted = [(u, i) for u in range(4000) for i in rng.choice(500, degree, replace=False)]
        _, taken = cut(matrix_of(wanted, 4000), 10, 0, "valid")
        # Five standard deviations of the share that chance rounds.
        spread = 5 * 0.5 / np.sqrt(4000) / degree
        assert taken.nnz / len(wanted) == pytest.approx(0.1, abs=spread)


def test_cut_is_even_over_items():
    wanted = [(u, i) for u in range(3000) for i in range(20)]
    _, taken = cut(matrix_of(wanted, 3000), 10, 0, "valid")
    counts = np.bincount(taken.indices, minlength=20)
    assert taken.nnz == 6000
    assert abs(counts - 300).max() < 5 * np.sqrt(300)


def test_seeds_and_purposes_cut_differently():
    matrix = matrix_of({(u, i) for u in range(30) for i in range(30)}, 30)
    cuts = {
        (seed, purpose): frozenset(pairs(cut(matrix, 10, seed, purpose)[1]))
        for seed in (0, 1, 2)
        for purpose in ("valid", "test")
    }
    assert len(set(cuts.values())) == 6


def test_of_pairs_with_the_same_hash_the_smaller_items_are_cut(monkeypatch):
    monkeypatch.setattr(split, "_mix", np.zeros_like)
    wanted = {(0, i) for i in range(10)} | {(2, i) for i in (4, 6, 9)}
    kept, taken = cut(matrix_of(wanted, 3), 30, 0, "valid")
    # 3 of the 10, and 0.9 of the 3, which a hash of 0 rounds up.
    assert pairs(taken) == [(0, 0), (0, 1), (0, 2), (2, 4)]
    assert sorted(pairs(kept) + pairs(taken)) == sorted(wanted)
