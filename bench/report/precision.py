"""What fewer bits a value buy: the rows of a budget by method and bits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tabulate import tabulate

from bench.board import Board, Entry, Leaderboard
from bench.board.model import NO_BUDGET, Row
from bench.board.quantities import HEADLINE, quantity
from bench.report.byte_kinds import spending

FULL = 32.0  # bits of a float32


class Cell(NamedTuple):
    """One method at one precision and budget.

    Attributes:
        budget: its label.
        bits: of a stored value, on average where a method mixes several.
        entry: of several rows, the one that validation prefers.
    """

    budget: str
    bits: float
    entry: Entry


def bits_of(row: Row) -> float:
    """Bits of a stored value: what the run asked for, or the average of the file's codes."""
    asked = row.first.spec.method.config.get("bits")
    if isinstance(asked, int):
        return float(asked)
    size, spent = row.first.size, spending(Entry(row))
    if size is None or not spent["scales"] or not size.values:
        return FULL
    return round(8 * (spent["codes"] + spent["values"]) / size.values, 1)


def cells(board: Board) -> list[Cell]:
    """The rows of the budgets that have rows of several precisions, as they stand there."""
    return [cell for leaderboard in board.leaderboards for cell in _of(leaderboard)]


def _of(leaderboard: Leaderboard) -> list[Cell]:
    best: dict[tuple[str, float], Entry] = {}
    for entry in (*leaderboard.entries, *leaderboard.apart):
        if entry.reason and not entry.incomplete:
            continue
        key = entry.row.title, bits_of(entry.row)
        if key not in best or entry.row.preference > best[key].row.preference:
            best[key] = entry
    if len({bits for _, bits in best}) < 2:
        return []
    return [Cell(leaderboard.label, bits, entry) for (_, bits), entry in best.items()]


def text(bits: float) -> str:
    """Bits as a table shows them."""
    return f"{bits:g}"


def section(board: Board) -> Iterable[str]:
    """The lines of the tables, one a budget; nothing where all values have the same precision."""
    found = cells(board)
    if not found:
        return
    yield "### What precision buys"
    yield ""
    yield (
        f"{quantity(HEADLINE).axis} by bits of a stored value, at the same bytes. Of several rows "
        "of a method, validation chose one. A method that mixes bits has their average."
    )
    yield ""
    for budget in dict.fromkeys(cell.budget for cell in found):
        here = [cell for cell in found if cell.budget == budget]
        columns = sorted({cell.bits for cell in here}, reverse=True)
        scores = {(cell.entry.row.title, cell.bits): _score(cell) for cell in here}
        names = sorted(
            {title for title, _ in scores},
            key=lambda name: -max(score for (title, _), score in scores.items() if title == name),
        )
        yield "No budget:" if budget == NO_BUDGET else f"Budget {budget}:"
        yield ""
        yield tabulate(
            [[name, *(_shown(scores.get((name, bits))) for bits in columns)] for name in names],
            headers=["Method", *(f"{text(bits)} bits" for bits in columns)],
            tablefmt="pipe",
            colalign=["left"] + ["right"] * len(columns),
            disable_numparse=True,
        )
        yield ""


def _score(cell: Cell) -> float:
    return cell.entry.row.mean(HEADLINE) or 0.0


def _shown(score: float | None) -> str:
    return "" if score is None else quantity(HEADLINE).text(score)
