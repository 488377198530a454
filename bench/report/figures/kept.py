"""The figures of accuracy kept versus size, one panel for each backbone or data set."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.board import AcrossDatasets, SideBySide
from bench.board.quantities import quantity
from bench.board.shares import Kept, Side, Sides
from bench.report.datasets import notes
from bench.report.figures.layout import (
    LEGEND_ROW,
    LINE,
    WIDTH,
    Chart,
    draw_full_table,
    footnotes,
    full_table_key,
    legend_below,
    legend_columns,
    method_keys,
    place_labels,
)
from bench.report.figures.layout import points as draw_points
from bench.report.figures.sizes import log_ticks
from bench.report.figures.style import Style
from bench.report.sides import HEAD, lines

_MANY = 5
"""Panels from which on there are three beside each other."""


@dataclass(frozen=True)
class _Look:
    """How sides are drawn.

    Attributes:
        title: the figure's title.
        panel: format of a panel's title, of `name` and `top`, the full table's NDCG@20.
        size: where a row stands on the horizontal axis; None without a size.
        axis: label of that axis.
        ticks: the budgets on it.
        low: whether the vertical axis may begin above zero.
        tall: inches of a panel and the space below it.
        notes: lines at the foot.
    """

    title: str
    panel: str
    size: Callable[[Kept], float | None]
    axis: str
    ticks: Sequence[float]
    low: bool
    tall: float
    notes: Sequence[str]


def kept(one: SideBySide, looks: Mapping[str, Style]) -> Chart:
    """Draw NDCG@20 in percent of each backbone's ceiling versus stored bytes."""
    title = f"{one.dataset} ({one.split}): what is kept of each backbone's full table"
    look = _Look(
        title=title,
        panel="{name}: 100 % is NDCG@20 {top}",
        size=lambda point: point.row.mean("bytes"),
        axis=f"{quantity('bytes').axis}, log scale",
        ticks=[cap for (unit, cap), _ in one.budgets if unit == "bytes"],
        low=False,
        tall=1.95,
        notes=wrap(one.note, LINE),
    )
    return _draw(one, one.titles, looks, look)


def kept_of_datasets(one: AcrossDatasets, looks: Mapping[str, Style]) -> Chart:
    """Draw NDCG@20 in percent of each data set's ceiling versus the share of its bytes.

    Methods that stand on one data set only are in the data of the figure, and not drawn.
    """
    on = {name: sum(any(x.row.method == name for x in side.kept) for side in one.sides)
          for name in one.titles}  # fmt: skip
    look = _Look(
        title=f"{one.backbone}: what is kept of each data set's full table"
        " (in brackets: its NDCG@20, which is 100 %)",
        panel="{name} ({top})",
        size=_share_of_bytes,
        axis="Share of its bytes (%), log scale",
        ticks=[share for (_, share), _ in one.budgets],
        low=True,
        tall=2.4,
        notes=[line for name, note in notes(one) for line in wrap(f"{name}: {note}", LINE)],
    )
    titles = {name: title for name, title in one.titles.items() if on[name] > 1}
    return _draw(one, titles, looks, look)


def _share_of_bytes(point: Kept) -> float | None:
    size, stored = point.row.first.size, point.row.mean("bytes")
    return 100 * stored / size.full_bytes if size and size.full_bytes and stored else None


