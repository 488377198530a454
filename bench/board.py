"""Records to boards: rows over seeds, who may be ranked, who wins, and by more than noise."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench import peruser, stats
from bench.errors import BenchError
from bench.passport import agrees, differences, passport, passport_hash
from bench.quantities import HEADLINE, QUANTITIES
from bench.records import Record, Rejected, digest, scan

SAME = 1.01
"""Sizes whose ratio is at most this are the same, for a Pareto front."""

NO_BACKBONE = "none"
"""The backbone of references, such as popularity; they stand on every board of their data."""

SAME_SIZE = "dims"
"""The control that every row is compared with: a table with fewer dimensions, same bytes."""


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
    """

    row: Row
    rank: int | None = None
    against_best: stats.Comparison | None = None
    against_control: stats.Comparison | None = None
    best: bool = False
    unbeaten: tuple[str, ...] = ()
    below_reference: bool = False
    reason: str = ""


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
                if entry.rank is None and not _comparable(entry, self):
                    continue
                points = found[board.accounting, entry.row.method]
                held = points.get(board.cap)
                if held is None or _preference(entry.row) > _preference(held.row):
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


@dataclass(frozen=True)
class Board:
    """Everything that a results folder says.

    Attributes:
        results: the folder.
        frame: one row per run, of any status, with one column per quantity.
        records: the good records, by path.
        rejected: files that are no good, with reasons.
        groups: by split and backbone.
    """

    results: Path
    frame: pd.DataFrame
    records: tuple[Record, ...]
    rejected: tuple[Rejected, ...]
    groups: tuple[Group, ...]


def load(results: Path, *, history: bool = False) -> Board:
    """Read a results folder into boards.

    Args:
        results: the folder; may be empty or missing.
        history: keep the per-epoch history of the records, which learning curves need.

    Returns:
        The board; what it says depends on the records alone, not on their order or time.

    Raises:
        BenchError: a `board.json` that cannot be read.
    """
    scanned = scan(results, history=history)
    rejected = list(scanned.rejected)
    records: list[Record] = []
    users: dict[str, peruser.PerUser] = {}
    for record in scanned.records:
        if record.status == "ok":
            try:
                scores = peruser.read(results, record)
            except ValueError as error:
                rejected.append(Rejected(record.path, str(error)))
                continue
            if scores is not None:
                users[record.id] = scores
        records.append(record)
    rejected.sort(key=lambda r: r.path)
    measured = {record.id: measure(record, users.get(record.id)) for record in records}
    groups = tuple(_group(list(chosen), results, measured, users) for chosen in _split_up(records))
    return Board(results, _frame(records, measured), tuple(records), tuple(rejected), groups)


def measure(record: Record, users: peruser.PerUser | None) -> dict[str, float | None]:
    """Return every quantity of one run; None where it was not measured.

    Timings of a run that shared the machine are not comparable, and count as not measured.
    """
    numbers: dict[str, float | None] = dict.fromkeys((q.key for q in QUANTITIES), None)
    if record.status != "ok":
        return numbers
    for quantity in QUANTITIES:
        if quantity.path:
            numbers[quantity.key] = _at(record, quantity.path)
    assert record.size is not None  # checked by the scan
    if record.size.bytes and record.method.role != "reference":
        numbers["compression"] = record.size.full_bytes / record.size.bytes
    if numbers["lookup_1"]:
        numbers["latency"] = 1e6 / numbers["lookup_1"]
    if record.peak_memory_bytes is not None:
        numbers["peak_memory"] = record.peak_memory_bytes / 1e6
    if users is not None:
        numbers.update(users.slices)
    if record.timings is None or record.timings.parallel:
        numbers.update({q.key: None for q in QUANTITIES if q.timing})
    return numbers


def _at(record: Record, path: Sequence[str]) -> float | None:
    value: Any = record
    for part in path:
        value = value.get(part) if isinstance(value, dict) else getattr(value, part)
        if value is None:
            return None
    return float(value)


def _row_key(record: Record) -> str:
    spec = record.spec.model_dump(by_alias=True, exclude={"seed"})
    return digest(spec)


