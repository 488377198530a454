"""What boards are made of: rows over seeds, entries with their place, leaderboards, boards."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.board import stats
from bench.board.longer import Longer
from bench.board.quantities import HEADLINE
from bench.records.schema import PROTOCOL, Record

CONTROLS = ("dims", "dims-quantised")
"""Every row of a leaderboard is compared with the full table with fewer columns: with the one of
these methods that validation data prefer, so at its best precision where that was run.

A table of the same bytes without any idea is what a method must beat. They are named here, because
records do not say which of their controls these are."""

LATE_GAIN = 0.01
"""A run that gains more than this share of its validation score in the last fifth of its last
phase, and is best at its end, is taken to be still improving (docs/lab/passes.md). Where half as
many passes again were measured, a row that gains more than this share by them is."""

NO_BUDGET = "no budget"
"""The label of a leaderboard of methods without a budget."""

SAME = 1.01
"""Sizes whose ratio is at most this are the same, for a Pareto front."""


def slug(split: str, what: str, protocol: int) -> str:
    """Return the name for files of what a split has, apart for earlier protocols."""
    return f"{split}-{what}" + (f"-protocol-{protocol}" if protocol < PROTOCOL else "")


@dataclass(frozen=True)
class Row:
    """Runs that differ in nothing but the seed.

    Attributes:
        key: 12 hex digits, the hash of their spec without the seed.
        title: the method, and its form where the board has several.
        label: the title, and what tells it apart where a leaderboard has several rows of it.
        records: the good runs, by seed.
        numbers: what was measured, by quantity key, over seeds.
        protocol: the settings that other rows must share, from `protocol_of`.
        longer: what half as many passes again bring; None where that was not measured.
    """

    key: str
    title: str
    label: str
    records: tuple[Record, ...]
    numbers: Mapping[str, stats.Summary]
    protocol: Mapping[str, Any]
    longer: Longer | None = None

    @property
    def first(self) -> Record:
        """Return the run of the lowest seed, for what all runs share."""
        return self.records[0]

    @property
    def method(self) -> str:
        """Return the method's name, with `:published` for its published form."""
        form = self.first.spec.method.form
        return f"{self.first.method.name}:{form}" if form else self.first.method.name

    @property
    def role(self) -> str:
        """Return the part that the row plays."""
        return self.first.method.role

    @property
    def seeds(self) -> tuple[int, ...]:
        """Return the seeds of its runs."""
        return tuple(record.spec.seed for record in self.records)

    @property
    def preference(self) -> tuple[float, str]:
        """Return the validation score, by which one of several settings is chosen, and the key.

        The key decides between equal scores: test numbers must not.
        """
        found = [one for one in (record.selection for record in self.records) if one is not None]
        return (fmean(found) if len(found) == len(self.records) else -1.0), self.key

    @property
    def improving(self) -> bool:
        """Return whether it gains from more passes: as measured, else as most of its runs look."""
        if self.longer is not None:
            return self.longer.gain > LATE_GAIN
        return 2 * sum(map(_improving, self.records)) > len(self.records)

    def mean(self, key: str) -> float | None:
        """Return the mean of a quantity over seeds; None where it was not measured."""
        number = self.numbers.get(key)
        return None if number is None else number.mean


def _improving(record: Record) -> bool:
    """Whether the best epoch of a run is its last one, after a rise that is more than noise."""
    judged = [phase for phase in record.phases if phase.best_epoch]
    if not judged or judged[-1].best_epoch != judged[-1].epochs:
        return False
    return (judged[-1].gain or 0.0) > LATE_GAIN


@dataclass(frozen=True)
class Entry:
    """A row with its place on a leaderboard.

    Attributes:
        row: the row.
        rank: 1 is best; None for a row shown apart.
        against_best: comparison with the best row; None for the best, and for a row shown apart.
        against_control: comparison with the control of the leaderboard; None for the control
            itself, and where there is none.
        below_reference: its mean is not better than that of the reference ranking.
        reason: why it is shown apart; empty for a ranked row.
        incomplete: it is shown apart for nothing but missing seeds.
    """

    row: Row
    rank: int | None = None
    against_best: stats.Comparison | None = None
    against_control: stats.Comparison | None = None
    below_reference: bool = False
    reason: str = ""
    incomplete: bool = False

    @property
    def beats_control(self) -> bool | None:
        """Return whether it is better than the control by more than noise; None if not tested."""
        comparison = self.against_control
        if comparison is None or not comparison.tested:
            return None
        return comparison.significant and comparison.difference > 0


@dataclass(frozen=True, eq=False)
class UserScores:
    """The headline of a row by test user.

    Attributes:
        users: hash of the users; rows of other users cannot be paired.
        mean: float32 [users], mean over the runs.
        own: variance of the mean over users and runs from what is each run's own; 0 for one run,
            whose own part cannot be told from that of the users.
    """

    users: str
    mean: NDArray[np.float32]
    own: float


