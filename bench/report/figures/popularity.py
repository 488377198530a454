"""The figure of what is kept for rare and for popular items, one panel for each budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.board import Board
from bench.board.quantities import FIFTHS
from bench.report.figures.layout import (
    LEGEND_ROW,
    LINE,
    WIDTH,
    Chart,
    footnotes,
    heading,
    legend_columns,
    place_labels,
)
from bench.report.figures.style import Style
from bench.report.popularity import Profile, profiles

HEAD = ("budget", "method", "title", "items", "hits@20", "kept")
GROUPS = (
    "Items from the least to the most popular; each group has a fifth of the training interactions."
)


def popularity(board: Board, looks: Mapping[str, Style]) -> Chart:
    """Draw what each leading row finds by popularity of items, in percent of the full table."""
    found = profiles(board)
    budgets = list(dict.fromkeys(one.budget for one in found))
    titles = {one.entry.row.method: one.entry.row.title for one in found}
    relative = found[0].kept is not None
    columns = min(3, len(budgets))
    tall = -(-len(budgets) // columns)
    wide = legend_columns(titles.values())
    notes = [GROUPS, *wrap(board.note, LINE)]
    foot = 0.05 + 0.15 * len(notes)
    below = LEGEND_ROW * -(-(len(titles) + relative) // wide) + 0.5 + foot
    height = 0.55 + below + 2.1 * tall
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.subplots(tall, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for axis, budget in zip(axes, budgets, strict=False):
        _panel(axis, [one for one in found if one.budget == budget], looks, relative)
        axis.set_title(f"budget {budget}", loc="left", pad=3, fontsize=9)
    for axis in axes[len(budgets) :]:
        axis.set_visible(False)
    axes[0].set_ylim(0, None)
    axes[0].set_xticks(range(len(FIFTHS)), FIFTHS)
    axes[0].set_xlim(-0.5, len(FIFTHS) - 0.5)  # labels at the ends of two panels stay apart
    for index, axis in enumerate(axes[: len(budgets)]):
        if index % columns == 0:
            axis.set_ylabel("Hits@20 kept (%)" if relative else "Hits@20 (%)")
        if index + columns >= len(budgets):
            axis.set_xlabel("Popularity of items")
            axis.tick_params(labelbottom=True)
    figure.subplots_adjust(
        left=0.085, right=0.985, top=1 - 0.5 / height, bottom=below / height, wspace=0.06,
        hspace=0.24,
    )  # fmt: skip
    place_labels(axes, left=0.36)
    figure.suptitle(
        f"{heading(board)}: rare and popular items", fontsize=10, y=1 - 0.06 / height, va="top"
    )
    handles = [
        Line2D([], [], color=looks[name].colour, linestyle=looks[name].line, linewidth=1.4,
               marker=looks[name].marker, markersize=5, markeredgecolor="white",
               markeredgewidth=0.5, label=title)
        for name, title in sorted(titles.items(), key=lambda pair: pair[1])
    ]  # fmt: skip
    if relative:
        handles.append(Line2D([], [], color="#444444", linestyle=(0, (8, 2)), label="Full table"))
    figure.legend(
        handles=handles, loc="lower center", ncols=wide, frameon=False, handlelength=3.4,
        borderpad=0, columnspacing=1.4, labelspacing=0.35, bbox_to_anchor=(0.5, foot / height),
    )  # fmt: skip
    footnotes(figure, notes, height)
    rows: list[tuple[object, ...]] = [
        (one.budget, one.entry.row.method, one.entry.row.title, group, one.hits[place],
         None if one.kept is None else one.kept[place])
        for one in found
        for place, group in enumerate(FIFTHS)
    ]  # fmt: skip
    return Chart(figure, HEAD, rows)


def _panel(axis: Axes, here: Sequence[Profile], looks: Mapping[str, Style], relative: bool) -> None:
    if relative:
        axis.axhline(100, color="#444444", linestyle=(0, (8, 2)), linewidth=1.1, zorder=1)
    for one in here:
        style = looks[one.entry.row.method]
        axis.plot(
            range(len(FIFTHS)),
            one.kept or tuple(100 * hits for hits in one.hits),
            color=style.colour, linestyle=style.line, linewidth=1.4, marker=style.marker,
            markersize=5, markeredgecolor="white", markeredgewidth=0.5,
        )  # fmt: skip
    sns.despine(ax=axis)