def _frame(
    records: Sequence[Record], measured: Mapping[str, Mapping[str, float | None]]
) -> pd.DataFrame:
    columns: dict[str, list[Any]] = defaultdict(list)
    for record in records:
        spec, budget = record.spec, record.budget
        facts = {
            "id": record.id,
            "status": record.status,
            "dataset": spec.dataset.name,
            "split": spec.dataset.split,
            "backbone": spec.backbone.name,
            "method": record.method.name,
            "title": record.method.title,
            "role": record.method.role,
            "revision": spec.method.revision,
            "budget": budget.label if budget else None,
            "cap": budget.cap if budget else None,
            "accounting": budget.accounting if budget else None,
            "seed": spec.seed,
            "row": _row_key(record),
            "passport": passport_hash(passport(record)),
            **measured[record.id],
            "parallel": record.timings.parallel if record.timings else None,
            "error": record.error.message if record.error else None,
            "command": record.command,
            "path": record.path,
        }
        for key, value in facts.items():
            columns[key].append(value)
    frame = pd.DataFrame(columns)
    for quantity in QUANTITIES:
        if quantity.key in frame:
            frame[quantity.key] = frame[quantity.key].astype("float64")
    if "cap" in frame:
        frame["cap"] = frame["cap"].astype("Int64")
    return frame


def _split_up(records: Sequence[Record]) -> Iterable[list[Record]]:
    """Yield the records of each split and backbone, references with every backbone."""
    found: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        found[record.spec.dataset.split, record.spec.backbone.name].append(record)
    for (split, backbone), chosen in sorted(found.items()):
        references = found.get((split, NO_BACKBONE), [])
        if backbone != NO_BACKBONE:
            yield [*chosen, *references]
        elif not any(other != NO_BACKBONE for s, other in found if s == split):
            yield chosen


def _group(
    records: list[Record],
    results: Path,
    measured: Mapping[str, Mapping[str, float | None]],
    users: Mapping[str, peruser.PerUser],
) -> Group:
    rows = _rows(records, measured)
    card = _common_passport(rows, records)
    first = min(
        (r for r in records if agrees(passport(r), card)), key=lambda r: (r.method.role, r.path)
    )
    split = first.spec.dataset.split
    own = [r for r in records if r.method.role != "reference"] or records
    ceilings = [r for r in rows if r.role == "ceiling" and agrees(r.passport, card)]
    ceiling = max(ceilings, key=lambda r: (len(r.seeds), _preference(r), r.key), default=None)
    references = tuple(
        sorted(
            (r for r in rows if r.role == "reference" and agrees(r.passport, card)),
            key=lambda r: (r.label, r.key),
        )
    )
    lifted = {row.key for row in (*((ceiling,) if ceiling else ()), *references)}
    wanted = _wanted_seeds(results / split / "board.json")
    boards = _boards(
        [row for row in rows if row.key not in lifted],
        [r for r in records if r.status != "ok"],
        card,
        wanted,
        references,
        users,
    )
    return Group(
        dataset=first.spec.dataset.name,
        split=split,
        backbone=own[0].spec.backbone.name,
        note=next((r.data.note for r in records if r.data.note), ""),
        temporal=first.data.temporal,
        passport=MappingProxyType(card),
        passport_hash=passport_hash(card),
        ceiling=ceiling,
        references=references,
        boards=boards,
        ranking=_ranking(boards),
        data=first,
    )


def _rows(
    records: Sequence[Record], measured: Mapping[str, Mapping[str, float | None]]
) -> list[Row]:
    gathered: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if record.status == "ok":
            gathered[_row_key(record)].append(record)
    rows = []
    for key, members in sorted(gathered.items()):
        members.sort(key=lambda r: r.spec.seed)
        numbers = {
            q.key: number
            for q in QUANTITIES
            if (number := stats.summarise([measured[r.id][q.key] for r in members])) is not None
        }
        first = members[0]
        rows.append(
            Row(key, first.method.title, tuple(members), numbers, MappingProxyType(passport(first)))
        )
    return rows


def _common_passport(rows: Sequence[Row], records: Sequence[Record]) -> dict[str, Any]:
    """Return the passport that most methods share, then most runs; the hash breaks a tie."""
    full = [row for row in rows if row.role not in ("reference", "control")]
    full = full or [row for row in rows if row.role != "reference"] or list(rows)
    if not full:
        usual = [r for r in records if r.method.role not in ("reference", "control")]
        return passport((usual or list(records))[0])
    methods: dict[str, set[str]] = defaultdict(set)
    runs: Counter[str] = Counter()
    cards: dict[str, dict[str, Any]] = {}
    for row in full:
        name = passport_hash(row.passport)
        cards[name] = dict(row.passport)
        methods[name].add(row.method)
        runs[name] += len(row.records)
    return cards[max(cards, key=lambda name: (len(methods[name]), runs[name], name))]


