"""The figure of what a budget is spent on: values, indices, masks, codes."""

from __future__ import annotations

import numpy as np
import seaborn as sns
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from bench.board import Board
from bench.report.byte_kinds import ARRAY_KINDS, spending
from bench.report.figures.layout import LETTER, WIDTH, Chart, footnote, heading, place_labels
from bench.report.figures.style import HATCHES, KINDS


def spend(board: Board) -> Chart:
    """Draw the share of each kind of array in the stored bytes, one bar per row."""
    leaderboards = [one for one in board.leaderboards if one.entries]
    lines: list[tuple[str, str, dict[str, int]]] = []
    for leaderboard in leaderboards:
        lines += [
            (leaderboard.label, entry.row.label, spending(entry)) for entry in leaderboard.entries
        ]
    count = len(lines)
    height = 1.25 + 0.17 * count + 0.3 * len(leaderboards) + (0.2 if board.note else 0)
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.subplots(
        len(leaderboards),
        1,
        squeeze=False,
        height_ratios=[len(leaderboard.entries) for leaderboard in leaderboards],
    )[:, 0]
    rows: list[tuple[object, ...]] = []
    for axis, leaderboard in zip(axes, leaderboards, strict=True):
        labels = [entry.row.label for entry in leaderboard.entries]
        place = np.arange(len(labels))
        left = np.zeros(len(labels))
        for kind in (*ARRAY_KINDS, "header"):
            part = np.array([spending(entry)[kind] for entry in leaderboard.entries], dtype=float)
            total = np.array([sum(spending(entry).values()) for entry in leaderboard.entries])
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
            for entry, amount in zip(leaderboard.entries, part, strict=True):
                rows.append(
                    (leaderboard.label, entry.row.method, entry.row.label, kind, int(amount))
                )
        axis.set_yticks(place, labels)
        axis.set_ylim(len(labels) - 0.4, -0.6)
        axis.set_xlim(0, 100)
        axis.grid(axis="y", visible=False)
        axis.set_title(f"budget {leaderboard.label}", loc="left", fontsize=9, pad=3)
        if axis is not axes[-1]:
            axis.set_xticklabels([])
        sns.despine(ax=axis, left=True)
    axes[-1].set_xlabel("Share of the stored bytes (%)")
    used = [kind for kind in (*ARRAY_KINDS, "header") if any(line[2][kind] for line in lines)]
    handles = [
        Patch(
            facecolor=KINDS.get(kind, "#BBBBBB"), hatch=HATCHES[kind], edgecolor="white", label=kind
        )
        for kind in used
    ]
    margin = (0.3 + LETTER * max(len(line[1]) for line in lines)) / WIDTH
    below = 0.72 + (0.2 if board.note else 0)
    figure.subplots_adjust(
        left=max(0.22, margin), right=0.97, top=1 - 0.52 / height, bottom=below / height,
        hspace=0.3 * len(leaderboards) / max(0.17 * count, 0.1) + 0.05,
    )  # fmt: skip
    place_labels(axes)
    figure.suptitle(
        f"{heading(board)}: what the bytes are spent on", fontsize=10, y=1 - 0.06 / height, va="top"
    )
    figure.legend(
        handles=handles, loc="lower center", ncols=len(handles), frameon=False, borderpad=0,
        bbox_to_anchor=(0.5, (0.24 if board.note else 0.04) / height),
    )  # fmt: skip
    footnote(figure, board.note, height)
    return Chart(figure, ("budget", "method", "title", "kind", "bytes"), rows)


def _bar(low: float, high: float, at: float) -> list[tuple[float, float]]:
    return [(low, at - 0.36), (high, at - 0.36), (high, at + 0.36), (low, at + 0.36)]
