"""Records of one protocol, split and backbone to leaderboards: who may be ranked with whom."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bench.board import longer as longer_runs
from bench.board import stats
from bench.board.measure import row_key
from bench.board.model import CONTROLS, NO_BUDGET, Board, Entry, Gap, Leaderboard, Row, UserScores
from bench.board.quantities import HEADLINE, QUANTITIES
from bench.board.significance import average_ranks, rank, score_users
from bench.board.standing import superseded, untraceable, whole
from bench.board.titles import budget_label, titles
from bench.errors import BenchError
from bench.records.per_user import PerUser
from bench.records.protocol import agrees, differences, protocol_hash, protocol_of
from bench.records.schema import Record

NO_BACKBONE = "none"
"""The backbone of references, such as popularity; they stand on every board of their data."""


def by_board(records: Sequence[Record]) -> Iterable[list[Record]]:
    """Yield the records of each protocol, split and backbone, references with every backbone.

    Later protocols come first.
    """
    found: dict[tuple[int, str, str], list[Record]] = defaultdict(list)
    for record in records:
        spec = record.spec
        found[-spec.protocol, spec.dataset.split, spec.backbone.name].append(record)
    for (protocol, split, backbone), chosen in sorted(found.items()):
        references = found.get((protocol, split, NO_BACKBONE), [])
        if backbone != NO_BACKBONE:
            yield [*chosen, *references]
        elif not any(b != NO_BACKBONE for p, s, b in found if (p, s) == (protocol, split)):
            yield chosen


def build(
    records: list[Record],
    results: Path,
    measured: Mapping[str, Mapping[str, float | None]],
    users: Mapping[str, PerUser],
    longer: Mapping[str, Sequence[Record]] = MappingProxyType({}),
) -> Board:
    """Return the leaderboards of the records of one protocol, split and backbone.

    Args:
        records: as `by_board` yields them.
        results: the results folder, where a `<split>/board.json` may say how many seeds are due.
        measured: the quantities of each run, by id.
        users: the per-user metrics of the runs that have them, by id.
        longer: runs with more passes, as `bench.board.longer.by_row` returns them.

    Raises:
        BenchError: a `board.json` that cannot be read.
    """
    names = titles(records)
    rows = _rows(records, measured, names, longer)
    protocol = _common_protocol(rows, records)
    first = min(
        (r for r in records if agrees(protocol_of(r), protocol)),
        key=lambda r: (r.method.role, r.path),
    )
    split = first.spec.dataset.split
    own = [r for r in records if r.method.role != "reference"] or records
    sound = [r for r in rows if agrees(r.protocol, protocol) and not untraceable(r)]
    replaced = superseded(sound)
    current = [r for r in sound if r.key not in replaced]
    ceilings = whole([r for r in current if r.role == "ceiling"])
    ceiling = max(ceilings, key=lambda r: (len(r.seeds), r.preference), default=None)
    references = tuple(
        sorted(
            (r for r in current if r.role == "reference"),
            key=lambda r: (r.label, r.key),
        )
    )
    lifted = {row.key for row in (*((ceiling,) if ceiling else ()), *references)}
    wanted = _wanted_seeds(results / split / "board.json")
    rules = _Rules(protocol, wanted, replaced, references, score_users(rows, users), names)
    leaderboards = _leaderboards(
        [row for row in rows if row.key not in lifted],
        [r for r in records if r.status != "ok"],
        rules,
    )
    return Board(
        dataset=first.spec.dataset.name,
        split=split,
        backbone=own[0].spec.backbone.name,
        note=" ".join(next((r.data.note for r in records if r.data.note), "").split()),
        temporal=first.data.temporal,
        version=first.spec.protocol,
        protocol=MappingProxyType(protocol),
        protocol_hash=protocol_hash(protocol),
        ceiling=ceiling,
        references=references,
        leaderboards=leaderboards,
        ranking=average_ranks(leaderboards),
        scores=MappingProxyType(rules.scores),
        data=first,
    )


@dataclass(frozen=True)
class _Rules:
    """What decides on the place of a row.

    Attributes:
        protocol: the protocol that ranked rows share.
        wanted: seeds that a row must have; None for as many as any row has.
        replaced: why rows are not current, by row key.
        references: the rankings without embeddings.
        scores: the headline by user, by row key.
        titles: how methods are called on the board, by run id.
    """

    protocol: Mapping[str, Any]
    wanted: int | None
    replaced: Mapping[str, str]
    references: Sequence[Row]
    scores: Mapping[str, UserScores]
    titles: Mapping[str, str]


def _rows(
    records: Sequence[Record],
    measured: Mapping[str, Mapping[str, float | None]],
    names: Mapping[str, str],
    longer: Mapping[str, Sequence[Record]],
) -> list[Row]:
    grouped: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if record.status == "ok":
            grouped[row_key(record)].append(record)
    rows = []
    for key, members in sorted(grouped.items()):
        members.sort(key=lambda r: r.spec.seed)
        numbers = {
            q.key: number
            for q in QUANTITIES
            if (number := stats.summarise([measured[r.id][q.key] for r in members])) is not None
        }
        first = members[0]
        rows.append(
            Row(
                key,
                names[first.id],
                names[first.id],
                tuple(members),
                numbers,
                MappingProxyType(protocol_of(first)),
                longer_runs.measured(members, longer),
            )
        )
    return rows


def _common_protocol(rows: Sequence[Row], records: Sequence[Record]) -> dict[str, Any]:
    """Return the protocol that most methods share, then most runs; the hash breaks a tie."""
    full = _deciding(rows)
    if not full:
        usual = [r for r in records if r.method.role not in ("reference", "control")]
        return protocol_of((usual or list(records))[0])
    methods: dict[str, set[str]] = defaultdict(set)
    runs: Counter[str] = Counter()
    protocols: dict[str, dict[str, Any]] = {}
    for row in full:
        name = protocol_hash(row.protocol)
        protocols[name] = dict(row.protocol)
        methods[name].add(row.method)
        runs[name] += len(row.records)
    return protocols[max(protocols, key=lambda name: (len(methods[name]), runs[name], name))]


def _deciding(rows: Sequence[Row]) -> list[Row]:
    """Return the rows whose protocols count: methods, else controls, else references.

    Rows whose code cannot be found are never ranked, so they count where no table has another code.
    """
    tables = [row for row in rows if row.role != "reference"]
    sound = [row for row in tables if not untraceable(row)] or tables
    return [row for row in sound if row.role != "control"] or sound or list(rows)


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


def _leaderboards(
    rows: Sequence[Row], missing: Sequence[Record], rules: _Rules
) -> tuple[Leaderboard, ...]:
    by_budget: dict[_Key, list[Row]] = defaultdict(list)
    gaps: dict[_Key, list[Record]] = defaultdict(list)
    for row in rows:
        by_budget[_budget_of(row.first)].append(row)
    for record in missing:
        gaps[_budget_of(record)].append(record)
    keys = sorted(set(by_budget) | set(gaps))
    several = len({accounting for accounting, _ in keys if accounting}) > 1

    def label(key: _Key) -> str:
        records = [*(r for row in by_budget[key] for r in row.records), *gaps[key]]
        found = budget_label(records, rules.protocol) or NO_BUDGET
        return f"{found} of {key[0]}" if several and key[0] else found

    return tuple(
        _leaderboard(
            key,
            label(key),
            by_budget[key],
            gaps[key],
            rules,
        )
        for key in keys
    )


def _leaderboard(
    key: _Key, label: str, rows: list[Row], missing: Sequence[Record], rules: _Rules
) -> Leaderboard:
    rows = _labelled(rows)
    same = [row for row in rows if agrees(row.protocol, rules.protocol)]
    same = [row for row in same if not untraceable(row)] or same
    current = [row for row in same if row.key not in rules.replaced]
    asked = rules.wanted or max((len(row.seeds) for row in current), default=0)
    ranked, apart = [], []
    for row in rows:
        reason, incomplete = _reason(row, rules, asked, missing)
        if reason:
            apart.append(Entry(row, reason=reason, incomplete=incomplete))
        else:
            ranked.append(row)
    ranked.sort(key=lambda row: (-(row.mean(HEADLINE) or 0.0), row.label, row.key))
    # Of several settings and precisions of the control, validation chooses.
    controls = [row for row in ranked if row.method in CONTROLS]
    control = max(controls, key=lambda row: row.preference, default=None)
    return Leaderboard(
        label=label,
        cap=key[1] or None,
        accounting=key[0],
        seeds=asked,
        entries=rank(ranked, control, rules.references, rules.scores),
        apart=tuple(sorted(apart, key=lambda e: (e.row.label, e.row.key))),
        gaps=_gaps(missing, rules.titles),
        control=control,
    )


def _reason(row: Row, rules: _Rules, asked: int, missing: Sequence[Record]) -> tuple[str, bool]:
    """Return why a row cannot be ranked, empty when it can, and whether it only lacks seeds."""
    if unsound := untraceable(row):
        return unsound, False
    if found := differences(row.protocol, rules.protocol):
        shown = "; ".join(found[:3]) + (f"; and {len(found) - 3} more" if len(found) > 3 else "")
        return f"another protocol: {shown}", False
    if row.key in rules.replaced:
        return rules.replaced[row.key], False
    if len(row.seeds) < asked:
        lost = Counter(r.status for r in missing if row_key(r) == row.key)
        note = "".join(f", {count} {status}" for status, count in sorted(lost.items()))
        return f"{len(row.seeds)} of {asked} seeds{note}", True
    return "", False


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
            # A row may lack all of the settings that tell others apart.
            suffix = told if 0 < len(told) <= 60 else row.key
            labelled.append(replace(row, label=f"{title} ({suffix})"))
    return sorted(labelled, key=lambda r: r.key)


def _facts(row: Row) -> dict[str, Any]:
    spec = row.first.spec
    facts = {**spec.method.config, **(spec.training or {})}
    facts |= {f"backbone.{key}": value for key, value in spec.backbone.config.items()}
    facts |= {f"teacher.{key}": value for key, value in (spec.teacher or {}).items()}
    if spec.method.source:
        facts["source"] = spec.method.source[:7]
    own = {"method": spec.method.name, "revision": spec.method.revision, "dim": spec.dim}
    return {**facts, **own}


def _gaps(missing: Sequence[Record], titles: Mapping[str, str]) -> tuple[Gap, ...]:
    grouped: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
    for record in missing:
        message = (record.error.message or record.error.type) if record.error else ""
        grouped[record.status, titles[record.id], message].append(record)
    gaps = []
    for (status, title, message), members in sorted(grouped.items()):
        members.sort(key=lambda r: (r.spec.seed, r.id))
        minima = [r.error.minimum for r in members if r.error and r.error.minimum is not None]
        seeds = tuple(sorted({r.spec.seed for r in members}))
        gaps.append(Gap(status, title, seeds, message, min(minima, default=None), tuple(members)))
    return tuple(gaps)
