"""Backbones side by side: what each method keeps of its own backbone's ceiling."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from bench.board import stats
from bench.board.model import Board, Row, slug
from bench.board.quantities import HEADLINE
from bench.board.significance import noise
from bench.records.protocol import agrees, protocol_hash

RECALL = "recall@20"


@dataclass(frozen=True)
class Kept:
    """What a row keeps of the ceiling of its backbone.

    Attributes:
        row: the row.
        budget: label of its budget; empty for a reference.
        complete: it has as many seeds as any other of its backbone.
        ndcg: NDCG@20 in percent of the ceiling's.
        low: lower end of the 95 % interval of `ndcg`, over test users, and over seeds where
            there are enough of them; None without per-user metrics.
        high: upper end.
        recall: Recall@20 in percent of the ceiling's.
        below_reference: its NDCG@20 is not better than that of a reference ranking.
    """

    row: Row
    budget: str
    complete: bool
    ndcg: float
    low: float | None
    high: float | None
    recall: float | None
    below_reference: bool

    @property
    def title(self) -> str:
        """Return the method's title."""
        return self.row.title


@dataclass(frozen=True)
class BackboneShares:
    """One backbone.

    Attributes:
        backbone: its name.
        board: its board.
        ceiling: its uncompressed table.
        references: rankings without embeddings, which are the same for all backbones, as shares of
            this backbone's ceiling.
        kept: budget by budget, smallest first, and by method.
    """

    backbone: str
    board: Board
    ceiling: Row
    references: tuple[Kept, ...]
    kept: tuple[Kept, ...]

    def find(self, cap: tuple[str, int], method: str) -> Kept | None:
        """Return what a method keeps at a budget (accounting and cap); None without a run."""
        for one in self.kept:
            if one.row.method == method and budget_of(one.row) == cap:
                return one
        return None


@dataclass(frozen=True)
class SideBySide:
    """All backbones of one split that were run under one protocol.

    Attributes:
        dataset: name of the data set.
        split: id of the split.
        note: what must be said wherever the data set is named.
        protocol: the protocol that the backbones share, less what is about the backbone.
        sides: by backbone, at least two.
        left_out: backbones of the split without a ceiling under this protocol.
    """

    dataset: str
    split: str
    note: str
    protocol: Mapping[str, Any]
    sides: tuple[BackboneShares, ...]
    left_out: tuple[str, ...]

    @property
    def slug(self) -> str:
        """Return the name for files."""
        return self.slug_of("backbones")

    def slug_of(self, what: str) -> str:
        """Return the name for files of one of the split's boards, by its backbone."""
        return slug(self.split, what, self.sides[0].board.version)

    @property
    def era(self) -> str:
        """Return what headings add to the name where the protocol is an earlier one."""
        return self.sides[0].board.era

    @property
    def protocol_hash(self) -> str:
        """Return the hash of the shared protocol."""
        return protocol_hash(self.protocol)

    @property
    def budgets(self) -> tuple[tuple[tuple[str, int], str], ...]:
        """Return (accounting and cap, label) of every budget, smallest first."""
        found = {budget_of(one.row): one.budget for side in self.sides for one in side.kept}
        return tuple(sorted(found.items()))

    def methods(self, cap: tuple[str, int]) -> tuple[tuple[str, str], ...]:
        """Return name and title of the methods of a budget, the best on average first."""
        shares: dict[tuple[str, str], list[float]] = defaultdict(list)
        for side in self.sides:
            for one in side.kept:
                if budget_of(one.row) == cap:
                    shares[one.row.method, one.title].append(one.ndcg)
        # One that is missing under a backbone comes after those that are compared under all.
        return tuple(
            sorted(shares, key=lambda m: (-len(shares[m]), -sum(shares[m]) / len(shares[m]), m))
        )


def side_by_side(boards: Sequence[Board]) -> tuple[SideBySide, ...]:
    """Return, by protocol and split, the backbones that can be read side by side.

    Backbones are comparable when all of their protocol but the backbone itself is the same. Where
    a split has several such protocols, the one with most backbones is taken, then with most rows.

    Args:
        boards: the boards, any number for each split.
    """
    by_split: dict[tuple[int, str], list[Board]] = defaultdict(list)
    for board in boards:
        by_split[-board.version, board.split].append(board)
    found = []
    for _, members in sorted(by_split.items()):
        one = _split(sorted(members, key=lambda g: g.backbone))
        if one is not None:
            found.append(one)
    return tuple(found)


