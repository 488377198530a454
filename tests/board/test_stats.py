"""Statistics against values worked out elsewhere and against simulation."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from scipy import stats as scipy_stats
from scipy.stats import ttest_ind, ttest_rel

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


def test_tukey() -> None:
    # Tables of the studentized range, any number of degrees of freedom, 5 %: 3.314 for three
    # means, 4.622 for twelve.
    for rows, q in ((3, 3.314), (12, 4.622)):
        p = 2 * (1 - NormalDist().cdf(q / math.sqrt(2)))
        assert stats.tukey([p], rows) == [pytest.approx(0.05, abs=2e-4)]
    assert stats.tukey([0.02, 1.0, 0.0], 2) == pytest.approx([0.02, 1.0, 0.0], abs=1e-6)


def test_of_equal_rows_few_boards_call_one_worse_than_the_best() -> None:
    generator, wrong = np.random.default_rng(2), 0
    for _ in range(2000):
        means = np.sort(generator.normal(size=12))[::-1]
        z = (means[0] - means[1:]) / math.sqrt(2)
        p = [2 * (1 - NormalDist().cdf(float(one))) for one in z]
        wrong += min(stats.tukey(p, 12)) < 0.05
    assert abs(wrong / 2000 - 0.05) < 0.016  # with Holm's correction it is 0.16


def test_a_difference_between_users_alone_is_the_paired_t_test() -> None:
    generator = np.random.default_rng(1)
    a, b = generator.random((2, 800))
    gaps = a - b
    half, p = stats.difference(gaps.mean(), gaps.var(ddof=1) / 800, 799, [])
    exact = ttest_rel(a, b)
    assert p == pytest.approx(exact.pvalue)
    assert gaps.mean() - half == pytest.approx(exact.confidence_interval().low)


def test_a_difference_between_seeds_alone_is_the_test_of_welch() -> None:
    a, b = np.array([0.31, 0.35, 0.30]), np.array([0.28, 0.27, 0.29, 0.275])
    parts = [(x.var(ddof=1) / len(x), len(x) - 1) for x in (a, b)]
    _, p = stats.difference(a.mean() - b.mean(), 0.0, 100, parts)
    assert p == pytest.approx(ttest_ind(a, b, equal_var=False).pvalue)


def test_no_noise_and_no_difference() -> None:
    assert stats.difference(0.0, 0.0, 10, [(0.0, 2)])[1] == 1
    assert stats.difference(0.1, 0.0, 10, [(0.0, 2)])[1] == 0


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


def test_ties_are_corrected_as_in_scipy() -> None:
    scores = np.round(np.random.default_rng(6).random((9, 5)) * 3 + np.arange(5) / 3)
    found = stats.average_ranks(list("abcde"), scores)
    assert found.p == pytest.approx(scipy_stats.friedmanchisquare(*scores.T).pvalue)
    nothing = stats.average_ranks(["a", "b"], np.ones((4, 2)))
    assert (nothing.p, nothing.critical) == (1.0, 0.0)
    assert nothing.groups == ((0, 1),)


@pytest.mark.parametrize("together", [0.0, 0.5, 0.9])
def test_means_of_ranks_differ_by_chance_in_five_per_cent(together: float) -> None:
    """Two budgets of six data sets, whose scores have a part in common; no method is better."""
    generator = np.random.default_rng(7)
    found = 0
    for _ in range(400):
        common, own = generator.normal(size=(6, 1, 4)), generator.normal(size=(6, 2, 4))
        scores = together**0.5 * common + (1 - together) ** 0.5 * own
        each = np.array([[stats.ranks(-row) for row in one] for one in scores]).mean(axis=1)
        test = stats.rank_test(list("abcd"), each, least=3)
        found += test.p is not None and test.p < 0.05
    assert 0.02 <= found / 400 <= 0.08


def test_one_board_gives_no_test() -> None:
    found = stats.average_ranks(["a", "b"], np.array([[0.1, 0.2]]))
    assert (found.names, found.ranks) == (("b", "a"), (1.0, 2.0))
    assert found.p is None
    assert found.critical is None


def test_ties_share_their_rank() -> None:
    found = stats.average_ranks(["a", "b", "c"], np.array([[0.2, 0.2, 0.1], [0.2, 0.2, 0.1]]))
    assert found.ranks == (1.5, 1.5, 3.0)


@pytest.mark.parametrize("k", [2, 3, 5, 10, 20])
def test_the_studentized_range_is_that_of_scipy(k):
    expected = float(scipy_stats.studentized_range.ppf(stats.CONFIDENCE, k, np.inf))
    assert stats._studentized_range(k) * 2**0.5 == pytest.approx(expected, rel=1e-6)
