"""The figure of accuracy kept versus size, one panel for each backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.board import SideBySide
from bench.board.backbones import BackboneShares, Kept
from bench.board.quantities import quantity
from bench.report.backbones import HEAD, lines
from bench.report.figures.layout import WIDTH, Chart, footnote, legend_columns, place_labels
from bench.report.figures.sizes import log_ticks
from bench.report.figures.style import Style


def kept(one: SideBySide, looks: Mapping[str, Style]) -> Chart:
    """Draw NDCG@20 in percent of each backbone's ceiling versus stored bytes."""
    columns = min(2, len(one.sides))
    tall = -(-len(one.sides) // columns)
    titles = {point.row.method: point.title for side in one.sides for point in side.kept}
    references = {point.row.method: point.title for s in one.sides for point in s.references}
    wide = legend_columns([*titles.values(), *references.values()])
    legend_rows = -(-(len(titles) + 2 + len(references)) // wide)
    below = 0.19 * legend_rows + 0.52 + (0.2 if one.note else 0)
    height = 0.55 + below + 1.95 * tall
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.subplots(tall, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for axis, side in zip(axes, one.sides, strict=False):
        _panel(axis, side, looks)
    for axis in axes[len(one.sides) :]:
        axis.set_visible(False)
    axes[0].set_xscale("log")
    top = max((x.ndcg for side in one.sides for x in side.kept), default=100.0)
    axes[0].set_ylim(0, max(104.0, 1.04 * top))
    log_ticks(axes[0], [float(cap) for (unit, cap), _ in one.budgets if unit == "bytes"])
    for index, axis in enumerate(axes[: len(one.sides)]):
        if index % columns == 0:
            axis.set_ylabel("NDCG@20 kept (%)")
        if index + columns >= len(one.sides):
            axis.set_xlabel(f"{quantity('bytes').axis}, log scale")
            axis.tick_params(labelbottom=True)
    figure.subplots_adjust(
        left=0.085, right=0.985, top=1 - 0.5 / height, bottom=below / height, wspace=0.06,
        hspace=0.26,
    )  # fmt: skip
    place_labels(axes, left=0.34)
    figure.suptitle(
        f"{one.dataset} ({one.split}): what is kept of each backbone's full table",
        fontsize=10, y=1 - 0.06 / height, va="top",
    )  # fmt: skip
    figure.legend(
        handles=_legend(one.sides, titles, references, looks),
        loc="lower center", ncols=wide, frameon=False, handlelength=3.4, borderpad=0,
        columnspacing=1.4, labelspacing=0.35,
        bbox_to_anchor=(0.5, (0.22 if one.note else 0.02) / height),
    )  # fmt: skip
    footnote(figure, one.note, height)
    return Chart(figure, HEAD, list(lines(one)))


def _panel(axis: Axes, side: BackboneShares, looks: Mapping[str, Style]) -> None:
    accuracy = quantity("ndcg@20").text(side.ceiling.mean("ndcg@20"))
    axis.set_title(f"{side.backbone}: 100 % is NDCG@20 {accuracy}", loc="left", pad=3, fontsize=9)
    axis.axhline(100, color="#444444", linestyle=(0, (8, 2)), linewidth=1.1, zorder=1)
    for reference in side.references:
        axis.axhline(
            reference.ndcg, color="#444444", linestyle=(0, (1, 2)), linewidth=1.1, zorder=1
        )
    curves: dict[str, list[tuple[float, Kept]]] = {}
    for point in side.kept:
        size = point.row.mean("bytes")
        if size is not None:
            curves.setdefault(point.row.method, []).append((size, point))
    for method, points in sorted(curves.items()):
        points.sort(key=lambda p: p[0])
        style = looks[method]
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
        for whole in (True, False):
            some = [(a, p.ndcg) for a, p in points if p.complete is whole]
            axis.plot(
                [a for a, _ in some],
                [b for _, b in some],
                linestyle="",
                marker=style.marker,
                color=style.colour,
                markersize=5,
                markerfacecolor=style.colour if whole else "white",
                markeredgecolor="white" if whole else style.colour,
                markeredgewidth=0.5 if whole else 1.1,
                zorder=3,
            )
    sns.despine(ax=axis)


def _legend(
    sides: Sequence[BackboneShares],
    titles: Mapping[str, str],
    references: Mapping[str, str],
    looks: Mapping[str, Style],
) -> list[Line2D]:
    handles = [
        Line2D([], [], color=looks[name].colour, linestyle=looks[name].line, linewidth=1.4,
               marker=looks[name].marker, markersize=5, markeredgecolor="white",
               markeredgewidth=0.5, label=title)
        for name, title in sorted(titles.items(), key=lambda t: t[1])
    ]  # fmt: skip
    handles.append(Line2D([], [], color="#444444", linestyle=(0, (8, 2)), label="Full table"))
    handles += [
        Line2D([], [], color="#444444", linestyle=(0, (1, 2)), label=title)
        for title in references.values()
    ]
    if any(not point.complete for side in sides for point in side.kept):
        handles.append(
            Line2D([], [], linestyle="", marker="o", markersize=5, markerfacecolor="white",
                   markeredgecolor="#444444", label="hollow: seeds missing")
        )  # fmt: skip
    return handles