def _draw(one: Sides, titles: Mapping[str, str], looks: Mapping[str, Style], look: _Look) -> Chart:
    count = len(one.sides)
    columns = min(3 if count >= _MANY else 2, count)
    tall = -(-count // columns)
    references = {point.row.method: point.title for s in one.sides for point in s.references}
    handles = _legend(one.sides, titles, references, looks)
    wide = legend_columns(str(handle.get_label()) for handle in handles)
    foot = 0.05 + 0.15 * len(look.notes)
    below = LEGEND_ROW * -(-len(handles) // wide) + 0.5 + foot
    height = 0.55 + below + look.tall * tall
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.subplots(tall, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for axis, side in zip(axes, one.sides, strict=False):
        _panel(axis, side, titles, looks, look)
    for axis in axes[count:]:
        axis.set_visible(False)
    axes[0].set_xscale("log")
    axes[0].set_ylim(*_range(one, titles, look.low))
    log_ticks(axes[0], look.ticks)
    for index, axis in enumerate(axes[:count]):
        if index % columns == 0:
            axis.set_ylabel("NDCG@20 kept (%)")
        if index + columns >= count:
            axis.set_xlabel(look.axis)
            axis.tick_params(labelbottom=True)
    figure.subplots_adjust(
        left=0.085, right=0.985, top=1 - 0.5 / height, bottom=below / height, wspace=0.06,
        hspace=0.5 / look.tall,
    )  # fmt: skip
    place_labels(axes, left=0.34)
    figure.suptitle(look.title, fontsize=10, y=1 - 0.06 / height, va="top")
    legend_below(figure, handles, wide, foot / height)
    footnotes(figure, look.notes, height)
    return Chart(figure, HEAD, list(lines(one)))


def _range(one: Sides, titles: Mapping[str, str], low: bool) -> tuple[float, float]:
    """Return the ends of the vertical axis; all intervals are inside."""
    points = [x for s in one.sides for x in s.kept if x.row.method in titles]
    top = max((x.high or x.ndcg for x in points), default=100.0)
    points += [x for s in one.sides for x in s.references]
    least = min((x.ndcg if x.low is None else x.low for x in points), default=0.0)
    return (max(0.0, 10 * math.floor((least - 2) / 10)) if low else 0.0), max(104.0, top + 2)


def _panel(
    axis: Axes, side: Side, titles: Mapping[str, str], looks: Mapping[str, Style], look: _Look
) -> None:
    top = quantity("ndcg@20").text(side.ceiling.mean("ndcg@20"))
    axis.set_title(look.panel.format(name=side.name, top=top), loc="left", pad=3, fontsize=9)
    draw_full_table(axis, 100)
    for reference in side.references:
        axis.axhline(
            reference.ndcg, color="#444444", linestyle=(0, (1, 2)), linewidth=1.1, zorder=1
        )
    curves: dict[str, list[tuple[float, Kept]]] = {}
    for point in side.kept:
        size = look.size(point)
        if size is not None and point.row.method in titles:
            curves.setdefault(point.row.method, []).append((size, point))
    for method, points in sorted(curves.items()):
        _curve(axis, sorted(points, key=lambda p: p[0]), looks[method])
    sns.despine(ax=axis)


def _curve(axis: Axes, points: Sequence[tuple[float, Kept]], style: Style) -> None:
    # Where an end is unknown there is no bar; a guess is not made up.
    ends = [
        (p.ndcg - p.low, p.high - p.ndcg) if p.low is not None and p.high is not None
        else (0.0, 0.0)
        for _, p in points
    ]  # fmt: skip
    x, y = [size for size, _ in points], [point.ndcg for _, point in points]
    axis.plot(x, y, color=style.colour, linestyle=style.line, linewidth=1.4, zorder=2)
    bars = [[max(0.0, low) for low, _ in ends], [max(0.0, high) for _, high in ends]]
    axis.errorbar(
        x, y, yerr=bars, fmt="none", ecolor=style.colour, elinewidth=0.8, capsize=1.5, zorder=2
    )
    draw_points(axis, style, [(a, p.ndcg) for a, p in points], [p.complete for _, p in points])


def _legend(
    sides: Sequence[Side],
    titles: Mapping[str, str],
    references: Mapping[str, str],
    looks: Mapping[str, Style],
) -> list[Line2D]:
    handles = [*method_keys(titles, looks), full_table_key()]
    handles += [
        Line2D([], [], color="#444444", linestyle=(0, (1, 2)), label=title)
        for title in references.values()
    ]
    if any(not x.complete for side in sides for x in side.kept if x.row.method in titles):
        handles.append(
            Line2D([], [], linestyle="", marker="o", markersize=5, markerfacecolor="white",
                   markeredgecolor="#444444", label="hollow: seeds missing")
        )  # fmt: skip
    return handles
