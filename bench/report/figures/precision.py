"""The figure of accuracy versus bits of a value, one panel for each budget."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap

from matplotlib.axes import Axes

from bench.board import Board
from bench.board.quantities import HEADLINE, quantity
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
from bench.report.precision import Cell, cells, text

HEAD = ("budget", "method", "title", "bits", "ndcg@20")


def precision(board: Board, looks: Mapping[str, Style]) -> Chart:
    """Draw NDCG@20 versus bits of a value; all points of a panel have the same bytes."""
    found = cells(board)
    budgets = list(dict.fromkeys(cell.budget for cell in found))
    handles = method_keys({cell.entry.row.method: cell.entry.row.title for cell in found}, looks)
    figure, axes = budget_panels(
        budgets,
        handles if board.ceiling is None else [*handles, full_table_key()],
        title=f"{heading(board)}: what precision buys",
        x="Bits of a value",
        y=quantity(HEADLINE).axis,
        notes=wrap(board.note, LINE),
    )
    rows: list[tuple[object, ...]] = []
    for axis, budget in zip(axes, budgets, strict=True):
        here = sorted((cell for cell in found if cell.budget == budget), key=lambda c: -c.bits)
        _panel(axis, here, board, looks)
        rows += [
            (budget, c.entry.row.method, c.entry.row.title, c.bits, c.entry.row.mean(HEADLINE))
            for c in here
        ]
    ticks = [32, 16, 8, 4, 2, 1]
    low, high = min(cell.bits for cell in found), max(cell.bits for cell in found)
    axes[0].set_xscale("log", base=2)
    axes[0].set_xlim(high * 1.2, low / 1.2)  # fewer bits to the right
    axes[0].set_xticks([t for t in ticks if low <= t <= high], minor=False)
    axes[0].xaxis.set_major_formatter(lambda value, _: text(value))
    return Chart(figure, HEAD, rows)


def _panel(axis: Axes, here: list[Cell], board: Board, looks: Mapping[str, Style]) -> None:
    if board.ceiling is not None and (top := board.ceiling.mean(HEADLINE)) is not None:
        draw_full_table(axis, top)
    for name in sorted({cell.entry.row.method for cell in here}):
        style = looks[name]
        own = [cell for cell in here if cell.entry.row.method == name]
        axis.plot(
            [cell.bits for cell in own],
            [cell.entry.row.mean(HEADLINE) or 0.0 for cell in own],
            color=style.colour, linestyle=style.line, linewidth=1.4, marker=style.marker,
            markersize=5, markeredgecolor="white", markeredgewidth=0.5,
        )  # fmt: skip
