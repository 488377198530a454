"""What the leading rows of a board find among rare and among popular items."""

from __future__ import annotations

from typing import NamedTuple

from bench.board import Board, Entry, Leaderboard
from bench.board.quantities import FIFTHS

LEADING = 5
"""Methods of a budget that are shown; the control is shown, too."""

KEYS = tuple(f"items_{place}" for place in range(1, len(FIFTHS) + 1))


class Profile(NamedTuple):
    """What one row finds in each group of items, from the least to the most popular.

    Attributes:
        budget: label of the row's leaderboard.
        entry: the row.
        hits: share of the group's test interactions that are among the first 20.
        kept: the same in percent of the full table's; None without a full table.
    """

    budget: str
    entry: Entry
    hits: tuple[float, ...]
    kept: tuple[float, ...] | None


def profiles(board: Board) -> list[Profile]:
    """The profiles of the leading rows of each budget, one a method, best first.

    Empty where runs have no arrays of their test part.
    """
    top = [board.ceiling.mean(key) if board.ceiling else None for key in KEYS]
    found = []
    for leaderboard in board.leaderboards:
        for entry in _leading(leaderboard) if leaderboard.cap is not None else ():
            hits = [entry.row.mean(key) for key in KEYS]
            if any(one is None for one in hits):
                continue
            known = tuple(one for one in hits if one is not None)
            kept = None
            if all(top):
                kept = tuple(100 * one / (full or 1) for one, full in zip(known, top, strict=True))
            found.append(Profile(leaderboard.label, entry, known, kept))
    return found


def _leading(leaderboard: Leaderboard) -> list[Entry]:
    ranked = [entry for entry in leaderboard.chosen.values() if entry.rank is not None]
    ranked.sort(key=lambda entry: entry.rank or 0)
    return [
        entry
        for place, entry in enumerate(ranked)
        if place < LEADING or entry.row is leaderboard.control
    ]
