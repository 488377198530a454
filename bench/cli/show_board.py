"""What `bench report` and `bench choose` show."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.grid import Column, Grid, number
from compact_lookup.table import RECOMMENDS

if TYPE_CHECKING:
    from bench.board import Board, Row
    from bench.board.choose import Advice, Choice


def summary(board: Board) -> Grid:
    """The leaderboards of one data set and backbone: what a board says in one table."""
    note = f" ({board.note})" if board.note else ""
    grid = Grid(
        f"{board.dataset}{note}, {board.backbone}{board.era}",
        (
            Column("budget"),
            number("rank"),
            Column("method"),
            number("values", leaves=3),
            number("bytes"),
            number("Recall@20", leaves=1),
            number("NDCG@20"),
            number("seeds", leaves=2),
        ),
    )

    def add(budget: str, rank: str, row: Row) -> None:
        numbers = [row.mean(key) for key in ("values", "bytes", "recall@20", "ndcg@20")]
        shown = [
            "" if n is None else f"{n:,.0f}" if i < 2 else f"{n:.4f}" for i, n in enumerate(numbers)
        ]
        grid.add(budget, rank, row.label, *shown, str(len(row.seeds)))

    if board.ceiling:
        add("none", "", board.ceiling)
    for row in board.references:
        add("none", "", row)
    for leaderboard in board.leaderboards:
        grid.section()
        # A first try of one seed is what somebody waits for, so it is shown, without a rank.
        tries = [entry for entry in leaderboard.apart if entry.incomplete]
        for entry in (*leaderboard.entries, *tries):
            add(leaderboard.label, str(entry.rank or "–"), entry.row)
    return grid


def not_ranked(board: Board) -> Iterable[str]:
    """Why rows of a board are not ranked, a line for each reason."""
    found: dict[str, list[str]] = {}
    for leaderboard in board.leaderboards:
        for entry in leaderboard.apart:
            found.setdefault(entry.reason, []).append(f"{entry.row.label} at {leaderboard.label}")
    for reason, rows in found.items():
        shown = ", ".join(rows[:3]) + (f" and {len(rows) - 3} more" if len(rows) > 3 else "")
        yield f"Not ranked: {shown}: {reason}."


def advice(found: Iterable[Advice], results: Path) -> Iterable[Grid | str]:
    """What to take on each data set: a table of what fits, and sentences on it."""
    from bench.board.sentences import latency_note, next_up, verdict

    for one in found:
        yield f"{one.dataset} ({one.split})" + (f". {one.note}" if one.note else "")
        if one.choices:
            yield _choices(one.choices)
            yield verdict(one)
            yield from _export_command(one.choices[0], results)
        yield next_up(one)
        if note := latency_note(one):
            yield note
        yield from (f"Note: {note}." for note in one.notes)
        yield ""


def _export_command(choice: Choice, results: Path) -> Iterable[str]:
    if choice.embedded:
        words = ["bench", "export", choice.run.id, "--to", "my-table", "--results", str(results)]
        yield f"Take its table: {shlex.join(words)}"
        if choice.board.backbone not in RECOMMENDS:
            yield (
                f"That table has rows, but `recommend` cannot score by them alone under"
                f" {choice.board.backbone}; --backbone mf lists tables that can."
            )


def _choices(choices: Iterable[Choice]) -> Grid:
    from bench.board.quantities import HEADLINE, quantity

    grid = Grid(
        "",
        (
            number("rank"),
            Column("method"),
            Column("backbone", leaves=1),
            number("budget", leaves=2),
            number("bytes"),
            number("microseconds a row, PyTorch", leaves=5),
            number(quantity(HEADLINE).label),
            number("95 % interval", leaves=4),
            number("% of full table", leaves=6),
            number("difference to first", leaves=3),
        ),
    )
    for rank, choice in enumerate(choices, start=1):
        row = choice.row
        score = row.numbers[HEADLINE]
        known = score.low is not None and score.high is not None
        difference = ""
        if choice.to_best is not None:
            sure = " (close)" if choice.close else " (not significant)" if choice.unsure else ""
            difference = f"{choice.to_best.difference:+.4f}{sure}"
        grid.add(
            str(rank),
            row.label,
            choice.board.backbone if choice.embedded else "none",
            choice.budget or "none",
            quantity("bytes").text(row.mean("bytes")),
            quantity("latency").text(row.mean("latency")),
            quantity(HEADLINE).text(score.mean),
            f"{score.low:.4f}–{score.high:.4f}" if known else "",
            quantity("share").text(choice.board.kept(row)),
            difference,
        )
    return grid
