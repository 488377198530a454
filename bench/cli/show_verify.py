"""What `bench verify` shows on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from bench.cli.grid import Column, Grid, number
from bench.verify.checks import Check
from bench.verify.references import Line

_NAMES = {"recall@20": "Recall@20", "ndcg@20": "NDCG@20"}


def comparison(lines: Sequence[Line]) -> list[Grid]:
    """Published against ours: a table for each reference run, a row for each metric of a source."""
    tables: dict[str, Grid] = {}
    before = None
    for line in lines:
        if line.reference not in tables:
            tables[line.reference] = _empty(line)
            before = None
        tables[line.reference].add(
            "" if line.source == before else line.source or "no source",
            _NAMES[line.metric],
            "not found" if line.published is None else f"{line.published:.4f}",
            _ours(line),
            _relative(line),
            "" if line.tolerance is None else f"±{line.tolerance:.1%}",
            _verdict(line),
        )
        before = line.source
    return list(tables.values())


def _empty(line: Line) -> Grid:
    runs = "" if not line.seeds else f", {line.seeds} run{'s' if line.seeds > 1 else ''} of ours"
    return Grid(
        f"{line.reference}{runs}",
        (
            Column("source"),
            Column("metric"),
            number("published"),
            number("ours"),
            number("off by"),
            number("allowed", leaves=1),
            Column("result", wraps=True),
        ),
    )


def _verdict(line: Line) -> str | Text:
    if line.failed:
        return Text(line.verdict, "red")
    return f"{line.why}" if line.verdict == "for orientation" and line.why else line.verdict


def checks_table(found: Sequence[Check]) -> Grid:
    """The cross-checks with the largest difference that each found."""
    grid = Grid(
        "Cross-checks",
        (Column("check", wraps=True), number("difference"), number("tolerance"), Column("result")),
    )
    for one in found:
        verdict = Text("FAIL", "red") if one.failed else Text("agrees")
        grid.add(
            one.name,
            "" if one.difference is None else f"{one.difference:.1e}",
            f"{one.tolerance:.0e}",
            Text(f"skipped: {one.skipped}") if one.skipped else verdict,
        )
    return grid


def _ours(line: Line) -> str:
    if line.ours is None:
        return "not run"
    spread = "" if line.sd is None else f"±{line.sd:.4f}".replace("0.", ".")
    return f"{line.ours:.4f}{spread}"


def _relative(line: Line) -> str:
    if line.difference is None or not line.published:
        return ""
    return f"{line.difference / line.published:+.1%}"
