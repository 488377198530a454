"""What all figures share: settings, titles, notes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.board import Board
from bench.board.model import NO_BUDGET
from bench.report.figures.style import Style

WIDTH = 7.2  # inches: the text width of a two-column paper


LINE = 112  # letters of a note that fit into the width
LEGEND_ROW = 0.155  # inches of a legend's row: letters of 8 points, spaced by .35
LETTER = 0.057  # inches of a legend's letter, on average
BELOW = 0.27  # inches from a horizontal axis to its label
_HANDLE = 0.62  # inches of a legend's line and of the space between columns


def legend_columns(labels: Iterable[str]) -> int:
    """Columns of a legend below a figure: four, or as many as the longest label leaves room for."""
    widest = _HANDLE + LETTER * max(map(len, labels), default=0)
    return max(1, min(4, int(WIDTH / widest)))


GREY = "#444444"
"""Lines of rows that are no methods."""
CEILING = (0, (8, 2))
"""Dashes of the full table's line."""


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


@contextmanager
def settings() -> Iterator[None]:
    """Draw with the settings of all figures, whatever the user's own are."""
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
        "axes.titley": 1.0,  # fixed, see place_labels
        "xtick.bottom": True,
        "svg.hashsalt": "bench",
        "svg.fonttype": "path",
        "figure.dpi": 100,
        "savefig.dpi": 150,
    }
    with mpl.rc_context(rc):
        yield


def heading(board: Board) -> str:
    """Return the first part of a figure's title."""
    return f"{board.dataset} ({board.split}), {board.backbone}"


def budget_title(label: str) -> str:
    """Return the title of a panel for a budget."""
    return label if label == NO_BUDGET else f"budget {label}"


def footnote(figure: Figure, about: str, height: float) -> None:
    """Write the note of the data set at the foot of a figure that is `height` inches high."""
    footnotes(figure, [about] if about else [], height)


def footnotes(figure: Figure, about: Sequence[str], height: float) -> None:
    """Write notes at the foot of a figure, each on a line of .15 inches; the rest is left out."""
    for place, note in enumerate(reversed(about)):
        note = shorten(note, LINE, placeholder=" …")
        y = (0.06 + 0.15 * place) / height
        figure.text(0.01, y, note, fontsize=8, style="italic", color="#333333")


def method_key(title: str, style: Style) -> Line2D:
    """A legend's entry for a method."""
    return Line2D(
        [], [], color=style.colour, linestyle=style.line, linewidth=1.4, marker=style.marker,
        markersize=5, markeredgecolor="white", markeredgewidth=0.5, label=title,
    )  # fmt: skip


def method_keys(titles: Mapping[str, str], looks: Mapping[str, Style]) -> list[Line2D]:
    """A legend's entries for methods, by title; the keys of both are the methods' names."""
    ordered = sorted(titles.items(), key=lambda pair: pair[1])
    return [method_key(title, looks[name]) for name, title in ordered]


def full_table_key(label: str = "Full table") -> Line2D:
    """A legend's entry for the line of the full table."""
    return Line2D([], [], color=GREY, linestyle=CEILING, label=label)


def draw_full_table(axis: Axes, at: float) -> None:
    """Draw the line of the full table."""
    axis.axhline(at, color=GREY, linestyle=CEILING, linewidth=1.1, zorder=1)


def legend_below(figure: Figure, handles: Sequence[Line2D], columns: int, y: float) -> None:
    """Draw a legend of so many columns whose lower edge is at `y`, a share of the height."""
    figure.legend(
        handles=list(handles), loc="lower center", ncols=columns, frameon=False, handlelength=3.4,
        borderpad=0, columnspacing=1.4, labelspacing=0.35, bbox_to_anchor=(0.5, y),
    )  # fmt: skip


def budget_panels(
    budgets: Sequence[str],
    handles: Sequence[Line2D],
    *,
    title: str,
    x: str,
    y: str,
    notes: Sequence[str],
) -> tuple[Figure, list[Axes]]:
    """Make a figure with a panel for each budget, which share their axes, and a legend below.

    Args:
        budgets: labels, in order.
        handles: entries of the legend.
        title: of the figure.
        x: label of the horizontal axes.
        y: label of the vertical axes.
        notes: lines at the foot.

    Returns:
        The figure and the panels, with nothing drawn in them.
    """
    tall = -(-len(budgets) // 3)
    columns = -(-len(budgets) // tall)
    wide = legend_columns(str(one.get_label()) for one in handles)
    foot = 0.05 + 0.15 * len(notes)
    below = LEGEND_ROW * -(-len(handles) // wide) + 0.5 + foot
    height = 0.55 + below + 2.1 * tall
    figure = Figure(figsize=(WIDTH, height))
    axes = list(figure.subplots(tall, columns, squeeze=False, sharex=True, sharey=True).ravel())
    for axis in axes[len(budgets) :]:
        axis.set_visible(False)
    axes = axes[: len(budgets)]
    for index, (axis, budget) in enumerate(zip(axes, budgets, strict=True)):
        axis.set_title(budget_title(budget), loc="left", pad=3, fontsize=9)
        if index % columns == 0:
            axis.set_ylabel(y)
        if index + columns >= len(budgets):
            axis.set_xlabel(x)
            axis.tick_params(labelbottom=True)
        sns.despine(ax=axis)
    figure.subplots_adjust(
        left=0.085, right=0.985, top=1 - 0.5 / height, bottom=below / height, wspace=0.06,
        hspace=0.25,
    )  # fmt: skip
    place_labels(axes, left=0.42)
    figure.suptitle(title, fontsize=10, y=1 - 0.06 / height, va="top")
    legend_below(figure, handles, wide, foot / height)
    footnotes(figure, notes, height)
    return figure, axes


def points(
    axis: Axes, style: Style, at: Iterable[tuple[float, float]], complete: Iterable[bool]
) -> None:
    """Draw the points of a curve; hollow where a row is not complete."""
    pairs = list(zip(at, complete, strict=True))
    for whole in (False, True):
        chosen = [point for point, is_whole in pairs if is_whole == whole]
        axis.plot(
            [x for x, _ in chosen],
            [y for _, y in chosen],
            linestyle="",
            marker=style.marker,
            color=style.colour,
            markersize=5,
            markerfacecolor=style.colour if whole else "white",
            markeredgecolor="white" if whole else style.colour,
            markeredgewidth=0.5 if whole else 1.1,
            zorder=3,
        )


def place_labels(axes: Iterable[Axes], *, left: float = 0.52) -> None:
    """Fix where the labels of axes stand, once the axes have their final size.

    Matplotlib would measure every tick label for that, which is a fifth of the time of drawing;
    and labels of figures beside each other would not line up.

    Args:
        axes: the axes.
        left: inches from the vertical axis to its label.
    """
    for axis in axes:
        figure = axis.figure.figure
        assert isinstance(figure, Figure)
        width, height = figure.get_size_inches()
        box = axis.get_position()
        axis.xaxis.set_label_coords(0.5, -BELOW / (box.height * height))
        axis.yaxis.set_label_coords(-left / (box.width * width), 0.5)
