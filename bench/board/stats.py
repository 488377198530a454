"""Statistics of a board: intervals over seeds, paired tests over users, average ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, stdtrit

CONFIDENCE = 0.95
ALPHA = 1 - CONFIDENCE
RESAMPLES = 1999
"""Bootstrap resamples; the smallest p-value is 1 / (RESAMPLES + 1) = 0.0005."""

_CHUNK = 16  # resamples at once: their weights stay in the processor's cache


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
    """How a row differs from another, user by user.

    Attributes:
        difference: mean over users of this row minus the other.
        low: lower end of the 95 % bootstrap interval.
        high: upper end.
        p: two-sided p-value, uncorrected.
        corrected: the p-value after Holm's correction over the comparisons of the board.
    """

    difference: float
    low: float
    high: float
    p: float
    corrected: float

    @property
    def significant(self) -> bool:
        """Return whether the corrected p-value is below 5 %."""
        return self.corrected < ALPHA


@dataclass(frozen=True)
class Ranking:
    """Average ranks over the boards on which all methods stand.

    Attributes:
        names: the methods, best average rank first.
        ranks: their average ranks, same order.
        boards: number of boards averaged over.
        p: p-value of Friedman's test that all methods rank alike; None for fewer than two boards.
        critical: Nemenyi's critical difference at 5 %; None for fewer than two boards.
    """

    names: tuple[str, ...]
    ranks: tuple[float, ...]
    boards: int
    p: float | None
    critical: float | None


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


def bootstrap_means(
    scores: Sequence[NDArray[np.float32]], *, seed: int = 0, resamples: int = RESAMPLES
) -> list[NDArray[np.float64]]:
    """Return the mean over users of every column in every resample of the users.

    The same resamples serve all arrays, which is what makes differences between them paired.
    Each array is multiplied on its own, so that its result does not depend on the others, not
    even in the last digit.

    Args:
        scores: float32 [users, columns] each, the same users in all.
        seed: of the resampling.
        resamples: how many.

    Returns:
        float64 [resamples, columns] for each array.
    """
    if not scores:
        return []
    users = len(scores[0])
    generator = np.random.default_rng(seed)
    means = [np.empty((resamples, array.shape[1])) for array in scores]
    for start in range(0, resamples, _CHUNK):
        count = min(_CHUNK, resamples - start)
        weights = np.empty((count, users), dtype=np.float32)
        for row in range(count):
            drawn = generator.integers(0, users, users)
            weights[row] = np.bincount(drawn, minlength=users)
        for array, mean in zip(scores, means, strict=True):
            mean[start : start + count] = (weights @ array) / users
    return means


def resample_seeds(
    means: NDArray[np.float64], *, seed: int, users: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return resampled row means that carry the noise between seeds as well.

    Drawing n of n seeds with replacement understates their variance by (n-1)/n, which is a third
    at three seeds; the deviations are stretched by sqrt(n/(n-1)) to undo that. With one seed the
    noise between seeds is unknown, and only users are resampled.

    Args:
        means: float64 [seeds], the row's mean per seed over all users.
        seed: of the resampling; rows that differ need different ones.
        users: float64 [resamples, seeds], the means per resample of the users.

    Returns:
        float64 [resamples].
    """
    resamples, n = users.shape
    if n == 1:
        return users[:, 0]
    generator = np.random.default_rng(seed)
    weights = generator.multinomial(n, np.full(n, 1 / n), size=resamples) / n
    centred = means - means.mean()
    return users.mean(axis=1) + math.sqrt(n / (n - 1)) * (weights @ centred)


def compare(
    row: NDArray[np.float64], other: NDArray[np.float64], difference: float
) -> tuple[float, float, float]:
    """Return the 95 % interval and p-value of a difference from its resamples.

    Args:
        row: float64 [resamples] of this row.
        other: float64 [resamples] of the other, from the same resamples of the users.
        difference: the observed difference of the means.

    Returns:
        Lower end, upper end (percentiles), and the two-sided p-value of the resampled
        differences centred on zero.
    """
    resampled = row - other
    low, high = np.quantile(resampled, [ALPHA / 2, 1 - ALPHA / 2])
    extreme = int(np.count_nonzero(np.abs(resampled - difference) >= abs(difference)))
    return float(low), float(high), (1 + extreme) / (1 + len(resampled))


def average_ranks(names: Sequence[str], scores: NDArray[np.float64]) -> Ranking:
    """Return average ranks with Friedman's test and Nemenyi's difference (Demšar, JMLR 2006).

    Args:
        names: the methods.
        scores: float64 [boards, methods]; higher is better, none missing.
    """
    boards, k = scores.shape
    ranks = np.stack([_ranks(-row) for row in scores]).mean(axis=0)
    order = sorted(range(k), key=lambda i: (ranks[i], names[i]))
    p = critical = None
    if boards >= 2 and k >= 2:
        spread = float(np.sum((ranks - (k + 1) / 2) ** 2))
        p = float(chdtrc(k - 1, 12 * boards / (k * (k + 1)) * spread))
        critical = _studentized_range(k) * math.sqrt(k * (k + 1) / (6 * boards))
    return Ranking(
        tuple(names[i] for i in order), tuple(float(ranks[i]) for i in order), boards, p, critical
    )


def _ranks(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks from 1, ties sharing their mean."""
    order = np.sort(scores)
    first = np.searchsorted(order, scores, side="left")
    last = np.searchsorted(order, scores, side="right")
    return (first + last + 1) / 2


def _studentized_range(k: int) -> float:
    # scipy.stats takes half a second to import and only this function needs it.
    from scipy.stats import studentized_range

    return float(studentized_range.ppf(CONFIDENCE, k, np.inf)) / math.sqrt(2)
