"""Statistics of a board: intervals over seeds, paired tests over users, average ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, ndtr, ndtri, stdtr, stdtrit

CONFIDENCE = 0.95
ALPHA = 1 - CONFIDENCE
LEAST_SEEDS = 3
"""Differences between rows of fewer seeds are shown and not tested."""

MARGIN = 0.02
"""A loss of at most this share of the best score is close, and a gain of less is no reason for a
larger table."""

LEAST_USERS = 2
"""Nor are those of fewer test users."""

SEED_CAUTION = 3.0
"""Weight of the seeds in the degrees of freedom: the least whole number that keeps the type-I error
at or below .06 with three seeds, whatever the ratio of the noises (docs/lab/significance.md)."""

Numbers = Any
"""A float, or an array of float64."""


@dataclass(frozen=True)
class Summary:
    """A number over seeds.

    Attributes:
        mean: the mean.
        sd: sample standard deviation; None for one seed.
        low: lower end of the 95 % interval of the mean; None for one seed.
        high: upper end.
        n: number of seeds that have the number.
    """

    mean: float
    sd: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Comparison:
    """How a row differs from another.

    Attributes:
        difference: mean over users and seeds of this row minus the other.
        low: lower end of the 95 % interval; None where the difference cannot be tested, like all
            that follow: fewer than `LEAST_SEEDS` seeds, or no per-user metrics of the same users.
        high: upper end.
        p: two-sided p-value, uncorrected.
        corrected: the p-value after Holm's correction over the comparisons of the leaderboard; for
            differences from the best row, after Tukey's over all pairs of rows.
    """

    difference: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    corrected: float | None = None

    @property
    def tested(self) -> bool:
        """Return whether noise is known well enough for a p-value."""
        return self.corrected is not None

    @property
    def significant(self) -> bool:
        """Return whether the difference was tested and its corrected p-value is below 5 %."""
        return self.corrected is not None and self.corrected < ALPHA

    @property
    def unsure(self) -> bool:
        """Return whether the difference was tested and may be noise."""
        return self.tested and not self.significant

    def close(self, best: float) -> bool:
        """Return whether the row loses no more than the margin to the best, and noise at that.

        With few seeds a test finds large differences only, so the test alone calls rows equal that
        are far apart.

        Args:
            best: the score of the best row, which the difference is to.
        """
        return self.unsure and -self.difference <= MARGIN * best


@dataclass(frozen=True)
class Ranking:
    """Average ranks over the boards on which all methods stand.

    Attributes:
        names: the methods, best average rank first.
        ranks: their average ranks, same order.
        boards: number of boards averaged over.
        p: p-value of Friedman's test that all methods rank alike; None for too few boards.
        critical: Nemenyi's critical difference at 5 %; None for too few boards.
        accounting: what the budgets count that were averaged over, "bytes" or "values", where
            there are budgets of both; empty otherwise.
    """

    names: tuple[str, ...]
    ranks: tuple[float, ...]
    boards: int
    p: float | None
    critical: float | None
    accounting: str = ""

    @property
    def groups(self) -> tuple[tuple[int, int], ...]:
        """Return the largest groups that do not differ, as places of the first and last name.

        Nemenyi's differences are read if Friedman's test finds one; if not, all are one group.
        A method that differs from all others is in no group. Nothing without a test.
        """
        last = len(self.ranks) - 1
        if self.p is None or self.critical is None:
            return ()
        if self.p >= ALPHA:
            return ((0, last),)
        found: list[tuple[int, int]] = []
        for first, rank in enumerate(self.ranks):
            end = max(i for i, other in enumerate(self.ranks) if other - rank < self.critical)
            if end > first and (not found or end > found[-1][1]):
                found.append((first, end))
        return tuple(found)


def summarise(numbers: Sequence[float | None]) -> Summary | None:
    """Return mean, standard deviation and Student's 95 % interval; None without numbers.

    Args:
        numbers: one per seed; None and non-finite ones are missing and left out.
    """
    known = sorted(float(x) for x in numbers if x is not None and math.isfinite(x))
    if not known:
        return None
    n = len(known)
    mean = math.fsum(known) / n
    if n == 1:
        return Summary(mean, None, None, None, 1)
    sd = math.sqrt(math.fsum((x - mean) ** 2 for x in known) / (n - 1))
    half = float(stdtrit(n - 1, 1 - ALPHA / 2)) * sd / math.sqrt(n)
    return Summary(mean, sd, mean - half, mean + half, n)


def holm(p: Sequence[float]) -> list[float]:
    """Return Holm's step-down corrected p-values, in the order given (Holm 1979)."""
    corrected = [0.0] * len(p)
    running = 0.0
    for step, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        running = max(running, min(1.0, p[index] * (len(p) - step)))
        corrected[index] = running
    return corrected