def _wanted_seeds(path: Path) -> int | None:
    if not path.exists():
        return None
    try:
        seeds = json.loads(path.read_text(encoding="utf-8"))["seeds"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BenchError(f'{path}: expected {{"seeds": N}} ({error}); mend or remove it') from error
    if type(seeds) is not int or seeds < 1:
        raise BenchError(f"{path}: seeds is {seeds!r}; expected a whole number of at least 1")
    return seeds


_Key = tuple[str, int]


def _budget_of(record: Record) -> _Key:
    budget = record.budget
    return ("", 0) if budget is None else (budget.accounting, budget.cap)


def _boards(
    rows: Sequence[Row],
    missing: Sequence[Record],
    card: Mapping[str, Any],
    wanted: int | None,
    references: Sequence[Row],
    users: Mapping[str, peruser.PerUser],
) -> tuple[Leaderboard, ...]:
    by_budget: dict[_Key, list[Row]] = defaultdict(list)
    gaps: dict[_Key, list[Record]] = defaultdict(list)
    labels: dict[_Key, set[str]] = defaultdict(set)
    for row in rows:
        by_budget[_budget_of(row.first)].append(row)
    for record in missing:
        gaps[_budget_of(record)].append(record)
    for record in (*(r for row in rows for r in row.records), *missing):
        if record.budget:
            labels[_budget_of(record)].add(record.budget.label)
    keys = sorted(set(by_budget) | set(gaps))
    samples = _resample([row for key in keys for row in by_budget[key]], users)
    return tuple(
        _leaderboard(
            key,
            # A share says more than a number of bytes, where both name the same cap.
            min(labels[key], key=lambda s: ("%" not in s, len(s), s), default="no budget"),
            by_budget[key],
            gaps[key],
            card,
            wanted,
            references,
            samples,
        )
        for key in keys
    )


def _leaderboard(
    key: _Key,
    label: str,
    rows: list[Row],
    missing: Sequence[Record],
    card: Mapping[str, Any],
    wanted: int | None,
    references: Sequence[Row],
    samples: Mapping[str, NDArray[np.float64]],
) -> Leaderboard:
    rows = _labelled(rows)
    same = [row for row in rows if agrees(row.passport, card)]
    newest = {m: max(r.first.spec.method.revision for r in same if r.method == m)
              for m in {r.method for r in same}}  # fmt: skip
    asked = wanted or max((len(row.seeds) for row in same), default=0)
    ranked, apart = [], []
    for row in rows:
        reason = _reason(row, card, newest.get(row.method, 0), asked, missing)
        if reason:
            apart.append(Entry(row, reason=reason))
        else:
            ranked.append(row)
    ranked.sort(key=lambda row: (-(row.mean(HEADLINE) or 0.0), row.label, row.key))
    control = next((row for row in ranked if row.method == SAME_SIZE), None)
    return Leaderboard(
        label=label,
        cap=key[1] or None,
        accounting=key[0],
        seeds=asked,
        entries=_placed(ranked, control, references, samples),
        apart=tuple(sorted(apart, key=lambda e: (e.row.label, e.row.key))),
        gaps=_gaps(missing),
        control=control.label if control else "",
    )


def _reason(
    row: Row, card: Mapping[str, Any], newest: int, asked: int, missing: Sequence[Record]
) -> str:
    """Return why a row cannot be ranked; empty when it can."""
    if found := differences(row.passport, card):
        shown = "; ".join(found[:3]) + (f"; and {len(found) - 3} more" if len(found) > 3 else "")
        return f"another protocol: {shown}"
    revision = row.first.spec.method.revision
    if revision < newest:
        return f"revision {revision} of the method, superseded by {newest}"
    if len(row.seeds) < asked:
        lost = Counter(r.status for r in missing if _row_key(r) == row.key)
        note = "".join(f", {count} {status}" for status, count in sorted(lost.items()))
        return f"{len(row.seeds)} of {asked} seeds{note}"
    return ""


def _labelled(rows: Sequence[Row]) -> list[Row]:
    """Return rows whose labels tell them apart."""
    by_title: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_title[row.label].append(row)
    labelled = []
    for title, members in by_title.items():
        if len(members) == 1:
            labelled += members
            continue
        facts = {row.key: _facts(row) for row in members}
        every = sorted({name for own in facts.values() for name in own})
        varied = [n for n in every if len({str(facts[r.key].get(n)) for r in members}) > 1]
        for row in members:
            own = facts[row.key]
            told = ", ".join(f"{name}={own[name]}" for name in varied if name in own)
            suffix = told if len(told) <= 60 else row.key
            labelled.append(
                Row(row.key, f"{title} ({suffix})", row.records, row.numbers, row.passport)
            )
    return sorted(labelled, key=lambda r: r.key)


def _facts(row: Row) -> dict[str, Any]:
    spec = row.first.spec
    facts = {**spec.method.config, **(spec.training or {})}
    own = {"method": spec.method.name, "revision": spec.method.revision, "dim": spec.dim}
    return {**facts, **own}


def _gaps(missing: Sequence[Record]) -> tuple[Gap, ...]:
    gathered: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
    for record in missing:
        message = record.error.message if record.error else ""
        gathered[record.status, record.method.title, message].append(record)
    gaps = []
    for (status, title, message), members in sorted(gathered.items()):
        members.sort(key=lambda r: (r.spec.seed, r.id))
        minima = [r.error.minimum for r in members if r.error and r.error.minimum is not None]
        seeds = tuple(sorted({r.spec.seed for r in members}))
        gaps.append(Gap(status, title, seeds, message, min(minima, default=None), tuple(members)))
    return tuple(gaps)


def _preference(row: Row) -> float:
    """Return the validation score of a row, by which one of several settings is chosen."""
    number = row.mean("valid_ndcg@20")
    return -1.0 if number is None else number


def _comparable(entry: Entry, group: Group) -> bool:
    """Return whether a row shown apart belongs on the curves: it only lacks seeds."""
    return agrees(entry.row.passport, group.passport) and "superseded" not in entry.reason


def _resample(
    rows: Sequence[Row], users: Mapping[str, peruser.PerUser]
) -> dict[str, NDArray[np.float64]]:
    """Return resampled means of the headline, by row key, where all runs have per-user metrics.

    Only rows over the same users can be paired; the commonest set of users is taken.
    """
    paired: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        sets = {users[r.id].users if r.id in users else "" for r in row.records}
        if len(sets) == 1 and "" not in sets:
            paired[sets.pop()].append(row)
    if not paired:
        return {}
    chosen = paired[max(paired, key=lambda name: (len(paired[name]), name))]
    scores = [np.stack([users[r.id].ndcg for r in row.records], axis=1) for row in chosen]
    return {
        row.key: stats.resample_seeds(
            array.mean(axis=0, dtype=np.float64), seed=int(row.key, 16), users=means
        )
        for row, array, means in zip(chosen, scores, stats.bootstrap_means(scores), strict=True)
    }


def _placed(
    ranked: Sequence[Row],
    control: Row | None,
    references: Sequence[Row],
    samples: Mapping[str, NDArray[np.float64]],
) -> tuple[Entry, ...]:
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


def _unbeaten(
    ranked: Sequence[Row], samples: Mapping[str, NDArray[np.float64]]
) -> dict[str, tuple[str, ...]]:
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


def _comparisons(
    rows: Sequence[Row], other: Row, samples: Mapping[str, NDArray[np.float64]]
) -> dict[str, stats.Comparison]:
    """Return the Holm-corrected comparisons of rows with one of them, by row key."""
    if other.key not in samples:
        return {}
    raw = {}
    for row in rows:
        if row is other or row.key not in samples:
            continue
        difference = (row.mean(HEADLINE) or 0.0) - (other.mean(HEADLINE) or 0.0)
        interval = stats.compare(samples[row.key], samples[other.key], difference)
        raw[row.key] = (difference, *interval)
    corrected = stats.holm([entry[3] for entry in raw.values()])
    return {
        key: stats.Comparison(*entry, p)
        for (key, entry), p in zip(raw.items(), corrected, strict=True)
    }


def _ranking(boards: Sequence[Leaderboard]) -> stats.Ranking | None:
    """Return average ranks over the budgets, of the methods that stand on all of them."""
    tables: list[dict[str, float]] = []
    for board in boards:
        scores: dict[str, tuple[float, float]] = {}
        for entry in board.entries:
            title = entry.row.first.method.title
            offer = (_preference(entry.row), entry.row.mean(HEADLINE) or 0.0)
            scores[title] = max(offer, scores.get(title, offer))
        if scores:
            tables.append({title: score for title, (_, score) in scores.items()})
    if not tables:
        return None
    names = sorted(set.intersection(*(set(table) for table in tables)))
    if len(names) < 2:
        return None
    return stats.average_ranks(names, np.array([[t[n] for n in names] for t in tables]))
