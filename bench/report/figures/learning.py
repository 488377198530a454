"""The figure of validation accuracy versus epochs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.board import Board, Entry, Leaderboard
from bench.board.quantities import quantity
from bench.report.figures.layout import (
    LEGEND_ROW,
    WIDTH,
    Chart,
    budget_title,
    footnote,
    heading,
    legend_below,
    legend_columns,
    method_keys,
    place_labels,
)
from bench.report.figures.style import Style

_LEARNT = "ndcg@20"


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


def learned(board: Board) -> list[tuple[Leaderboard, list[Entry]]]:
    """Return the leaderboards with the entries whose history was kept."""
    leaderboards = [
        (leaderboard, [entry for entry in leaderboard.entries if _histories(entry, _LEARNT)])
        for leaderboard in board.leaderboards
    ]
    return [(leaderboard, entries) for leaderboard, entries in leaderboards if entries]


def learning(board: Board, looks: Mapping[str, Style]) -> Chart:
    """Draw the learning curves of all rows, one panel per budget."""
    metric = _LEARNT
    leaderboards = learned(board)
    columns = min(2, len(leaderboards))
    tall = -(-len(leaderboards) // columns)
    methods = {entry.row.method: entry.row for _, entries in leaderboards for entry in entries}
    wide = legend_columns(row.title for row in methods.values())
    legend_rows = -(-(len(methods) + 1) // wide)
    height = 0.85 + 2.25 * tall + LEGEND_ROW * legend_rows + (0.2 if board.note else 0)
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.subplots(tall, columns, squeeze=False, sharey=True).ravel()
    rows: list[tuple[object, ...]] = []
    for axis, (leaderboard, entries) in zip(axes, leaderboards, strict=False):
        for entry in entries:
            _line(axis, entry, looks[entry.row.method], metric, leaderboard.label, rows)
        axis.set_title(budget_title(leaderboard.label), loc="left", pad=3)
        sns.despine(ax=axis)
    for axis in axes[len(leaderboards) :]:
        axis.set_visible(False)
    for index, axis in enumerate(axes[: len(leaderboards)]):
        if index % columns == 0:
            axis.set_ylabel(f"{quantity(metric).axis} (validation)")
        if index + columns >= len(leaderboards):
            axis.set_xlabel("Epochs, search included")
    handles = method_keys({name: row.title for name, row in methods.items()}, looks)
    handles.append(Line2D([], [], color="#444444", linestyle="", marker="|", markersize=9,
                          label="search ends"))  # fmt: skip
    bottom = (LEGEND_ROW * legend_rows + 0.52 + (0.2 if board.note else 0)) / height
    figure.subplots_adjust(
        left=0.095, right=0.985, top=1 - 0.55 / height, bottom=bottom, wspace=0.08, hspace=0.32
    )
    place_labels(axes)
    figure.suptitle(
        f"{heading(board)}: learning curves, mean over seeds", fontsize=10, y=1 - 0.06 / height,
        va="top",
    )  # fmt: skip
    legend_below(figure, handles, wide, (0.22 if board.note else 0.02) / height)
    footnote(figure, board.note, height)
    head = ("budget", "method", "title", "phase", "epoch", metric, "seeds")
    return Chart(figure, head, rows)


def _line(
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
