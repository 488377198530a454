"""What rows keep of a full table: the sides of a comparison of backbones or of data sets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from bench.board import stats
from bench.board.model import Board, Row
from bench.board.quantities import HEADLINE
from bench.board.significance import noise

RECALL = "recall@20"

Place = tuple[str, float]
"""What makes budgets of several sides the same: ("bytes", cap) or ("%", share of a full table)."""


@dataclass(frozen=True)
class Kept:
    """What a row keeps of the ceiling of its side.

    Attributes:
        row: the row.
        title: its method, the same on all sides.
        place: its budget, to find it on other sides; ("", 0) for a reference.
        budget: label of its budget; empty for a reference.
        complete: it has as many seeds as it should.
        ndcg: NDCG@20 in percent of the ceiling's.
        low: lower end of the 95 % interval of `ndcg`, over test users, and over seeds where
            there are enough of them; None without per-user metrics.
        high: upper end.
        recall: Recall@20 in percent of the ceiling's.
        below_reference: its NDCG@20 is not better than that of a reference ranking.
    """

    row: Row
    title: str
    place: Place
    budget: str
    complete: bool
    ndcg: float
    low: float | None
    high: float | None
    recall: float | None
    below_reference: bool


@dataclass(frozen=True)
class Side:
    """A board, as shares of its full table.

    Attributes:
        name: its backbone or its data set, whichever differs between the sides.
        board: the board.
        protocol_hash: hash of the protocol that its rows share.
        ceiling: its uncompressed table.
        references: rankings without embeddings, as shares of the ceiling.
        kept: budget by budget, smallest first, and by method.
    """

    name: str
    board: Board
    protocol_hash: str
    ceiling: Row
    references: tuple[Kept, ...]
    kept: tuple[Kept, ...]

    def find(self, place: Place, method: str) -> Kept | None:
        """Return what a method keeps at a budget; None without a run."""
        for one in self.kept:
            if one.row.method == method and one.place == place:
                return one
        return None

    @property
    def places(self) -> frozenset[Place]:
        """Return its budgets."""
        return frozenset(one.place for one in self.kept)


@dataclass(frozen=True)
class Sides:
    """Boards side by side.

    Attributes:
        sides: by name, at least two.
        left_out: what cannot be compared, with the reason where there are several.
    """

    sides: tuple[Side, ...]
    left_out: tuple[str, ...]

    @property
    def budgets(self) -> tuple[tuple[Place, str], ...]:
        """Return place and label of every budget, smallest first."""
        found = {one.place: one.budget for side in self.sides for one in side.kept}
        return tuple(sorted(found.items()))

    @property
    def titles(self) -> Mapping[str, str]:
        """Return the titles of the methods, by name."""
        return {one.row.method: one.title for side in self.sides for one in side.kept}

    def methods(self, place: Place) -> tuple[tuple[str, str], ...]:
        """Return name and title of the methods of a budget, the best on average first."""
        shares: dict[tuple[str, str], list[float]] = defaultdict(list)
        for side in self.sides:
            for one in side.kept:
                if one.place == place:
                    shares[one.row.method, one.title].append(one.ndcg)
        # One that is missing on a side comes after those that are compared on all.
        return tuple(
            sorted(shares, key=lambda m: (-len(shares[m]), -sum(shares[m]) / len(shares[m]), m))
        )


def share(
    board: Board,
    ceiling: Row,
    row: Row,
    *,
    title: str,
    place: Place,
    budget: str,
    complete: bool,
) -> Kept:
    """Return what a row of a board keeps of a ceiling.

    Args:
        board: the board of both.
        ceiling: a row with a positive NDCG@20.
        row: the row.
        title: its method, for readers.
        place: its budget.
        budget: label of its budget.
        complete: it has as many seeds as it should.
    """
    mine, top = row.mean(HEADLINE) or 0.0, ceiling.mean(HEADLINE) or 1.0
    recall, best = row.mean(RECALL), ceiling.mean(RECALL)
    low, high = _ends(board, row, ceiling)
    floor = max((one.mean(HEADLINE) or 0.0 for one in board.references), default=None)
    return Kept(
        row=row,
        title=title,
        place=place,
        budget=budget,
        complete=complete,
        ndcg=100 * mine / top,
        low=low,
        high=high,
        recall=100 * recall / best if recall is not None and best else None,
        below_reference=row.role != "reference" and floor is not None and mine <= floor,
    )


def references(board: Board, ceiling: Row) -> tuple[Kept, ...]:
    """Return the references of a board as shares of a ceiling."""
    return tuple(
        share(board, ceiling, row, title=row.title, place=("", 0), budget="", complete=True)
        for row in board.references
    )


def _ends(board: Board, row: Row, ceiling: Row) -> tuple[float | None, float | None]:
    """Return the 95 % interval of a row's share of the ceiling, in percent (delta method)."""
    mine, top = board.scores.get(row.key), board.scores.get(ceiling.key)
    below = ceiling.mean(HEADLINE)
    if mine is None or top is None or not below or mine.users != top.users:
        return None, None
    if len(mine.mean) < stats.LEAST_USERS:
        return None, None
    ratio = (row.mean(HEADLINE) or 0.0) / below
    # The ratio times the ceiling less the row has the noise of their difference.
    half, _ = stats.difference(1.0, *noise(row, mine, ceiling, top, ratio))
    return 100 * (ratio - float(half) / below), 100 * (ratio + float(half) / below)