@dataclass(frozen=True)
class Gap:
    """Runs without numbers.

    Attributes:
        status: "infeasible" or "failed"; old records may have been "interrupted".
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
        control: the row that all others are compared with; None without one.
    """

    label: str
    cap: int | None
    accounting: str
    seeds: int
    entries: tuple[Entry, ...]
    apart: tuple[Entry, ...]
    gaps: tuple[Gap, ...]
    control: Row | None

    @cached_property
    def chosen(self) -> Mapping[str, Entry]:
        """Return one entry for each method, by name, of those that are ranked or lack seeds.

        Of several rows of a method, ranked ones come first, then validation chooses: a choice by
        test numbers would flatter a method of several rows.
        """
        found: dict[str, Entry] = {}

        def worth(entry: Entry) -> tuple[bool, tuple[float, str]]:
            return entry.rank is not None, entry.row.preference

        for entry in (*self.entries, *self.apart):
            if entry.rank is None and not entry.incomplete:
                continue
            held = found.get(entry.row.method)
            if held is None or worth(entry) > worth(held):
                found[entry.row.method] = entry
        return found


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
class Board:
    """All leaderboards of one split and backbone.

    Attributes:
        dataset: name of the data set.
        split: id of the split.
        backbone: name of the backbone.
        note: what must be said wherever the data set is named.
        temporal: whether the split is by time.
        version: number of the protocol of its runs.
        protocol: the protocol that ranked rows share.
        protocol_hash: its hash.
        ceiling: the uncompressed table, where it was run under this protocol.
        references: rankings without embeddings, such as popularity.
        leaderboards: by accounting and cap, smallest first.
        ranking: average rank over the budgets; None where fewer than two methods stand on all.
        scores: the headline by user, by row key, to compare rows of several boards.
        data: a record that has the counts of the data.
    """

    dataset: str
    split: str
    backbone: str
    note: str
    temporal: bool
    version: int
    protocol: Mapping[str, Any]
    protocol_hash: str
    ceiling: Row | None
    references: tuple[Row, ...]
    leaderboards: tuple[Leaderboard, ...]
    ranking: stats.Ranking | None
    scores: Mapping[str, UserScores] = field(repr=False, compare=False)
    data: Record = field(repr=False)

    @property
    def old(self) -> bool:
        """Return whether its runs were made under an earlier protocol than today's."""
        return self.version < PROTOCOL

    @property
    def era(self) -> str:
        """Return what headings add to the name of a board of an earlier protocol."""
        return f" (protocol {self.version})" if self.old else ""

    @property
    def name(self) -> str:
        """Return the name for headings: data set, backbone."""
        return f"{self.dataset}, {self.backbone}{self.era}"

    @property
    def slug(self) -> str:
        """Return the name for files."""
        return slug(self.split, self.backbone, self.version)

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
        """Yield every row with its leaderboard: ceiling and references, then budget by budget."""
        for row in (*((self.ceiling,) if self.ceiling else ()), *self.references):
            yield None, Entry(row)
        for leaderboard in self.leaderboards:
            for entry in (*leaderboard.entries, *leaderboard.apart):
                yield leaderboard, entry

    @cached_property
    def curves(self) -> tuple[Curve, ...]:
        """Return one curve per method, accounting apart, best at the largest budget first.

        Where a budget has several rows of a method, the curve takes the leaderboard's choice.
        """
        found: dict[tuple[str, str], dict[int, Point]] = defaultdict(dict)
        for leaderboard in self.leaderboards:
            if leaderboard.cap is None:
                continue
            for method, entry in leaderboard.chosen.items():
                complete = entry.rank is not None
                point = Point(entry.row, complete, leaderboard.label)
                found[leaderboard.accounting, method][leaderboard.cap] = point
        several = len({accounting for accounting, _ in found}) > 1
        curves = []
        for (accounting, method), points in found.items():
            ordered = tuple(points[cap] for cap in sorted(points))
            first = ordered[0].row.first.method
            title = ordered[0].row.title + (f" ({accounting} budget)" if several else "")
            curves.append(Curve(method, title, first.role, ordered))
        return tuple(
            sorted(curves, key=lambda c: (-(c.points[-1].row.mean(HEADLINE) or 0), c.title))
        )

    def front(self, size: str, metric: str) -> tuple[Row, ...]:
        """Return the Pareto front, smallest first: rows that no better row undercuts.

        The ceiling and the references count as points: a table that popularity beats at fewer bytes
        is nobody's choice.

        Sizes within 1 % count as equal: methods fill the same budget to within a few bytes, and
        those bytes are no reason to call the worse of two a choice.

        Args:
            size: quantity key of the size, "bytes" or "values".
            metric: quantity key of the accuracy.
        """
        rows = {
            entry.row.key: entry.row
            for leaderboard, entry in self.rows()
            if leaderboard is None or entry.rank is not None
        }
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