def tukey(p: Sequence[float], rows: int) -> list[float]:
    """Return p-values of differences from the best of some rows, corrected over all pairs.

    The best row was picked by the numbers that it is then compared by, so its difference from the
    others is large by choice. The range of `rows` equally good ones is what it is measured by: a
    p-value is turned into the normal deviate z that has it, and z sqrt(2) is read as a range
    (Tukey 1953; by the p-value because each pair has degrees of freedom of its own).

    Args:
        p: two-sided p-values.
        rows: number of rows that the best was picked from.
    """
    return [max(one, 1 - _range_within(-float(ndtri(one / 2)) * math.sqrt(2), rows)) for one in p]


def difference(
    observed: Numbers, users: Numbers, users_freedom: float, seeds: Sequence[tuple[Numbers, float]]
) -> tuple[Numbers, Numbers]:
    """Return half of the 95 % interval and the two-sided p-value of a difference of two means.

    The variances of the parts add up. Student's t is read at Satterthwaite's degrees of freedom,
    which weigh the parts by their variances (Satterthwaite 1946). A variance of three seeds is
    itself a rough guess: where it comes out small by chance, the plain formula trusts the users
    too much, and 5 % become up to 8 %. So the parts of the seeds count `SEED_CAUTION` times when
    degrees of freedom are worked out, and once in the variance (docs/lab/significance.md).

    Args:
        observed: the difference; a number or an array, like all others here.
        users: variance of the difference from the choice of the test users.
        users_freedom: degrees of freedom of that variance.
        seeds: for each of the two means, its variance from the seeds and the degrees of freedom.
    """
    variance = users + sum(part for part, _ in seeds)
    weighted = users + sum(SEED_CAUTION * part for part, _ in seeds)
    square = users**2 / users_freedom
    square = square + sum((SEED_CAUTION * part) ** 2 / freedom for part, freedom in seeds)
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = np.where(square > 0, np.divide(weighted**2, square), 1e9)
        error = np.sqrt(variance)
        t = np.where(observed == 0, 0.0, np.divide(np.abs(observed), error))
    return stdtrit(freedom, 1 - ALPHA / 2) * error, 2 * stdtr(freedom, -t)


def average_ranks(names: Sequence[str], scores: NDArray[np.float64]) -> Ranking:
    """Return average ranks with Friedman's test and Nemenyi's difference (Demšar, JMLR 2006).

    Args:
        names: the methods.
        scores: float64 [boards, methods]; higher is better, none missing.
    """
    return rank_test(names, np.stack([ranks(-row) for row in scores]), least=2)


def rank_test(names: Sequence[str], each: NDArray[np.float64], *, least: int) -> Ranking:
    """Return average ranks with their test, as `average_ranks` does, from the ranks on each board.

    Ranks with ties, and means of several rankings, vary less than whole ranks from 1 to k. So the
    variance k (k + 1) / 12 of the usual formulas is replaced by that of the given ranks, as in
    Friedman's correction for ties.

    Args:
        names: the methods.
        each: float64 [boards, methods]; 1 is best.
        least: boards below which there is no test.
    """
    boards, k = each.shape
    mean = each.mean(axis=0)
    order = sorted(range(k), key=lambda i: (mean[i], names[i]))
    p = critical = None
    if boards >= least and k >= 2:
        middle = (k + 1) / 2
        variance = float(np.sum((each - middle) ** 2)) / (boards * (k - 1))
        spread = boards * float(np.sum((mean - middle) ** 2))
        p = float(chdtrc(k - 1, spread / variance)) if variance else 1.0
        critical = _studentized_range(k) * math.sqrt(2 * variance / boards)
    return Ranking(
        tuple(names[i] for i in order), tuple(float(mean[i]) for i in order), boards, p, critical
    )


def ranks(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks from 1, the lowest score first, ties sharing their mean."""
    order = np.sort(scores)
    first = np.searchsorted(order, scores, side="left")
    last = np.searchsorted(order, scores, side="right")
    return (first + last + 1) / 2


def _studentized_range(k: int) -> float:
    """The quantile of the range of k standard normal values, over sqrt(2)."""
    low, high = 0.0, 20.0
    for _ in range(50):
        q = (low + high) / 2
        low, high = (q, high) if _range_within(q, k) < CONFIDENCE else (low, q)
    return high / math.sqrt(2)


def _range_within(q: float, k: int) -> float:
    """The probability that the range of k standard normal values is at most q.

    It is k int phi(z) (Phi(z) - Phi(z - q))^(k-1) dz. scipy.stats has it, but takes a second to
    import, for this number alone.
    """
    z = np.linspace(-8.0, 8.0, 2001)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    within = k * float(np.sum(density * (ndtr(z) - ndtr(z - q)) ** (k - 1))) * (z[1] - z[0])
    return min(1.0, within)
