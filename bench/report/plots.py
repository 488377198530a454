"""The figures of a board, each as PNG and SVG with its data as CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from bench.board import Board, Curve, Entry, Group, Leaderboard
from bench.quantities import quantity
from bench.report.spread import spread
from bench.report.style import HATCHES, KINDS, Style, styles
from bench.report.tables import to_csv

METRICS = ("ndcg@20", "recall@20")
ENDINGS = ("png", "svg", "csv")
_WIDTH = 7.2  # inches: the text width of a two-column paper
_LEARNT = "ndcg@20"
_KINDS = ("values", "indices", "mask", "codes")


@dataclass(frozen=True)
class Chart:
    """A figure before it is written.

    Attributes:
        figure: the drawing.
        head: columns of its data.
        rows: its data.
    """

    figure: Figure
    head: tuple[str, ...]
    rows: list[tuple[object, ...]]


def draw(board: Board, out: Path) -> list[Path]:
    """Write all figures of a board below a folder.

    Args:
        board: loaded with its history, or there are no learning curves.
        out: the folder, which exists.

    Returns:
        The files written.
    """
    looks = styles(
        (entry.row.method, entry.row.role) for group in board.groups for _, entry in group.rows()
    )
    makers = [maker for group in board.groups for maker in _makers(group, looks)]

    def make(index: int) -> None:
        name, maker = makers[index]
        with _settings():
            _write(maker(), out / name)

    spread(make, len(makers))
    return [out / f"{name}.{ending}" for name, _ in makers for ending in ENDINGS]


def _makers(group: Group, looks: Mapping[str, Style]) -> Iterator[tuple[str, Callable[[], Chart]]]:
    """Yield the name and the maker of each figure of a group that has something to show."""
    if group.curves:
        for size in ("bytes", "values"):
            yield f"{group.slug}-{size}", partial(_sizes, group, looks, size)
    if any(board.entries for board in group.boards):
        yield f"{group.slug}-spend", partial(_spend, group)
    if any(_learned_boards(group)):
        yield f"{group.slug}-learning", partial(_learning, group, looks)


@contextmanager
def _settings() -> Iterator[None]:
    rc: Any = {  # matplotlib's stubs list every key as a literal
        **sns.axes_style("whitegrid"),
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],  # ships with matplotlib, so the same everywhere
        "font.size": 8.5,
        "axes.labelsize": 9,
        "axes.titlesize": 9.5,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "legend.fontsize": 8,
        "grid.linewidth": 0.5,
        "grid.color": "#DDDDDD",
        "axes.edgecolor": "#444444",
        "axes.linewidth": 0.8,
        "xtick.bottom": True,
        "svg.hashsalt": "bench",
        "svg.fonttype": "path",
        "figure.dpi": 100,
        "savefig.dpi": 150,
    }
    with mpl.rc_context(rc):
        yield


def _write(chart: Chart, path: Path) -> None:
    FigureCanvasAgg(chart.figure)
    png, svg, data = (path.with_name(f"{path.name}.{ending}") for ending in ENDINGS)
    # No program name and no date in the files: the same records give the same bytes.
    chart.figure.savefig(png, metadata={"Software": None}, pil_kwargs={"compress_level": 4})
    chart.figure.savefig(svg, metadata={"Date": None, "Creator": None})
    data.write_bytes(to_csv(chart.head, chart.rows).encode())


def _title(group: Group) -> str:
    return f"{group.dataset} ({group.split}), {group.backbone}"


def _note(figure: Figure, group: Group, height: float) -> None:
    if group.note:
        note = group.note if len(group.note) <= 130 else group.note[:127] + "…"
        figure.text(0.01, 0.06 / height, note, fontsize=8, style="italic", color="#333333")


def _sizes(group: Group, looks: Mapping[str, Style], size: str) -> Chart:
    curves = group.curves
    entries = len(curves) + 4
    columns = 4
    legend_rows = -(-entries // columns)
    height = 3.2 + 0.19 * legend_rows + (0.2 if group.note else 0)
    figure = Figure(figsize=(_WIDTH, height))
    axes = figure.subplots(1, 2)
    rows: list[tuple[object, ...]] = []
    for axis, metric in zip(axes, METRICS, strict=True):
        _references(axis, group, metric, size, rows)
        for curve in curves:
            _curve(axis, curve, looks[curve.method], size, metric, rows)
        _front(axis, group, size, metric, rows)
        axis.set_xscale("log")
        axis.set_xlabel(f"{quantity(size).axis}, log scale")
        axis.set_ylabel(f"{quantity(metric).axis} (test)")
        _log_ticks(axis)
        sns.despine(ax=axis)
    handles = _legend(group, curves, looks)
    bottom = (0.19 * legend_rows + 0.52 + (0.2 if group.note else 0)) / height
    figure.subplots_adjust(
        left=0.085, right=0.985, top=1 - 0.32 / height, bottom=bottom, wspace=0.27
    )
    figure.suptitle(
        f"{_title(group)}: accuracy versus stored {size}",
        fontsize=10,
        y=1 - 0.06 / height,
        va="top",
    )
    figure.legend(
        handles=handles,
        loc="lower center",
        ncols=columns,
        frameon=False,
        bbox_to_anchor=(0.5, (0.22 if group.note else 0.02) / height),
        handlelength=3.4,
        columnspacing=1.4,
        labelspacing=0.35,
        borderpad=0,
    )
    _note(figure, group, height)
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
        # One seed has no interval; the band then has no width, it is not made up.
        low.append(number.low if number.low is not None else number.mean)
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
    for whole in sorted(set(complete)):
        chosen = [index for index, value in enumerate(complete) if value == whole]
        axis.plot(
            [x[index] for index in chosen],
            [y[index] for index in chosen],
            linestyle="",
            marker=style.marker,
            color=style.colour,
            markersize=5,
            markerfacecolor=style.colour if whole else "white",
            markeredgecolor="white" if whole else style.colour,
            markeredgewidth=0.5 if whole else 1.1,
            zorder=3,
        )


def _references(
    axis: Axes, group: Group, metric: str, size: str, rows: list[tuple[object, ...]]
) -> None:
    lines = [(row, (0, (1, 2)), "reference") for row in group.references]
    if group.ceiling:
        lines.insert(0, (group.ceiling, (0, (8, 2)), "ceiling"))
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
    axis: Axes, group: Group, size: str, metric: str, rows: list[tuple[object, ...]]
) -> None:
    front = [row for row in group.front(size, metric) if row.role != "ceiling"]
    points = [(row.mean(size) or 0.0, row.mean(metric) or 0.0) for row in front]
    axis.scatter(
        [x for x, _ in points],
        [y for _, y in points],
        s=95,
        facecolors="none",
        edgecolors="#222222",
        linewidths=0.9,
        zorder=4,
    )
    for row, (x, y) in zip(front, points, strict=True):
        rows.append(("front", row.method, row.label, "", x, metric, y, None, None, None))


def _legend(group: Group, curves: Sequence[Curve], looks: Mapping[str, Style]) -> list[Line2D]:
    handles = []
    for curve in curves:
        style = looks[curve.method]
        handles.append(
            Line2D(
                [],
                [],
                color=style.colour,
                linestyle=style.line,
                marker=style.marker,
                markersize=5,
                linewidth=1.4,
                markeredgecolor="white",
                markeredgewidth=0.5,
                label=curve.title,
            )
        )
    if group.ceiling:
        label = f"{group.ceiling.label} ({quantity('bytes').text(group.ceiling.mean('bytes'))} B)"
        handles.append(Line2D([], [], color="#444444", linestyle=(0, (8, 2)), label=label))
    for row in group.references:
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


def _short(value: float) -> str:
    for scale, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= scale:
            return f"{value / scale:g}{letter}"
    return f"{value:g}"


def _log_ticks(axis: Axes) -> None:
    """Label 1, 2 and 5 of each decade: a range of less than a decade would have no label."""
    low, high = axis.get_xlim()
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    wide = high / low > 300
    steps = (1,) if wide else (1, 2, 5)
    ticks = [m * 10.0**d for d in decades for m in steps if low <= m * 10.0**d <= high]
    axis.xaxis.set_major_locator(FixedLocator(ticks))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_minor_formatter(NullFormatter())


def spending(entry: Entry) -> dict[str, int]:
    """Return the bytes of a row's artefact by kind, the container's header as "header"."""
    size = entry.row.first.size
    assert size is not None  # a row has good runs only
    found = dict.fromkeys((*_KINDS, "header"), 0)
    for array in size.arrays.values():
        found[array.kind] += array.bytes
    found["header"] = size.bytes - sum(found.values())
    return found


def _spend(group: Group) -> Chart:
    boards = [board for board in group.boards if board.entries]
    lines: list[tuple[str, str, dict[str, int]]] = []
    for board in boards:
        lines += [(board.label, entry.row.label, spending(entry)) for entry in board.entries]
    count = len(lines)
    height = 1.25 + 0.17 * count + 0.3 * len(boards) + (0.2 if group.note else 0)
    figure = Figure(figsize=(_WIDTH, height))
    axes = figure.subplots(
        len(boards), 1, squeeze=False, height_ratios=[len(board.entries) for board in boards]
    )[:, 0]
    rows: list[tuple[object, ...]] = []
    for axis, board in zip(axes, boards, strict=True):
        labels = [entry.row.label for entry in board.entries]
        place = np.arange(len(labels))
        left = np.zeros(len(labels))
        for kind in (*_KINDS, "header"):
            part = np.array([spending(entry)[kind] for entry in board.entries], dtype=float)
            total = np.array([sum(spending(entry).values()) for entry in board.entries])
            share = 100 * part / np.maximum(total, 1)
            # One collection for all bars of a kind: single hatched bars take seconds to draw.
            shown = part > 0
            ends = np.stack([left, left + share], axis=1)[shown]
            axis.add_collection(
                PolyCollection(
                    [
                        _bar(low, high, at)
                        for (low, high), at in zip(ends, place[shown], strict=True)
                    ],
                    facecolors=KINDS.get(kind, "#BBBBBB"),
                    hatch=HATCHES[kind],
                    edgecolors="white",
                    linewidths=0.5,
                )
            )
            left += share
            for entry, amount in zip(board.entries, part, strict=True):
                rows.append((board.label, entry.row.method, entry.row.label, kind, int(amount)))
        axis.set_yticks(place, labels)
        axis.set_ylim(len(labels) - 0.4, -0.6)
        axis.set_xlim(0, 100)
        axis.grid(axis="y", visible=False)
        axis.set_title(f"budget {board.label}", loc="left", fontsize=9, pad=3)
        if axis is not axes[-1]:
            axis.set_xticklabels([])
        sns.despine(ax=axis, left=True)
    axes[-1].set_xlabel("Share of the stored bytes (%)")
    used = [kind for kind in (*_KINDS, "header") if any(line[2][kind] for line in lines)]
    handles = [
        Patch(
            facecolor=KINDS.get(kind, "#BBBBBB"), hatch=HATCHES[kind], edgecolor="white", label=kind
        )
        for kind in used
    ]
    below = 0.72 + (0.2 if group.note else 0)
    figure.subplots_adjust(
        left=0.22, right=0.97, top=1 - 0.52 / height, bottom=below / height,
        hspace=0.3 * len(boards) / max(0.17 * count, 0.1) + 0.05,
    )  # fmt: skip
    figure.suptitle(
        f"{_title(group)}: what the bytes are spent on", fontsize=10, y=1 - 0.06 / height, va="top"
    )
    figure.legend(
        handles=handles, loc="lower center", ncols=len(handles), frameon=False, borderpad=0,
        bbox_to_anchor=(0.5, (0.24 if group.note else 0.04) / height),
    )  # fmt: skip
    _note(figure, group, height)
    return Chart(figure, ("budget", "method", "title", "kind", "bytes"), rows)


def _bar(low: float, high: float, at: float) -> list[tuple[float, float]]:
    return [(low, at - 0.36), (high, at - 0.36), (high, at + 0.36), (low, at + 0.36)]


def _histories(entry: Entry, metric: str) -> list[list[tuple[int, str, float]]]:
    """Return, by seed, (epochs so far, phase, validation metric)."""
    found = []
    for record in entry.row.records:
        line = []
        for step, epoch in enumerate(record.history, start=1):
            value = epoch.get(metric)
            if isinstance(value, int | float):
                line.append((step, str(epoch.get("phase", "")), float(value)))
        if line:
            found.append(line)
    return found


def _learned_boards(group: Group) -> list[tuple[Leaderboard, list[Entry]]]:
    """Return the boards with the entries whose history was kept."""
    boards = [
        (board, [entry for entry in board.entries if _histories(entry, _LEARNT)])
        for board in group.boards
    ]
    return [(board, entries) for board, entries in boards if entries]


def _learning(group: Group, looks: Mapping[str, Style]) -> Chart:
    metric = _LEARNT
    boards = _learned_boards(group)
    columns = min(2, len(boards))
    tall = -(-len(boards) // columns)
    methods = {entry.row.method: entry.row for _, entries in boards for entry in entries}
    legend_rows = -(-(len(methods) + 1) // 4)
    height = 0.85 + 2.25 * tall + 0.19 * legend_rows + (0.2 if group.note else 0)
    figure = Figure(figsize=(_WIDTH, height))
    axes = figure.subplots(tall, columns, squeeze=False, sharey=True).ravel()
    rows: list[tuple[object, ...]] = []
    for axis, (board, entries) in zip(axes, boards, strict=False):
        for entry in entries:
            _learned(axis, entry, looks[entry.row.method], metric, board.label, rows)
        axis.set_title(f"budget {board.label}", loc="left", pad=3)
        sns.despine(ax=axis)
    for axis in axes[len(boards) :]:
        axis.set_visible(False)
    for index, axis in enumerate(axes[: len(boards)]):
        if index % columns == 0:
            axis.set_ylabel(f"{quantity(metric).axis} (validation)")
        if index + columns >= len(boards):
            axis.set_xlabel("Epochs, search included")
    handles = [
        Line2D([], [], color=looks[name].colour, linestyle=looks[name].line, linewidth=1.3,
               marker=looks[name].marker, markersize=4.5, markeredgecolor="white",
               markeredgewidth=0.5, label=row.first.method.title)
        for name, row in sorted(methods.items())
    ]  # fmt: skip
    handles.append(Line2D([], [], color="#444444", linestyle="", marker="|", markersize=9,
                          label="search ends"))  # fmt: skip
    bottom = (0.19 * legend_rows + 0.52 + (0.2 if group.note else 0)) / height
    figure.subplots_adjust(
        left=0.085, right=0.985, top=1 - 0.55 / height, bottom=bottom, wspace=0.08, hspace=0.32
    )
    figure.suptitle(
        f"{_title(group)}: learning curves, mean over seeds", fontsize=10, y=1 - 0.06 / height,
        va="top",
    )  # fmt: skip
    figure.legend(
        handles=handles, loc="lower center", ncols=4, frameon=False, handlelength=3.4, borderpad=0,
        labelspacing=0.35, bbox_to_anchor=(0.5, (0.22 if group.note else 0.02) / height),
    )  # fmt: skip
    _note(figure, group, height)
    head = ("budget", "method", "title", "phase", "epoch", metric, "seeds")
    return Chart(figure, head, rows)


def _learned(
    axis: Axes, entry: Entry, style: Style, metric: str, budget: str, rows: list[tuple[object, ...]]
) -> None:
    by_step: dict[int, list[tuple[str, float]]] = {}
    for line in _histories(entry, metric):
        for step, phase, value in line:
            by_step.setdefault(step, []).append((phase, value))
    # A seed that stops early would bend the mean of the others: the curve ends where the first
    # seed does.
    whole = max(len(found) for found in by_step.values())
    steps = [step for step in sorted(by_step) if len(by_step[step]) == whole]
    means = [float(np.mean([value for _, value in by_step[step]])) for step in steps]
    phases = [by_step[step][0][0] for step in steps]
    for step, mean, phase in zip(steps, means, phases, strict=True):
        rows.append((budget, entry.row.method, entry.row.label, phase, step, mean, whole))
    every = max(1, len(steps) // 6)
    axis.plot(
        steps,
        means,
        color=style.colour,
        linestyle=style.line,
        linewidth=1.2,
        marker=style.marker,
        markevery=((entry.rank or 1) % every, every),
        markersize=4,
        markeredgecolor="white",
        markeredgewidth=0.4,
    )
    for before, after in zip(range(len(steps) - 1), range(1, len(steps)), strict=True):
        if phases[before] != phases[after]:
            axis.plot([steps[before]], [means[before]], marker="|", markersize=9,
                      color=style.colour)  # fmt: skip
