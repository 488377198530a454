"""Data sets side by side: what each method keeps of the full table of each, and average ranks."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from bench.board import stats
from bench.board.model import Board, Entry, Leaderboard, slug
from bench.board.quantities import HEADLINE
from bench.board.shares import Place, Side, Sides, references, share
from bench.board.titles import budget_label, titles
from bench.records.schema import PROTOCOL

LEAST = 3
"""Average ranks over fewer data sets are shown and not tested."""

_PERCENT = re.compile(r"([0-9]+(?:\.[0-9]+)?) *%")


@dataclass(frozen=True)
class AcrossDatasets(Sides):
    """The data sets of one backbone under today's protocol; sides are named by data set.

    A row is complete if it is ranked on its board. Budgets are shares of the bytes of a full table.

    Attributes:
        backbone: name of the backbone.
        ranking: average ranks of the methods, by name, over the data sets; None where fewer than
            two are complete at all shared budgets of all data sets.
        ranks: the ranks of a ranked method on the data sets, in the order of the sides: each the
            mean of its ranks over the shared budgets. Ranks are those among ranked methods.
    """

    backbone: str
    ranking: stats.Ranking | None
    ranks: Mapping[str, tuple[float, ...]]

    @property
    def slug(self) -> str:
        """Return the name for files."""
        return slug("datasets", self.backbone, PROTOCOL)

    @property
    def shared(self) -> tuple[tuple[Place, str], ...]:
        """Return place and label of the budgets that all data sets have, smallest first."""
        return tuple(one for one in self.budgets if all(one[0] in s.places for s in self.sides))

    @property
    def unranked(self) -> tuple[str, ...]:
        """Return the titles of methods that have no average rank."""
        return tuple(sorted(title for name, title in self.titles.items() if name not in self.ranks))


def across_datasets(boards: Sequence[Board]) -> tuple[AcrossDatasets, ...]:
    """Return, by backbone, the data sets that can be read side by side, where there are two.

    Boards of an earlier protocol are not taken. Of several splits of a data set, the one with most
    ranked rows is.

    Args:
        boards: the boards, any number for each backbone.
    """
    by_backbone: dict[str, list[Board]] = defaultdict(list)
    for board in boards:
        if not board.old:
            by_backbone[board.backbone].append(board)
    found = []
    for backbone, members in sorted(by_backbone.items()):
        chosen, left_out = _one_each(members)
        if len(chosen) > 1:
            found.append(_across(backbone, chosen, left_out))
    return tuple(found)


def _one_each(boards: Sequence[Board]) -> tuple[list[Board], tuple[str, ...]]:
    """Return one board for each data set, by name, and what is left out, with the reason."""
    whole: dict[str, list[Board]] = defaultdict(list)
    left_out = {}
    for board in boards:
        if board.ceiling is not None and board.ceiling.mean(HEADLINE):
            whole[board.dataset].append(board)
        else:
            left_out[board.split] = "no full table"
    chosen = []
    for name, members in sorted(whole.items()):
        best = max(members, key=lambda b: (sum(len(x.entries) for x in b.leaderboards), b.split))
        chosen.append(best)
        left_out |= {b.split: f"another split of {name}" for b in members if b is not best}
    return chosen, tuple(f"{split} ({why})" for split, why in sorted(left_out.items()))


def _across(backbone: str, boards: Sequence[Board], left_out: tuple[str, ...]) -> AcrossDatasets:
    placed = [dict(_entries(board)) for board in boards]
    records = [r for one in placed for entry in one.values() for r in entry.row.records]
    names = titles(records)
    sides = tuple(
        _side(board, entries, names) for board, entries in zip(boards, placed, strict=True)
    )
    ranking, ranks = _rank(sides)
    return AcrossDatasets(sides, left_out, backbone, ranking, MappingProxyType(ranks))


def _entries(board: Board) -> Iterator[tuple[tuple[float, str, str], Entry]]:
    """Yield (share, label, method) and entry of what stands at budgets that are shares of bytes."""
    found: dict[float, tuple[str, Leaderboard]] = {}
    for leaderboard in board.leaderboards:
        if leaderboard.accounting != "bytes":
            continue
        entries = (*leaderboard.entries, *leaderboard.apart)
        records = [record for entry in entries for record in entry.row.records]
        label = budget_label(records, board.protocol)
        percent = _PERCENT.fullmatch(label)
        if percent is None:
            continue
        held = found.get(float(percent[1]))
        # Rows of another table size have a cap of their own for the same share.
        if held is None or len(leaderboard.chosen) > len(held[1].chosen):
            found[float(percent[1])] = label, leaderboard
    for percent_of, (label, leaderboard) in sorted(found.items()):
        for method, entry in sorted(leaderboard.chosen.items()):
            yield (percent_of, label, method), entry


def _side(
    board: Board, entries: Mapping[tuple[float, str, str], Entry], names: Mapping[str, str]
) -> Side:
    assert board.ceiling is not None  # others are left out
    return Side(
        name=board.dataset,
        board=board,
        protocol_hash=board.protocol_hash,
        ceiling=board.ceiling,
        references=references(board, board.ceiling),
        kept=tuple(
            share(
                board,
                board.ceiling,
                entry.row,
                title=names[entry.row.first.id],
                place=("%", percent),
                budget=label,
                complete=entry.rank is not None,
            )
            for (percent, label, _), entry in entries.items()
        ),
    )


def _rank(sides: Sequence[Side]) -> tuple[stats.Ranking | None, dict[str, tuple[float, ...]]]:
    """Return the average ranks over data sets, and the ranks on each by method.

    The data sets are the blocks of the test, because budgets of one data set are not independent.
    """
    shared = sorted(frozenset.intersection(*(side.places for side in sides)))
    scores = [
        {one.row.method: one.ndcg for one in side.kept if one.complete and one.place == place}
        for side in sides
        for place in shared
    ]
    names = sorted(set.intersection(*map(set, scores))) if scores else []
    if len(names) < 2:
        return None, {}
    each = np.stack([stats.ranks(np.array([-one[name] for name in names])) for one in scores])
    means = each.reshape(len(sides), len(shared), len(names)).mean(axis=1)
    ranks = {name: tuple(map(float, column)) for name, column in zip(names, means.T, strict=True)}
    return stats.rank_test(names, means, least=LEAST), ranks
