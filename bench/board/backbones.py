"""Backbones side by side: what each method keeps of its own backbone's ceiling."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from bench.board.model import Board, Row, slug
from bench.board.quantities import HEADLINE
from bench.board.shares import Side, Sides, references, share
from bench.board.standing import superseded, untraceable, whole
from bench.board.titles import shortest, titles
from bench.records.protocol import agrees, protocol_hash


@dataclass(frozen=True)
class SideBySide(Sides):
    """All backbones of one split that were run under one protocol; sides are named by backbone.

    A row is complete if it has as many seeds as any other of its backbone. Budgets are the same if
    their caps are.

    Attributes:
        dataset: name of the data set.
        split: id of the split.
        note: what must be said wherever the data set is named.
        protocol: the protocol that the backbones share, less what is about the backbone.
        left_out: backbones of the split without a ceiling under this protocol.
    """

    dataset: str
    split: str
    note: str
    protocol: Mapping[str, Any]

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


def side_by_side(boards: Sequence[Board]) -> tuple[SideBySide, ...]:
    """Return, by protocol and split, the backbones that can be read side by side.

    Backbones are comparable when all of their protocol but the backbone itself is the same. Where
    a split has several such protocols, the one with most backbones is taken, then with most rows.
    Rows whose code cannot be found or is superseded are left out, as on leaderboards.

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
    rows = {board.backbone: _traceable(board) for board in boards}
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
    complete = [board for board in boards if board.backbone in backbones[best]]
    chosen = [_chosen(rows[board.backbone], protocols[best]) for board in complete]
    names = titles([r for _, kept in chosen for row in kept for r in row.records])
    return SideBySide(
        sides=tuple(
            _side(board, best, ceiling, kept, names)
            for board, (ceiling, kept) in zip(complete, chosen, strict=True)
        ),
        left_out=tuple(g.backbone for g in boards if g.backbone not in backbones[best]),
        dataset=boards[0].dataset,
        split=boards[0].split,
        note=boards[0].note,
        protocol=MappingProxyType(protocols[best]),
    )


def _traceable(board: Board) -> list[Row]:
    """Return the rows of a board whose code can be found, under whatever protocol."""
    return [entry.row for _, entry in board.rows() if not untraceable(entry.row)]


def _side(
    board: Board, protocol: str, ceiling: Row, rows: Sequence[Row], names: Mapping[str, str]
) -> Side:
    seeds = max((len(row.seeds) for row in (ceiling, *rows)), default=0)
    labels: dict[tuple[str, int], set[str]] = defaultdict(set)
    for row in rows:
        labels[_budget_of(row)] |= {r.budget.label for r in row.records if r.budget}
    return Side(
        name=board.backbone,
        board=board,
        protocol_hash=protocol,
        ceiling=ceiling,
        references=references(board, ceiling),
        kept=tuple(
            share(
                board,
                ceiling,
                row,
                title=names[row.first.id],
                place=_budget_of(row),
                budget=shortest(labels[_budget_of(row)]),
                complete=len(row.seeds) == seeds,
            )
            for row in rows
        ),
    )


def _chosen(rows: Sequence[Row], protocol: Mapping[str, Any]) -> tuple[Row, list[Row]]:
    """Return a backbone's ceiling under the protocol, which it has, and one row for each method."""
    ceilings = whole(
        [
            r
            for r in rows
            if r.role == "ceiling" and r.mean(HEADLINE) and _less_backbone(r.protocol) == protocol
        ]
    )

    def followers(ceiling: Row) -> list[Row]:
        found = [r for r in rows if r.first.budget and agrees(r.protocol, ceiling.protocol)]
        replaced = superseded(found)
        found = [r for r in found if r.key not in replaced]
        # A control may have any number of dimensions, thus budgets that no method had here.
        caps = {_budget_of(r) for r in found if r.role != "control"}
        return [r for r in found if _budget_of(r) in caps]

    # Of several settings of a backbone, the one that most was run under; then validation decides.
    ceiling = max(ceilings, key=lambda r: (len(followers(r)), len(r.seeds), r.preference))
    return ceiling, _one_each(followers(ceiling))


def _one_each(rows: Iterable[Row]) -> list[Row]:
    """Return one row for each budget and method: of those with most seeds, as validation says."""
    found: dict[tuple[tuple[str, int], str], Row] = {}

    def worth(row: Row) -> tuple[int, tuple[float, str]]:
        return len(row.seeds), row.preference

    for row in rows:
        place = _budget_of(row), row.method
        if place not in found or worth(row) > worth(found[place]):
            found[place] = row
    return [row for _, row in sorted(found.items(), key=lambda item: item[0])]


def _less_backbone(protocol: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in protocol.items() if k != "backbone" and not k.startswith("backbone.")}


def _budget_of(row: Row) -> tuple[str, int]:
    """Return accounting and cap of a row; without a budget "" and 0."""
    budget = row.first.budget
    return (budget.accounting, budget.cap) if budget else ("", 0)
