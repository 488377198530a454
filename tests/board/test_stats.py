"""Statistics against values worked out elsewhere and against simulation."""

from __future__ import annotations

import numpy as np
import pytest

from bench.board import stats


def test_summary_of_three_seeds() -> None:
    found = stats.summarise([0.1, 0.2, 0.3])
    assert found is not None
    assert found.mean == pytest.approx(0.2)
    assert found.sd == pytest.approx(0.1)
    # Student's t with two degrees of freedom: 4.302653 * 0.1 / sqrt(3)
    assert found.high == pytest.approx(0.2 + 4.302653 * 0.1 / 3**0.5, abs=1e-6)
    assert found.low == pytest.approx(0.2 - 4.302653 * 0.1 / 3**0.5, abs=1e-6)
    assert found.n == 3


def test_missing_numbers_are_left_out_and_never_zero() -> None:
    assert stats.summarise([]) is None
    assert stats.summarise([None, float("nan")]) is None
    assert stats.summarise([None, 0.5, float("nan")]) == stats.Summary(0.5, None, None, None, 1)


def test_summary_does_not_depend_on_the_order() -> None:
    numbers = [0.1, 0.7, 0.2, 0.3000001]
    assert stats.summarise(numbers) == stats.summarise(numbers[::-1])


def test_intervals_over_seeds_cover_at_95_percent() -> None:
    generator = np.random.default_rng(0)
    inside = 0
    for _ in range(4000):
        found = stats.summarise(list(generator.normal(0.3, 0.02, 3)))
        assert found is not None and found.low is not None and found.high is not None
        inside += found.low <= 0.3 <= found.high
    assert abs(inside / 4000 - 0.95) < 0.012  # three standard errors are 0.0103


def test_holm() -> None:
    # Example of Holm's step-down procedure: sorted p times 4, 3, 2, 1, made monotone.
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert stats.holm([0.9, 0.8]) == [1.0, 1.0]
    assert stats.holm([]) == []


def test_bootstrap_over_users_agrees_with_the_paired_t_test() -> None:
    generator = np.random.default_rng(1)
    ease = generator.beta(1, 4, 800)
    a = (ease + generator.normal(0.004, 0.05, 800)).astype(np.float32)
    b = (ease + generator.normal(0, 0.05, 800)).astype(np.float32)
    left, right = stats.bootstrap_means([a[:, None], b[:, None]])
    difference = float(np.mean(a.astype(float) - b))
    low, high, p = stats.compare(left[:, 0], right[:, 0], difference)
    from scipy.stats import ttest_rel

    exact = ttest_rel(a, b)
    wide = exact.confidence_interval()
    assert low == pytest.approx(wide.low, abs=0.1 * (wide.high - wide.low))
    assert high == pytest.approx(wide.high, abs=0.1 * (wide.high - wide.low))
    assert p == pytest.approx(exact.pvalue, abs=0.05)
    # Pairing is what makes the interval narrow: unpaired it would be several times wider.
    assert high - low < 0.5 * 4 * float(np.hypot(a.std(), b.std())) / 800**0.5


def test_bootstrap_means_do_not_depend_on_the_other_arrays() -> None:
    generator = np.random.default_rng(2)
    a, b = (generator.random((300, n), dtype=np.float32) for n in (3, 2))
    (alone,) = stats.bootstrap_means([a], resamples=99)
    together = stats.bootstrap_means([b, a], resamples=99)
    assert np.array_equal(alone, together[1])
    assert stats.bootstrap_means([]) == []


def test_resampled_weights_are_means_of_users() -> None:
    ones = np.ones((50, 1), dtype=np.float32)
    (means,) = stats.bootstrap_means([ones], resamples=20)
    assert np.allclose(means, 1)


@pytest.mark.parametrize("seeds", [1, 3])
def test_difference_intervals_cover_at_95_percent(seeds: int) -> None:
    """Two methods that are equal in truth: noise between users, and between seeds."""
    generator = np.random.default_rng(3)
    users, spread = 250, 0.004 if seeds > 1 else 0.0
    inside = 0
    trials = 400
    for trial in range(trials):
        ease = generator.beta(1, 4, users)
        scores = []
        for _ in range(2):
            level = generator.normal(0, spread, seeds)
            noise = generator.normal(0, 0.05, (users, seeds))
            scores.append((ease[:, None] + level + noise).astype(np.float32))
        resampled = stats.bootstrap_means(scores, seed=trial, resamples=299)
        rows = [
            stats.resample_seeds(s.mean(axis=0, dtype=float), seed=2 * trial + i, users=m)
            for i, (s, m) in enumerate(zip(scores, resampled, strict=True))
        ]
        difference = float(scores[0].mean(dtype=float) - scores[1].mean(dtype=float))
        low, high, _ = stats.compare(rows[0], rows[1], difference)
        inside += low <= 0 <= high
    # With three seeds the noise between them is itself known only roughly.
    assert inside / trials > (0.93 if seeds == 1 else 0.90)
    assert inside / trials < 0.99


def test_resampled_seeds_vary_as_their_mean_does() -> None:
    """The variance of a mean of three is s^2 / 3; plain resampling would give two thirds of it."""
    means = np.array([0.0, 1.0, 2.0])
    users = np.full((20_000, 3), means.mean())
    resampled = stats.resample_seeds(means, seed=0, users=users)
    assert resampled.mean() == pytest.approx(1.0, abs=0.02)
    assert resampled.var() == pytest.approx(1 / 3, rel=0.03)


def test_a_clear_difference_is_found_and_equality_is_not() -> None:
    generator = np.random.default_rng(4)
    base = generator.beta(1, 4, 500).astype(np.float32)[:, None]
    better = base + np.float32(0.02) + generator.normal(0, 0.02, (500, 1)).astype(np.float32)
    first, second = stats.bootstrap_means([base, better])
    difference = float(better.mean() - base.mean())
    low, high, p = stats.compare(second[:, 0], first[:, 0], difference)
    assert p == pytest.approx(1 / (stats.RESAMPLES + 1))
    assert low > 0.015 and high < 0.025
    assert stats.compare(first[:, 0], first[:, 0], 0.0)[2] == 1.0


def test_average_ranks_agree_with_friedman_and_demsar() -> None:
    scores = np.random.default_rng(5).random((14, 4)) + np.array([0.0, 0.3, 0.1, 0.35])
    found = stats.average_ranks(["a", "b", "c", "d"], scores)
    from scipy.stats import friedmanchisquare, rankdata

    ranks = rankdata(-scores, axis=1).mean(axis=0)
    assert dict(zip(found.names, found.ranks, strict=True)) == pytest.approx(
        dict(zip("abcd", ranks, strict=True))
    )
    assert list(found.ranks) == sorted(found.ranks)
    assert found.p == pytest.approx(friedmanchisquare(*scores.T).pvalue)
    # Demšar, JMLR 2006, section 3.2.2: k = 4, N = 14, q = 2.569 gives CD = 1.25.
    assert found.critical == pytest.approx(2.569 * (4 * 5 / (6 * 14)) ** 0.5, abs=0.001)


def test_one_board_gives_no_test() -> None:
    found = stats.average_ranks(["a", "b"], np.array([[0.1, 0.2]]))
    assert (found.names, found.ranks) == (("b", "a"), (1.0, 2.0))
    assert found.p is None
    assert found.critical is None


def test_ties_share_their_rank() -> None:
    found = stats.average_ranks(["a", "b", "c"], np.array([[0.2, 0.2, 0.1], [0.2, 0.2, 0.1]]))
    assert found.ranks == (1.5, 1.5, 3.0)