def _split(boards: Sequence[Board]) -> SideBySide | None:
    rows = {board.backbone: [entry.row for _, entry in board.rows()] for board in boards}
    protocols: dict[str, dict[str, Any]] = {}
    backbones: dict[str, set[str]] = defaultdict(set)
    count: dict[str, int] = defaultdict(int)
    for backbone, members in rows.items():
        for row in members:
            if row.role in ("reference", "control"):
                continue
            protocol = _less_backbone(row.protocol)
            name = protocol_hash(protocol)
            protocols[name] = protocol
            count[name] += 1
            if row.role == "ceiling" and row.mean(HEADLINE):
                backbones[name].add(backbone)
    best = max(backbones, key=lambda n: (len(backbones[n]), count[n], n), default="")
    if len(backbones[best]) < 2:
        return None
    sides = tuple(
        _side(board, rows[board.backbone], protocols[best])
        for board in boards
        if board.backbone in backbones[best]
    )
    return SideBySide(
        dataset=boards[0].dataset,
        split=boards[0].split,
        note=boards[0].note,
        protocol=MappingProxyType(protocols[best]),
        sides=sides,
        left_out=tuple(g.backbone for g in boards if g.backbone not in backbones[best]),
    )


def _side(board: Board, rows: Sequence[Row], protocol: Mapping[str, Any]) -> BackboneShares:
    """Return a backbone's side; it has a ceiling under the protocol."""
    ceilings = [
        r
        for r in rows
        if r.role == "ceiling" and r.mean(HEADLINE) and _less_backbone(r.protocol) == protocol
    ]

    def followers(ceiling: Row) -> list[Row]:
        found = [r for r in rows if r.first.budget and agrees(r.protocol, ceiling.protocol)]
        # A control may have any number of dimensions, thus budgets that no method had here.
        caps = {budget_of(r) for r in found if r.role != "control"}
        return [r for r in found if budget_of(r) in caps]

    # Of several settings of a backbone, the one that most was run under; then validation decides.
    ceiling = max(ceilings, key=lambda r: (len(followers(r)), len(r.seeds), r.preference, r.key))
    references = tuple(
        _kept(board, row, ceiling, "", complete=True, floor=None) for row in board.references
    )
    floor = max((row.mean(HEADLINE) or 0.0 for row in board.references), default=None)
    chosen = _chosen(followers(ceiling))
    seeds = max((len(row.seeds) for row in (ceiling, *chosen)), default=0)
    labels: dict[tuple[str, int], set[str]] = defaultdict(set)
    for row in chosen:
        labels[budget_of(row)] |= {r.budget.label for r in row.records if r.budget}
    return BackboneShares(
        backbone=board.backbone,
        board=board,
        ceiling=ceiling,
        references=references,
        kept=tuple(
            _kept(
                board,
                row,
                ceiling,
                # A share says more than a number of bytes, where both name the same cap.
                min(labels[budget_of(row)], key=lambda s: ("%" not in s, len(s), s)),
                complete=len(row.seeds) == seeds,
                floor=floor,
            )
            for row in chosen
        ),
    )


def _chosen(rows: Iterable[Row]) -> list[Row]:
    """Return one row for each budget and method: the newest revision, then as validation says."""
    found: dict[tuple[tuple[str, int], str], Row] = {}

    def worth(row: Row) -> tuple[int, int, float, str]:
        return row.first.spec.method.revision, len(row.seeds), row.preference, row.key

    for row in rows:
        place = budget_of(row), row.method
        if place not in found or worth(row) > worth(found[place]):
            found[place] = row
    return [row for _, row in sorted(found.items(), key=lambda item: item[0])]


def _kept(
    board: Board, row: Row, ceiling: Row, budget: str, *, complete: bool, floor: float | None
) -> Kept:
    mine, top = row.mean(HEADLINE) or 0.0, ceiling.mean(HEADLINE) or 1.0
    recall, best = row.mean(RECALL), ceiling.mean(RECALL)
    low, high = _ends(board, row, ceiling)
    return Kept(
        row=row,
        budget=budget,
        complete=complete,
        ndcg=100 * mine / top,
        low=low,
        high=high,
        recall=100 * recall / best if recall is not None and best else None,
        below_reference=floor is not None and mine <= floor,
    )


def _ends(board: Board, row: Row, ceiling: Row) -> tuple[float | None, float | None]:
    """Return the 95 % interval of a row's share of the ceiling, in percent (delta method)."""
    mine, top = board.scores.get(row.key), board.scores.get(ceiling.key)
    below = ceiling.mean(HEADLINE)
    if mine is None or top is None or not below or mine.users != top.users:
        return None, None
    share = (row.mean(HEADLINE) or 0.0) / below
    # The share times the ceiling less the row has the noise of their difference.
    half, _ = stats.difference(1.0, *noise(row, mine, ceiling, top, share))
    return 100 * (share - float(half) / below), 100 * (share + float(half) / below)


def _less_backbone(protocol: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in protocol.items() if k != "backbone" and not k.startswith("backbone.")}


def budget_of(row: Row) -> tuple[str, int]:
    """Return accounting and cap of a row; without a budget "" and 0."""
    budget = row.first.budget
    return (budget.accounting, budget.cap) if budget else ("", 0)
