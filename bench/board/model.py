"""What a board is made of: rows over seeds, entries with their place, leaderboards, groups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.board import stats
from bench.board.quantities import HEADLINE
from bench.records.schema import Record

SAME = 1.01
"""Sizes whose ratio is at most this are the same, for a Pareto front."""


@dataclass(frozen=True)
class Row:
    """Runs that differ in nothing but the seed.

    Attributes:
        key: 12 hex digits, the hash of their spec without the seed.
        label: the title, and what tells it apart where a board has several rows of the method.
        records: the good runs, by seed.
        numbers: what was measured, by quantity key, over seeds.
        passport: the protocol.
    """

    key: str
    label: str
    records: tuple[Record, ...]
    numbers: Mapping[str, stats.Summary]
    passport: Mapping[str, Any]

    @property
    def first(self) -> Record:
        """Return the run of the lowest seed, for what all runs share."""
        return self.records[0]

    @property
    def method(self) -> str:
        """Return the method's name."""
        return self.first.method.name

    @property
    def role(self) -> str:
        """Return the part that the row plays."""
        return self.first.method.role

    @property
    def seeds(self) -> tuple[int, ...]:
        """Return the seeds of its runs."""
        return tuple(record.spec.seed for record in self.records)

    @property
    def preference(self) -> float:
        """Return the validation score, by which one of several settings is chosen."""
        number = self.mean("valid_ndcg@20")
        return -1.0 if number is None else number

    def mean(self, key: str) -> float | None:
        """Return the mean of a quantity over seeds; None where it was not measured."""
        number = self.numbers.get(key)
        return None if number is None else number.mean


@dataclass(frozen=True)
class Entry:
    """A row with its place on a board.

    Attributes:
        row: the row.
        rank: 1 is best; None for a row shown apart.
        against_best: comparison with the best row; None for the best, or without per-user metrics.
        against_control: comparison with the control of the same size; None likewise.
        best: the best row, significantly better than every other.
        unbeaten: labels of the controls that it does not beat by more than noise.
        below_reference: not better than the reference ranking.
        reason: why it is shown apart; empty for a ranked row.
        incomplete: it is shown apart for nothing but missing seeds.
    """

    row: Row
    rank: int | None = None
    against_best: stats.Comparison | None = None
    against_control: stats.Comparison | None = None
    best: bool = False
    unbeaten: tuple[str, ...] = ()
    below_reference: bool = False
    reason: str = ""
    incomplete: bool = False


@dataclass(frozen=True, eq=False)
class Samples:
    """Resampled means of the headline, to tell differences from noise.

    Attributes:
        users: hash of the users resampled; samples of other users cannot be paired.
        means: float64 [resamples] by row key; a row without per-user metrics has none.
    """

    users: str
    means: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Gap:
    """Runs without numbers: infeasible, failed or interrupted.

    Attributes:
        status: which of the three.
        title: the method.
        seeds: the seeds concerned.
        message: what the run said.
        minimum: the smallest size that the method can have, where it is infeasible.
        records: the runs.
    """

    status: str
    title: str
    seeds: tuple[int, ...]
    message: str
    minimum: int | None
    records: tuple[Record, ...]


@dataclass(frozen=True)
class Leaderboard:
    """The rows of one data set, backbone and budget.

    Attributes:
        label: the budget as it was asked for, or "no budget".
        cap: the hard cap; None without a budget.
        accounting: "bytes", "values" or "".
        seeds: how many seeds a ranked row has.
        entries: ranked, best first.
        apart: shown and not ranked.
        gaps: what has no numbers.
        control: label of the control that the rows are compared with; empty without one.
    """

    label: str
    cap: int | None
    accounting: str
    seeds: int
    entries: tuple[Entry, ...]
    apart: tuple[Entry, ...]
    gaps: tuple[Gap, ...]
    control: str


@dataclass(frozen=True)
class Point:
    """One size of a method's curve.

    Attributes:
        row: the row.
        complete: it is ranked; otherwise it lacks seeds.
        budget: label of the budget.
    """

    row: Row
    complete: bool
    budget: str


