"""The figure of accuracy versus bits of a value, one panel for each budget."""

from __future__ import annotations

from collections.abc import Mapping

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.board import Board
from bench.board.quantities import HEADLINE, quantity
from bench.report.figures.layout import (
    LEGEND_ROW,
    WIDTH,
    Chart,
    footnote,
    heading,
    legend_columns,
    place_labels,
)
from bench.report.figures.style import Style
from bench.report.precision import Cell, cells, text

HEAD = ("budget", "method", "title", "bits", "ndcg@20")


def precision(board: Board, looks: Mapping[str, Style]) -> Chart:
    """Draw NDCG@20 versus bits of a value; all points of a panel have the same bytes."""
    found = cells(board)
    budgets = list(dict.fromkeys(cell.budget for cell in found))
    titles = {cell.entry.row.method: cell.entry.row.title for cell in found}
    columns = min(3, len(budgets))
    tall = -(-len(budgets) // columns)
    wide = legend_columns(titles.values())
    below = LEGEND_ROW * -(-(len(titles) + 1) // wide) + 0.52 + (0.2 if board.note else 0)
    height = 0.55 + below + 2.0 * tall
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.subplots(tall, columns, squeeze=False, sharex=True, sharey=True).ravel()
    rows: list[tuple[object, ...]] = []
    for axis, budget in zip(axes, budgets, strict=False):
        here = sorted((cell for cell in found if cell.budget == budget), key=lambda c: -c.bits)
        _panel(axis, here, board, looks)
        axis.set_title(f"budget {budget}", loc="left", pad=3, fontsize=9)
        rows += [
            (budget, c.entry.row.method, c.entry.row.title, c.bits, c.entry.row.mean(HEADLINE))
            for c in here
        ]
    for axis in axes[len(budgets) :]:
        axis.set_visible(False)
    ticks = [32, 16, 8, 4, 2, 1]
    low, high = min(cell.bits for cell in found), max(cell.bits for cell in found)
    axes[0].set_xscale("log", base=2)
    axes[0].set_xlim(high * 1.2, low / 1.2)  # fewer bits to the right
    axes[0].set_xticks([t for t in ticks if low <= t <= high], minor=False)
    axes[0].xaxis.set_major_formatter(lambda value, _: text(value))
    for index, axis in enumerate(axes[: len(budgets)]):
        if index % columns == 0:
            axis.set_ylabel(quantity(HEADLINE).axis)
        if index + columns >= len(budgets):
            axis.set_xlabel("Bits of a value")
            axis.tick_params(labelbottom=True)
    figure.subplots_adjust(
        left=0.085, right=0.985, top=1 - 0.5 / height, bottom=below / height, wspace=0.06,
        hspace=0.26,
    )  # fmt: skip
    place_labels(axes, left=0.44)
    figure.suptitle(
        f"{heading(board)}: what precision buys", fontsize=10, y=1 - 0.06 / height, va="top"
    )
    handles = [
        Line2D([], [], color=looks[name].colour, linestyle=looks[name].line, linewidth=1.4,
               marker=looks[name].marker, markersize=5, label=title)
        for name, title in sorted(titles.items(), key=lambda pair: pair[1])
    ]  # fmt: skip
    if board.ceiling is not None:
        handles.append(Line2D([], [], color="#444444", linestyle=(0, (8, 2)), label="Full table"))
    figure.legend(
        handles=handles, loc="lower center", ncols=wide, frameon=False, handlelength=3.4,
        borderpad=0,
        columnspacing=1.4, labelspacing=0.35,
        bbox_to_anchor=(0.5, (0.22 if board.note else 0.02) / height),
    )  # fmt: skip
    footnote(figure, board.note, height)
    return Chart(figure, HEAD, rows)


def _panel(axis: Axes, here: list[Cell], board: Board, looks: Mapping[str, Style]) -> None:
    if board.ceiling is not None and (top := board.ceiling.mean(HEADLINE)) is not None:
        axis.axhline(top, color="#444444", linestyle=(0, (8, 2)), linewidth=1.1, zorder=1)
    for name in sorted({cell.entry.row.method for cell in here}):
        style = looks[name]
        own = [cell for cell in here if cell.entry.row.method == name]
        axis.plot(
            [cell.bits for cell in own],
            [cell.entry.row.mean(HEADLINE) or 0.0 for cell in own],
            color=style.colour, linestyle=style.line, linewidth=1.4, marker=style.marker,
            markersize=5, markeredgecolor="white", markeredgewidth=0.5,
        )  # fmt: skip
    sns.despine(ax=axis)
