"""Who beats whom on a leaderboard, and by more than noise."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from bench.board import stats
from bench.board.model import Entry, Leaderboard, Row, Samples
from bench.board.quantities import HEADLINE
from bench.records.per_user import PerUser


def resample(rows: Sequence[Row], users: Mapping[str, PerUser]) -> Samples:
    """Return resampled means of the headline, by row key, where all runs have per-user metrics.

    Only rows over the same users can be paired; the commonest set of users is taken.
    """
    paired: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        sets = {users[r.id].users if r.id in users else "" for r in row.records}
        if len(sets) == 1 and "" not in sets:
            paired[sets.pop()].append(row)
    if not paired:
        return Samples("", {})
    commonest = max(paired, key=lambda name: (len(paired[name]), name))
    chosen = paired[commonest]
    scores = [np.stack([users[r.id].ndcg for r in row.records], axis=1) for row in chosen]
    means = {
        row.key: stats.resample_seeds(
            array.mean(axis=0, dtype=np.float64), seed=int(row.key, 16), users=resampled
        )
        for row, array, resampled in zip(chosen, scores, stats.bootstrap_means(scores), strict=True)
    }
    return Samples(commonest, means)


def placed(
    ranked: Sequence[Row],
    control: Row | None,
    references: Sequence[Row],
    samples: Samples,
) -> tuple[Entry, ...]:
    """Return ranked rows, best first, with their comparisons and marks.

    Args:
        ranked: the rows, best first.
        control: the control of the same size that all are compared with, one of the rows.
        references: the rankings without embeddings.
        samples: resampled means of the rows.
    """
    if not ranked:
        return ()
    best = ranked[0]
    to_best = _comparisons(ranked, best, samples)
    to_control = _comparisons(ranked, control, samples) if control else {}
    others = [row for row in ranked if row is not best]
    clear = bool(others) and all(
        (found := to_best.get(row.key)) is not None and found.significant for row in others
    )
    unbeaten = _unbeaten(ranked, samples)
    floor = max((row.mean(HEADLINE) or 0.0 for row in references), default=None)
    return tuple(
        Entry(
            row,
            rank,
            to_best.get(row.key),
            to_control.get(row.key),
            best=clear and row is best,
            unbeaten=unbeaten.get(row.key, ()),
            below_reference=floor is not None and (row.mean(HEADLINE) or 0.0) <= floor,
        )
        for rank, row in enumerate(ranked, start=1)
    )


def _unbeaten(ranked: Sequence[Row], samples: Samples) -> dict[str, tuple[str, ...]]:
    """Return, by row key, the controls that a method does not beat.

    Without per-user metrics the means decide; that is said where the marks are explained.
    """
    found: dict[str, tuple[str, ...]] = {}
    for control in (row for row in ranked if row.role == "control"):
        comparisons = _comparisons(ranked, control, samples)
        for row in ranked:
            if row.role not in ("method", "ablation"):
                continue
            ahead = (row.mean(HEADLINE) or 0.0) > (control.mean(HEADLINE) or 0.0)
            comparison = comparisons.get(row.key)
            if not (ahead and (comparison is None or comparison.significant)):
                found[row.key] = (*found.get(row.key, ()), control.label)
    return found


def _comparisons(rows: Sequence[Row], other: Row, samples: Samples) -> dict[str, stats.Comparison]:
    """Return the Holm-corrected comparisons of rows with one of them, by row key."""
    rivals = [row for row in rows if row is not other]
    found = compare_rows([(row, samples, other, samples) for row in rivals])
    return {row.key: one for row, one in zip(rivals, found, strict=True) if one is not None}


def compare_rows(
    pairs: Sequence[tuple[Row, Samples, Row, Samples]],
) -> list[stats.Comparison | None]:
    """Return comparisons of the first row of each pair with the second, Holm-corrected together.

    None where per-user metrics are missing, or are of different users.
    """
    raw: list[tuple[float, float, float, float] | None] = []
    for row, samples, other, others in pairs:
        mine, theirs = samples.means.get(row.key), others.means.get(other.key)
        if mine is None or theirs is None or samples.users != others.users:
            raw.append(None)
            continue
        difference = (row.mean(HEADLINE) or 0.0) - (other.mean(HEADLINE) or 0.0)
        raw.append((difference, *stats.compare(mine, theirs, difference)))
    corrected = iter(stats.holm([one[3] for one in raw if one is not None]))
    return [None if one is None else stats.Comparison(*one, next(corrected)) for one in raw]


def ranking(boards: Sequence[Leaderboard]) -> stats.Ranking | None:
    """Return average ranks over the budgets, of the methods that stand on all of them.

    None for one budget, which the leaderboard itself ranks, and for fewer than two methods.
    """
    tables: list[dict[str, float]] = []
    for board in boards:
        scores: dict[str, tuple[float, float]] = {}
        for entry in board.entries:
            title = entry.row.first.method.title
            offer = (entry.row.preference, entry.row.mean(HEADLINE) or 0.0)
            scores[title] = max(offer, scores.get(title, offer))
        if scores:
            tables.append({title: score for title, (_, score) in scores.items()})
    if len(tables) < 2:
        return None
    names = sorted(set.intersection(*(set(table) for table in tables)))
    if len(names) < 2:
        return None
    return stats.average_ranks(names, np.array([[t[n] for n in names] for t in tables]))
