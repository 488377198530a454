"""The figure of accuracy versus size: curves, bands, reference lines, Pareto front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from bench.board import Board, Curve
from bench.board.quantities import quantity
from bench.report.figures.layout import (
    CEILING,
    LEGEND_ROW,
    WIDTH,
    Chart,
    footnote,
    full_table_key,
    heading,
    legend_below,
    legend_columns,
    method_key,
    place_labels,
    points,
)
from bench.report.figures.style import Style

_LEAST_RANGE = 4.0
_MOST_TICKS = 7
_LEAST_COVER = 0.45
"""From the first label to the last, as a share of the axis."""
_LEAST_GAP = 0.13
"""Between two ticks, as a share of the axis: the width of a long label, and a space."""
METRICS = ("ndcg@20", "recall@20")


def sizes(board: Board, looks: Mapping[str, Style], size: str) -> Chart:
    """Draw NDCG@20 and Recall@20 versus "bytes" or "values"."""
    curves = board.curves
    handles = _legend(board, curves, looks)
    columns = legend_columns(str(one.get_label()) for one in handles)
    legend_rows = -(-len(handles) // columns)
    height = 3.2 + LEGEND_ROW * legend_rows + (0.2 if board.note else 0)
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.subplots(1, 2)
    rows: list[tuple[object, ...]] = []
    for axis, metric in zip(axes, METRICS, strict=True):
        _references(axis, board, metric, size, rows)
        for curve in curves:
            _curve(axis, curve, looks[curve.method], size, metric, rows)
        _front(axis, board, size, metric, rows)
        axis.set_xscale("log")
        axis.set_xlabel(f"{quantity(size).axis}, log scale")
        axis.set_ylabel(f"{quantity(metric).axis} (test)")
        log_ticks(axis, budget_sizes(board, size))
        sns.despine(ax=axis)
    bottom = (LEGEND_ROW * legend_rows + 0.52 + (0.2 if board.note else 0)) / height
    figure.subplots_adjust(
        left=0.095, right=0.985, top=1 - 0.32 / height, bottom=bottom, wspace=0.29
    )
    place_labels(axes)
    figure.suptitle(
        f"{heading(board)}: accuracy versus stored {size}",
        fontsize=10,
        y=1 - 0.06 / height,
        va="top",
    )
    legend_below(figure, handles, columns, (0.22 if board.note else 0.02) / height)
    footnote(figure, board.note, height)
    head = ("kind", "method", "title", "budget", size, "metric", "mean", "low", "high", "seeds")
    return Chart(figure, head, rows)


def _curve(
    axis: Axes, curve: Curve, style: Style, size: str, metric: str, rows: list[tuple[object, ...]]
) -> None:
    x, y, low, high, complete = [], [], [], [], []
    for point in curve.points:
        at, number = point.row.mean(size), point.row.numbers.get(metric)
        if not at or number is None:
            continue
        x.append(at)
        y.append(number.mean)
        # One seed has no interval; the band then has no width, it is not made up. No score is
        # below 0, although an interval of few seeds can be.
        low.append(max(0.0, number.low) if number.low is not None else number.mean)
        high.append(number.high if number.high is not None else number.mean)
        complete.append(point.complete)
        kind = "curve" if point.complete else "curve, incomplete"
        rows.append(
            (kind, curve.method, point.row.label, point.budget, at, metric, number.mean,
             number.low, number.high, number.n)
        )  # fmt: skip
    control = curve.role == "control"
    axis.fill_between(x, low, high, color=style.colour, alpha=0.10, linewidth=0)
    axis.plot(x, y, color=style.colour, linestyle=style.line, linewidth=1.4, zorder=2 + control)
    points(axis, style, zip(x, y, strict=True), complete)


def _references(
    axis: Axes, board: Board, metric: str, size: str, rows: list[tuple[object, ...]]
) -> None:
    lines = [(row, (0, (1, 2)), "reference") for row in board.references]
    if board.ceiling:
        lines.insert(0, (board.ceiling, CEILING, "ceiling"))
    for row, dashes, kind in lines:
        number = row.numbers.get(metric)
        if number is None:
            continue
        axis.axhline(number.mean, color="#444444", linestyle=dashes, linewidth=1.1, zorder=1)
        rows.append(
            (kind, row.method, row.label, "", row.mean(size), metric, number.mean, number.low,
             number.high, number.n)
        )  # fmt: skip


def _front(
    axis: Axes, board: Board, size: str, metric: str, rows: list[tuple[object, ...]]
) -> None:
    front = [row for row in board.front(size, metric) if row.role != "ceiling"]
    points = [(row.mean(size) or 0.0, row.mean(metric) or 0.0) for row in front]
    # A circle needs a point in it. Of several rows of a method at a budget only one has a point.
    # A reference has a line.
    rows_drawn = (point.row for curve in board.curves for point in curve.points)
    shown = {(row.mean(size), row.mean(metric)) for row in rows_drawn}
    drawn = [at for at in points if at in shown]
    axis.scatter(
        [x for x, _ in drawn],
        [y for _, y in drawn],
        s=95,
        facecolors="none",
        edgecolors="#222222",
        linewidths=0.9,
        zorder=4,
    )
    for row, (x, y) in zip(front, points, strict=True):
        rows.append(("front", row.method, row.label, "", x, metric, y, None, None, None))


def _legend(board: Board, curves: Sequence[Curve], looks: Mapping[str, Style]) -> list[Line2D]:
    handles = [method_key(curve.title, looks[curve.method]) for curve in curves]
    if board.ceiling:
        size = quantity("bytes").text(board.ceiling.mean("bytes"))
        handles.append(full_table_key(f"{board.ceiling.label} ({size} B)"))
    for row in board.references:
        handles.append(Line2D([], [], color="#444444", linestyle=(0, (1, 2)), label=row.label))
    ring = Line2D(
        [], [], linestyle="", marker="o", markersize=8.5, markerfacecolor="none",
        markeredgecolor="#222222", markeredgewidth=0.9, label="Pareto front",
    )  # fmt: skip
    handles.append(ring)
    if any(not point.complete for curve in curves for point in curve.points):
        handles.append(
            Line2D([], [], linestyle="", marker="o", markersize=5, markerfacecolor="white",
                   markeredgecolor="#444444", label="hollow: seeds missing")
        )  # fmt: skip
    if any(point.row.numbers["ndcg@20"].n > 1 for curve in curves for point in curve.points):
        handles.append(
            Patch(facecolor="#888888", alpha=0.25, label="95 % over seeds")  # type: ignore[arg-type]
        )
    return handles


def budget_sizes(board: Board, size: str) -> list[float]:
    """Return the size of the largest row of each budget that limits `size`.

    A budget of bytes has no place on an axis of values: its rows have few values of many bits, or
    many values of few bits.
    """
    counted = (one for one in board.leaderboards if one.accounting == size)
    largest = (
        max((entry.row.mean(size) or 0.0 for entry in one.chosen.values()), default=0.0)
        for one in counted
    )
    return [value for value in largest if value > 0]


def _short(value: float) -> str:
    for scale, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= scale:
            return f"{value / scale:.3g}{letter}"
    return f"{value:g}"


def _apart(ticks: Sequence[float], gap: float) -> list[float]:
    """Return those ticks whose logarithms differ by at least `gap`; `ticks` is in rising order."""
    kept: list[float] = []
    for tick in ticks:
        if not kept or np.log(tick / kept[-1]) >= gap:
            kept.append(tick)
    return kept


def log_ticks(axis: Axes, budgets: Sequence[float]) -> None:
    """Label every budget, or 1, 2 and 5 of each decade.

    The latter if too many budgets can be labelled, or if they leave most of the axis unlabelled.
    Of budgets so close that their labels would overlap, the smallest is labelled.

    Args:
        axis: the axis, with everything drawn.
        budgets: where the budgets are on it.
    """
    low, high = axis.get_xlim()
    # One budget only: methods fill it to within a few per cent, which is no range to draw.
    stretch = max(1.0, (_LEAST_RANGE / (high / low)) ** 0.5)
    low, high = low / stretch, high * stretch
    axis.set_xlim(low, high)
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    wide = high / low > 300
    steps = (1,) if wide else (1, 2, 5)
    ticks = [m * 10.0**d for d in decades for m in steps if low <= m * 10.0**d <= high]
    span = np.log(high / low)
    labelled = _apart(sorted(budgets), _LEAST_GAP * span)
    covers = bool(labelled) and np.log(labelled[-1] / labelled[0]) >= _LEAST_COVER * span
    if len(budgets) == 1 or (covers and len(labelled) <= _MOST_TICKS):
        ticks = labelled
    axis.xaxis.set_major_locator(FixedLocator(ticks))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_minor_formatter(NullFormatter())