@dataclass(frozen=True)
class Curve:
    """A method over budgets, smallest first."""

    method: str
    title: str
    role: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Group:
    """All boards of one split and backbone.

    Attributes:
        dataset: name of the data set.
        split: id of the split.
        backbone: name of the backbone.
        note: what must be said wherever the data set is named.
        temporal: whether the split is by time.
        passport: the protocol that ranked rows share.
        passport_hash: its hash.
        ceiling: the uncompressed table, where it was run under this protocol.
        references: rankings without embeddings, such as popularity.
        boards: by accounting and cap, smallest first.
        ranking: average rank over the budgets; None where fewer than two methods stand on all.
        samples: resampled means of its rows, to compare rows of several groups.
    """

    dataset: str
    split: str
    backbone: str
    note: str
    temporal: bool
    passport: Mapping[str, Any]
    passport_hash: str
    ceiling: Row | None
    references: tuple[Row, ...]
    boards: tuple[Leaderboard, ...]
    ranking: stats.Ranking | None
    samples: Samples = field(repr=False, compare=False)
    data: Record = field(repr=False)

    @property
    def name(self) -> str:
        """Return the name for headings: data set, backbone."""
        return f"{self.dataset}, {self.backbone}"

    @property
    def slug(self) -> str:
        """Return the name for files."""
        return f"{self.split}-{self.backbone}"

    def kept(self, row: Row, key: str = HEADLINE) -> float | None:
        """Return a row's share of the ceiling in percent; None without a ceiling."""
        top = self.ceiling.mean(key) if self.ceiling else None
        mine = row.mean(key)
        return None if not top or mine is None else 100 * mine / top

    def number(self, row: Row, key: str) -> float | None:
        """Return the mean of any quantity, the shares of the ceiling included."""
        if key == "share":
            return self.kept(row, "ndcg@20")
        if key == "share_recall":
            return self.kept(row, "recall@20")
        return row.mean(key)

    def rows(self) -> Iterable[tuple[Leaderboard | None, Entry]]:
        """Yield every row with its board: ceiling and references first, then board by board."""
        for row in (*((self.ceiling,) if self.ceiling else ()), *self.references):
            yield None, Entry(row)
        for board in self.boards:
            for entry in (*board.entries, *board.apart):
                yield board, entry

    @cached_property
    def curves(self) -> tuple[Curve, ...]:
        """Return one curve per method, accounting apart, best at the largest budget first.

        Where a budget has several rows of a method, the curve takes the one that validation
        prefers: choosing by test numbers would flatter it.
        """
        found: dict[tuple[str, str], dict[int, Point]] = defaultdict(dict)
        for board in self.boards:
            if board.cap is None:
                continue
            for entry in (*board.entries, *board.apart):
                if entry.reason and not entry.incomplete:
                    continue
                points = found[board.accounting, entry.row.method]
                held = points.get(board.cap)
                if held is None or entry.row.preference > held.row.preference:
                    points[board.cap] = Point(entry.row, entry.rank is not None, board.label)
        several = len({accounting for accounting, _ in found}) > 1
        curves = []
        for (accounting, method), points in found.items():
            ordered = tuple(points[cap] for cap in sorted(points))
            first = ordered[0].row.first.method
            title = f"{first.title} ({accounting} budget)" if several else first.title
            curves.append(Curve(method, title, first.role, ordered))
        return tuple(
            sorted(curves, key=lambda c: (-(c.points[-1].row.mean(HEADLINE) or 0), c.title))
        )

    def front(self, size: str, metric: str) -> tuple[Row, ...]:
        """Return the Pareto front, smallest first: rows that no better row undercuts.

        Sizes within 1 % count as equal: methods fill the same budget to within a few bytes, and
        those bytes are no reason to call the worse of two a choice.

        Args:
            size: quantity key of the size, "bytes" or "values".
            metric: quantity key of the accuracy.
        """
        rows = {entry.row.key: entry.row for board in self.boards for entry in board.entries}
        if self.ceiling:
            rows[self.ceiling.key] = self.ceiling
        sized = [
            (x, y, row)
            for row in rows.values()
            if (x := row.mean(size)) is not None and (y := row.mean(metric)) is not None
        ]
        front = [
            (x, y, row)
            for x, y, row in sized
            if not any(
                x2 <= SAME * x and (y2 > y or (y2 == y and (x2, other.key) < (x, row.key)))
                for x2, y2, other in sized
            )
        ]
        return tuple(row for _, _, row in sorted(front, key=lambda t: (t[0], t[2].key)))
