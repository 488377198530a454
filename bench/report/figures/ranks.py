"""The critical-difference diagram of average ranks (Demšar, JMLR 2006)."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath

from bench.board import AcrossDatasets
from bench.board.stats import ALPHA, Ranking
from bench.report.datasets import RANK_HEAD, rank_lines
from bench.report.figures.layout import WIDTH, Chart
from bench.report.tables import p_text

_LINE = 0.17  # inches from a name to the next
_BAR = 0.09  # inches from a bar to the next
_MARGIN = 2.5  # inches that names may take on each side
_SIZE = 8.5  # points of the letters of a name
_INK = "#222222"
_BARS = "#0072B2"


def ranks(one: AcrossDatasets) -> Chart:
    """Draw the average ranks on a line, best on the left; bars join methods that do not differ.

    Lengths are in inches: the horizontal axis of the drawing is its width, the vertical one counts
    down from the line of the ranks.

    Args:
        one: data sets whose ranking was tested.
    """
    ranking = one.ranking
    assert ranking is not None and ranking.critical is not None
    names = [one.titles[name] for name in ranking.names]
    bars = _stacked(ranking)
    beside = (len(names) + 1) // 2
    first = 0.2 + _BAR * (max((line for *_, line in bars), default=-1) + 1)
    above, below = 1.05, first + _LINE * beside
    height = above + below
    figure = Figure(figsize=(WIDTH, height))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set_xlim(0, WIDTH)
    axis.set_ylim(below, -above)
    axis.axis("off")
    texts = [
        f"{name}  {rank:.2f}" if place < beside else f"{rank:.2f}  {name}"
        for place, (name, rank) in enumerate(zip(names, ranking.ranks, strict=True))
    ]
    size = min(_SIZE, _SIZE * _MARGIN / max(map(_width, texts)))
    left, right = (
        0.3 + max(map(_width, part)) * size / _SIZE for part in (texts[:beside], texts[beside:])
    )
    low, high = math.floor(ranking.ranks[0]), math.ceil(ranking.ranks[-1])
    # The critical difference stands above the line and must fit on it.
    high = max(high, low + 1, math.ceil(low + ranking.critical))

    def at(rank: float) -> float:
        return left + (rank - low) / (high - low) * (WIDTH - left - right)

    _scale(axis, low, high, at(low), at(high))
    _critical(axis, ranking.critical, at(low), at(low + ranking.critical))
    for start, end, line in bars:
        y = 0.12 + _BAR * line
        ends = [at(ranking.ranks[start]) - 0.04, at(ranking.ranks[end]) + 0.04]
        axis.plot(ends, [y, y], color=_BARS, linewidth=3, solid_capstyle="butt", zorder=3)
    for place, (text, rank) in enumerate(zip(texts, ranking.ranks, strict=True)):
        better = place < beside
        y = first + _LINE * (place if better else len(texts) - 1 - place)
        edge = left - 0.1 if better else WIDTH - right + 0.1
        axis.plot([at(rank), at(rank), edge], [0, y, y], color=_INK, linewidth=0.8, zorder=2)
        axis.text(edge + (-0.05 if better else 0.05), y, text, ha="right" if better else "left",
                  va="center", fontsize=size)  # fmt: skip
    title = f"{one.backbone}: average ranks over {ranking.boards} data sets at {_budgets(one)}"
    axis.text(WIDTH / 2, 0.09 - above, title, ha="center", va="top", fontsize=10)
    axis.text(WIDTH / 2, 0.27 - above, _said(ranking), ha="center", va="top", fontsize=8.5)
    return Chart(figure, RANK_HEAD, list(rank_lines(one)))


def _said(ranking: Ranking) -> str:
    assert ranking.p is not None
    if ranking.p >= ALPHA:
        return f"Friedman {p_text(ranking.p)}: no method differs by more than chance"
    return f"Friedman {p_text(ranking.p)}; bars join methods that do not differ (Nemenyi, 5 %)"


def _budgets(one: AcrossDatasets) -> str:
    return ", ".join(label for _, label in one.shared)


def _width(text: str) -> float:
    """Return the width of a text in inches."""
    return float(TextPath((0, 0), text, size=_SIZE).get_extents().width) / 72


def _stacked(ranking: Ranking) -> list[tuple[int, int, int]]:
    """Return first and last place of each group, and the line below the ranks that it is on."""
    ends: list[int] = []
    found = []
    for start, end in ranking.groups:
        free = next((line for line, last in enumerate(ends) if last < start), len(ends))
        ends[free : free + 1] = [end]
        found.append((start, end, free))
    return found


def _scale(axis: Axes, low: int, high: int, left: float, right: float) -> None:
    axis.plot([left, right], [0, 0], color=_INK, linewidth=1.2, zorder=2)
    every = max(1, round((high - low) / 12))
    for rank in range(low, high + 1, every):
        x = left + (rank - low) / (high - low) * (right - left)
        axis.plot([x, x], [-0.08, 0], color=_INK, linewidth=1)
        axis.text(x, -0.11, str(rank), ha="center", va="bottom", fontsize=8.5)


def _critical(axis: Axes, size: float, left: float, right: float) -> None:
    y = -0.38
    axis.plot([left, right], [y, y], color=_INK, linewidth=1.2)
    for x in (left, right):
        axis.plot([x, x], [y - 0.04, y + 0.04], color=_INK, linewidth=1.2)
    axis.text((left + right) / 2, y - 0.05, f"critical difference {size:.2f}", ha="center",
              va="bottom", fontsize=8.5)  # fmt: skip
