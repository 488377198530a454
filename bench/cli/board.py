"""`bench report`, `bench choose`, `bench diff`: reading what records say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from bench.cli import console, options
from bench.cli.app import READ, command
from bench.runs.request import existing


@command(
    READ,
    "bench report --results results --reports reports",
)
def report(
    results: options.Results = options.RESULTS, reports: options.Reports = options.REPORTS
) -> None:
    """Render tables, figures and pages from the records. Trains nothing."""
    show_report(results, reports)


def show_report(results: Path, reports: Path, split: str | None = None) -> None:
    """Render the board, and print the leaderboards of a split or of all as tables."""
    from bench import report as reporting
    from bench.board import load
    from bench.cli.show_board import not_ranked, summary

    boards = load(results, history=True)
    written = reporting.build(results, reports, boards=boards)
    for board in boards.boards:
        if split is None or board.split == split:
            console.out.print(summary(board))
            for line in not_ranked(board):
                console.out.say(line)
    pages = [path for path in written if path.name in ("index.md", "index.html")]
    console.out.say(f"{len(written)} files: " + ", ".join(map(str, pages)))


@command(
    READ,
    "bench choose --max-bytes 256KB --results results",
    "bench choose --max-bytes 1MiB -d gowalla --results results",
)
def choose(
    max_bytes: Annotated[
        str, typer.Option(help="Bytes that the embeddings may take, such as 256KB.")
    ],
    max_latency: Annotated[
        Optional[float], typer.Option(help="Microseconds that one row may take, read with PyTorch.")
    ] = None,
    backbone: options.Backbone = None,
    dataset: options.Dataset = None,
    results: options.Results = options.RESULTS,
) -> None:
    """Recommend a method for a size in bytes, from the records, with the uncertainty."""
    from bench.board import load
    from bench.board.choose import choose as chosen
    from bench.budget import parse_bytes
    from bench.cli.show_board import advice as shown
    from bench.data import name_of

    limit = parse_bytes(max_bytes, "--max-bytes")
    name = name_of(dataset) if dataset else None
    advice = chosen(load(existing(results)), limit, max_latency, backbone, name)
    for part in shown(advice, results):
        console.out.print(part, soft_wrap=isinstance(part, str))


@command(
    READ,
    "bench diff HEAD~1 results",
    "(The exit status is 1 if a row got worse.)",
)
def diff(
    before: Annotated[str, typer.Argument(help="A results folder or a git revision.")],
    after: Annotated[str, typer.Argument(help="Another one.")],
    results: options.Results = Path("results"),
) -> None:
    """List the rows that changed by more than noise between two sets of records."""
    from bench.board.diff import diff as compared
    from bench.board.diff import opened, render_diff

    with opened(before, results) as one, opened(after, results) as other:
        found = compared(one, other)
    console.out.say(render_diff(found))
    if found.worse:
        raise typer.Exit(1)
