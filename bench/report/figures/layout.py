"""What all figures share: settings, titles, notes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.board import Board
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


def footnote(figure: Figure, about: str, height: float) -> None:
    """Write the note of the data set at the foot of a figure that is `height` inches high."""
    footnotes(figure, [about] if about else [], height)


def footnotes(figure: Figure, about: Sequence[str], height: float) -> None:
    """Write notes at the foot of a figure, each on a line of .15 inches; the rest is left out."""
    for place, note in enumerate(reversed(about)):
        note = shorten(note, LINE, placeholder=" …")
        y = (0.06 + 0.15 * place) / height
        figure.text(0.01, y, note, fontsize=8, style="italic", color="#333333")


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
