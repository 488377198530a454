"""Backbones side by side, as markdown, CSV and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from tabulate import tabulate

from bench.board import Boards, SideBySide
from bench.board.backbones import BackboneShares, Kept
from bench.board.quantities import quantity
from bench.report.tables import to_csv

EXPLANATION = (
    "NDCG@20 / Recall@20 in percent of what the backbone reaches with its own full table: a column "
    "says what compression costs under one backbone, a row whether that depends on the backbone. "
    "‡ not better than the reference ranking; * seeds missing."
)
"""How the tables are to be read."""


def title(one: SideBySide) -> str:
    """Return the heading of the section."""
    return f"{one.dataset} · backbones side by side{one.era}"


def section(one: SideBySide, *, figures: bool) -> Iterator[str]:
    """Yield the lines of the section in markdown.

    Args:
        one: what to show.
        figures: refer to the figure beside the page.
    """
    yield f"## {title(one)}"
    yield ""
    yield EXPLANATION
    yield ""
    if one.note:
        yield f"**Note on {one.dataset}:** {one.note}"
        yield ""
    yield f"Protocol shared by the backbones: `{one.protocol_hash}`{left_out(one)}."
    yield ""
    if figures:
        yield f"![{title(one)}: accuracy kept versus stored bytes](figures/{one.slug}.png)"
        yield ""
    yield _table(
        ["Backbone", *(quantity(key).heading for key in _CEILING)],
        [
            [side.backbone, *(quantity(k).text(side.ceiling.mean(k)) for k in _CEILING)]
            for side in one.sides
        ],
    )
    yield ""
    for cap, label in one.budgets:
        yield f"Budget {label} (at most {cap[1]:,} {cap[0]}):"
        yield ""
        yield _table(
            ["Kept (%)", *(side.backbone for side in one.sides)],
            [
                *(
                    [name, *(cell(side.find(cap, method)) for side in one.sides)]
                    for method, name in one.methods(cap)
                ),
                *_references(one.sides),
            ],
        )
        yield ""


_CEILING = ("ndcg@20", "recall@20", "bytes", "backbone_values")


def left_out(one: SideBySide) -> str:
    """Return the half sentence about backbones that cannot be compared; empty without any."""
    if not one.left_out:
        return ""
    return f"; no full table under it: {', '.join(one.left_out)}"


def cell(kept: Kept | None) -> str:
    """Return what a cell of a table says; empty without a run."""
    if kept is None:
        return ""
    form = quantity("share").text
    signs = ("‡" if kept.below_reference else "") + ("" if kept.complete else "*")
    return f"{form(kept.ndcg)} / {form(kept.recall)}{signs}"


def _references(sides: Iterable[BackboneShares]) -> Iterator[list[str]]:
    """Yield a line for each reference that every side has."""
    columns = [{one.row.key: one for one in side.references} for side in sides]
    for key, first in columns[0].items():
        if all(key in column for column in columns):
            yield [first.title, *(cell(column[key]) for column in columns)]


def _table(head: list[str], rows: list[list[str]]) -> str:
    return tabulate(
        rows,
        headers=head,
        tablefmt="pipe",
        colalign=["left", *["right"] * (len(head) - 1)],
        disable_numparse=True,
    )


HEAD = (
    "dataset", "split", "protocol", "backbone", "budget", "cap", "accounting", "role", "method",
    "title", "row", "seeds", "complete", "bytes", "values", "backbone_values", "ndcg@20",
    "ndcg_kept", "ndcg_kept_low", "ndcg_kept_high", "recall@20", "recall_kept", "below_reference",
)  # fmt: skip


def lines(one: SideBySide) -> Iterator[tuple[object, ...]]:
    """Yield a line of `HEAD` for every ceiling, reference and row; shares are in percent."""
    for side in one.sides:
        whole = Kept(side.ceiling, "", True, 100.0, 100.0, 100.0, 100.0, False)
        for kept in (whole, *side.references, *side.kept):
            row, budget = kept.row, kept.row.first.budget
            yield (
                one.dataset, one.split, one.protocol_hash, side.backbone, kept.budget,
                budget.cap if budget else None, budget.accounting if budget else "", row.role,
                row.method, kept.title, row.key, len(row.seeds), kept.complete, row.mean("bytes"),
                row.mean("values"), row.mean("backbone_values"), row.mean("ndcg@20"), kept.ndcg,
                kept.low, kept.high, row.mean("recall@20"), kept.recall, kept.below_reference,
            )  # fmt: skip


def csv(one: SideBySide) -> str:
    """Return the section's table as CSV."""
    return to_csv(HEAD, lines(one))


def render_json(boards: Boards) -> str:
    """Return the sections of the boards as JSON text."""
    content = {
        "schema": 1,
        "splits": [
            {
                "dataset": one.dataset,
                "split": one.split,
                "note": one.note,
                "protocol": dict(one.protocol),
                "left_out": list(one.left_out),
                "rows": [dict(zip(HEAD[3:], line[3:], strict=True)) for line in lines(one)],
            }
            for one in boards.backbones
        ],
    }
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
