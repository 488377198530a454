"""Backbones side by side, as markdown and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator

from bench.board import Boards, SideBySide
from bench.board.quantities import quantity
from bench.board.shares import Kept
from bench.report.sides import HEAD, ceilings, lines, shared_references, signs, table

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
    yield table(*ceilings(one.sides, "Backbone"))
    yield ""
    for place, label in one.budgets:
        yield f"Budget {label} (at most {place[1]:,} {place[0]}):"
        yield ""
        yield table(
            ["Kept (%)", *(side.name for side in one.sides)],
            [
                *(
                    [name, *(cell(side.find(place, method)) for side in one.sides)]
                    for method, name in one.methods(place)
                ),
                *([name, *map(cell, found)] for name, found in shared_references(one.sides)),
            ],
        )
        yield ""


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
    return f"{form(kept.ndcg)} / {form(kept.recall)}{signs(kept)}"


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
