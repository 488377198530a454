"""The figure of what is kept for rare and for popular items, one panel for each budget."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap

from bench.board import Board
from bench.board.quantities import FIFTHS
from bench.report.figures.layout import (
    LINE,
    Chart,
    budget_panels,
    draw_full_table,
    full_table_key,
    heading,
    method_keys,
)
from bench.report.figures.style import Style
from bench.report.popularity import profiles

HEAD = ("budget", "method", "title", "items", "hits@20", "kept")
GROUPS = (
    "Items from the least to the most popular; each group has a fifth of the training interactions."
)


def popularity(board: Board, looks: Mapping[str, Style]) -> Chart:
    """Draw what each leading row finds by popularity of items, in percent of the full table."""
    found = profiles(board)
    budgets = list(dict.fromkeys(one.budget for one in found))
    relative = all(one.kept is not None for one in found)
    handles = method_keys({one.entry.row.method: one.entry.row.title for one in found}, looks)
    figure, axes = budget_panels(
        budgets,
        [*handles, full_table_key()] if relative else handles,
        title=f"{heading(board)}: rare and popular items",
        x="Popularity of items",
        y="Hits@20 kept (%)" if relative else "Hits@20 (%)",
        notes=[GROUPS, *wrap(board.note, LINE)],
    )
    panels = dict(zip(budgets, axes, strict=True))
    rows: list[tuple[object, ...]] = []
    for one in found:
        row, style = one.entry.row, looks[one.entry.row.method]
        shown = one.kept or tuple(100 * hits for hits in one.hits)
        panels[one.budget].plot(
            range(len(FIFTHS)), shown, color=style.colour, linestyle=style.line, linewidth=1.4,
            marker=style.marker, markersize=5, markeredgecolor="white", markeredgewidth=0.5,
        )  # fmt: skip
        kept = one.kept or (None,) * len(FIFTHS)
        rows += [
            (one.budget, row.method, row.title, *group)
            for group in zip(FIFTHS, one.hits, kept, strict=True)
        ]
    if relative:
        for axis in axes:
            draw_full_table(axis, 100)
    axes[0].set_ylim(0, None)
    axes[0].set_xticks(range(len(FIFTHS)), FIFTHS)
    axes[0].set_xlim(-0.5, len(FIFTHS) - 0.5)  # labels at the ends of two panels stay apart
    return Chart(figure, HEAD, rows)
