"""Who beats whom on a leaderboard, and by more than noise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from bench.board import stats
from bench.board.model import Entry, Leaderboard, Row, UserScores
from bench.board.quantities import HEADLINE
from bench.records.per_user import PerUser


def score_users(rows: Sequence[Row], users: Mapping[str, PerUser]) -> dict[str, UserScores]:
    """Return the headline by test user, by row key, where all runs of a row have it.

    Args:
        rows: the rows.
        users: the per-user metrics of the runs that have them, by id.
    """
    found = {}
    for row in rows:
        runs = [users[r.id] for r in row.records if r.id in users]
        names = {run.users for run in runs}
        if len(runs) < len(row.records) or len(names) != 1:
            continue
        scores = np.stack([run.ndcg for run in runs])
        own = 0.0
        if len(runs) > 1:
            # What a run does for a user, less the user's mean and the run's mean, is its own.
            rest = scores - scores.mean(axis=0)
            rest -= rest.mean(axis=1, keepdims=True)
            freedom = (len(runs) - 1) * max(1, scores.shape[1] - 1)
            own = float(np.sum(np.square(rest), dtype=np.float64)) / freedom / scores.size
        found[row.key] = UserScores(names.pop(), scores.mean(axis=0), own)
    return found


def compare(row: Row, mine: UserScores | None, other: Row, theirs: UserScores | None) -> _Tested:
    """Return difference, ends of its 95 % interval and p-value; only the first if not testable."""
    gap = (row.mean(HEADLINE) or 0.0) - (other.mean(HEADLINE) or 0.0)
    if mine is None or theirs is None or mine.users != theirs.users:
        return gap, None, None, None
    if (
        min(len(row.seeds), len(other.seeds)) < stats.LEAST_SEEDS
        or len(mine.mean) < stats.LEAST_USERS
    ):
        return gap, None, None, None
    half, p = stats.difference(gap, *noise(row, mine, other, theirs))
    return gap, gap - float(half), gap + float(half), float(p)


_Tested = tuple[float, float | None, float | None, float | None]


def noise(
    row: Row, mine: UserScores, other: Row, theirs: UserScores, factor: float = 1.0
) -> tuple[float, float, list[tuple[float, float]]]:
    """Return the noise of `row - factor * other`, in the form that `stats.difference` takes.

    The users are the same for both rows and for all seeds: what they have in common is the noise
    of the users. What differs from run to run is in the variance between the seeds; it is taken out
    of the variance over users, so that it does not count twice. Rows of fewer seeds than are tested
    have the noise of the users alone, that of their runs included.
    """
    gaps = mine.mean.astype(np.float64) - factor * theirs.mean
    users = float(gaps.var(ddof=1)) / len(gaps) if len(gaps) > 1 else 0.0
    seeds: list[tuple[float, float]] = []
    if min(len(row.seeds), len(other.seeds)) >= stats.LEAST_SEEDS:
        for one, scores, weight in ((row, mine, 1.0), (other, theirs, factor**2)):
            summary = one.numbers[HEADLINE]
            assert summary.sd is not None  # there are several seeds
            between = max(summary.sd**2 / summary.n, scores.own)
            users -= weight * scores.own
            seeds.append((weight * between, summary.n - 1))
    return max(users, 0.0), max(1, len(gaps) - 1), seeds


def compare_rows(
    pairs: Sequence[tuple[Row, UserScores | None, Row, UserScores | None]],
    best_of: int | None = None,
) -> list[stats.Comparison]:
    """Return comparisons of the first row of each pair with the second, corrected together.

    Args:
        pairs: rows with their scores.
        best_of: the second row is the best of so many; None: it was not picked by its score.
    """
    tested = [compare(*pair) for pair in pairs]
    known = [p for *_, p in tested if p is not None]
    corrected = iter(stats.holm(known) if best_of is None else stats.tukey(known, best_of))
    return [stats.Comparison(*one, None if one[3] is None else next(corrected)) for one in tested]


def rank(
    ordered: Sequence[Row],
    control: Row | None,
    references: Sequence[Row],
    scores: Mapping[str, UserScores],
) -> tuple[Entry, ...]:
    """Return rows with their rank, their comparisons and their marks.

    Args:
        ordered: the rows, best first.
        control: the row that all others are compared with, one of the rows.
        references: the rankings without embeddings.
        scores: the headline by user, by row key.
    """
    if not ordered:
        return ()
    to_best = _compare_all(ordered, ordered[0], scores, best_of=len(ordered))
    to_control = _compare_all(ordered, control, scores) if control else {}
    floor = max((row.mean(HEADLINE) or 0.0 for row in references), default=None)
    return tuple(
        Entry(
            row,
            place,
            to_best.get(row.key),
            to_control.get(row.key),
            below_reference=floor is not None and (row.mean(HEADLINE) or 0.0) <= floor,
        )
        for place, row in enumerate(ordered, start=1)
    )


def _compare_all(
    rows: Sequence[Row],
    other: Row,
    scores: Mapping[str, UserScores],
    best_of: int | None = None,
) -> dict[str, stats.Comparison]:
    """Return the corrected comparisons of rows with one of them, by row key."""
    rivals = [row for row in rows if row is not other]
    theirs = scores.get(other.key)
    pairs = [(row, scores.get(row.key), other, theirs) for row in rivals]
    compared = compare_rows(pairs, best_of)
    return {row.key: comparison for row, comparison in zip(rivals, compared, strict=True)}


def average_ranks(leaderboards: Sequence[Leaderboard]) -> stats.Ranking | None:
    """Return average ranks over the budgets, of the methods that stand on all of them.

    Where budgets of bytes and of values stand side by side, those of which there are more count,
    and those of bytes if there are as many. None for one budget, which the leaderboard itself
    ranks, and for fewer than two methods.
    """
    # A full table with other settings stands on a leaderboard without a cap, often alone.
    capped = [one for one in leaderboards if one.cap is not None and one.entries]
    counts = Counter(one.accounting for one in capped)
    chosen = max(counts, key=lambda name: (counts[name], name == "bytes"), default="")
    tables = [_scores(one) for one in capped if one.accounting == chosen]
    if len(tables) < 2:
        return None
    names = sorted(set.intersection(*(set(table) for table in tables)))
    if len(names) < 2:
        return None
    ranking = stats.average_ranks(names, np.array([[t[n] for n in names] for t in tables]))
    return replace(ranking, accounting=chosen if len(counts) > 1 else "")


def _scores(leaderboard: Leaderboard) -> dict[str, float]:
    """Return the headline of the methods that are ranked on a leaderboard, by title."""
    ranked = [one for one in leaderboard.chosen.values() if one.rank is not None]
    return {one.row.title: one.row.mean(HEADLINE) or 0.0 for one in ranked}
