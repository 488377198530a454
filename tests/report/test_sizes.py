"""The figure of accuracy against size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from support.make_records import TOYS, exact, write

from bench.board import load
from bench.report.figures.sizes import budget_sizes, log_ticks, sizes
from bench.report.figures.style import styles


@pytest.mark.parametrize(
    ("budgets", "shown"),
    [
        # Budgets of bytes, and the largest rows of budgets of values that are little larger.
        ([1.93e6, 907e3, 1.81e6, 987e3, 3.63e6, 3.89e6], ["907k", "1.81M", "3.63M"]),
        # More than have room, but for those that lie near others.
        (
            [at * near for at in (1e3, 2e3, 4e3, 8e3) for near in (1, 1.05)],
            ["1k", "2k", "4k", "8k"],
        ),
        ([363e3, 907e3, 1.81e6, 4.53e6], ["363k", "907k", "1.81M", "4.53M"]),
        ([907e3], ["907k"]),
        # Two long labels would touch.
        ([227e3, 453e3, 907e3, 3.36e6, 5.1e6], ["227k", "453k", "907k", "3.36M"]),
        # Both are near each other: no scale could be read from one label.
        ([2.78e6, 3.1e6], ["2M", "5M"]),
    ],
)
def test_budgets_are_labelled_where_their_labels_have_room(budgets, shown):
    axis = Figure().subplots()
    axis.set_xscale("log")
    axis.plot(budgets, budgets)
    log_ticks(axis, budgets)
    assert [text.get_text() for text in axis.get_xticklabels()] == shown


def test_an_axis_that_goes_far_beyond_the_budgets_has_labels_everywhere():
    axis = Figure().subplots()
    axis.set_xscale("log")
    axis.plot([227e3, 453e3, 907e3, 7.1e6], [1, 2, 3, 4])
    log_ticks(axis, [227e3, 453e3, 907e3])
    shown = [text.get_text() for text in axis.get_xticklabels()]
    assert shown == ["200k", "500k", "1M", "2M", "5M"]


@pytest.mark.parametrize("accounting", ["bytes", "values"])
def test_a_budget_is_labelled_on_the_axis_of_what_it_limits(tmp_path: Path, accounting):
    for share in (0.1, 0.2):
        record = exact(TOYS[0], "hashing", share, 0.3)
        for part in (record["spec"]["budget"], record["budget"]):
            part["accounting"] = accounting
        write(tmp_path, record)
    board = load(tmp_path).boards[0]
    other = {"bytes": "values", "values": "bytes"}[accounting]
    rows = [entry.row for one in board.leaderboards for entry in one.chosen.values()]
    assert len(rows) == 2
    assert budget_sizes(board, accounting) == [row.mean(accounting) for row in rows]
    assert budget_sizes(board, other) == []


def test_the_pareto_front_is_marked_at_points_that_are_drawn(tmp_path: Path):
    """A small row of 8 bits is on the front; validation prefers 4 bits, so its point is missing."""
    for bits, test, valid, share in ((4, 0.5, 0.3, 1.0), (8, 0.3, 0.1, 0.5)):
        record = exact(TOYS[0], "hashing", 0.1, test, valid=valid)
        record["spec"]["method"]["config"] = {"bits": bits}
        table = record["size"]["arrays"]["table"]
        values = int(table["bytes"] * share) // 4
        table |= {"shape": [values], "bytes": 4 * values}
        total = 4 * values + 100
        record["size"] |= {"values": values, "bytes": total, "file_bytes": total}
        write(tmp_path, record)
    board = load(tmp_path).boards[0]
    assert len(board.front("bytes", "ndcg@20")) == 2
    axis = sizes(board, styles([("hashing", "method")]), "bytes").figure.axes[0]
    (circles,) = (one for one in axis.collections if 95 in one.get_sizes())
    points = {(x, y) for line in axis.lines for x, y in np.column_stack(line.get_data()).tolist()}
    marked = [tuple(at) for at in np.asarray(circles.get_offsets()).tolist()]
    assert marked and set(marked) <= points


def test_no_band_goes_below_zero(tmp_path: Path) -> None:
    for seed, score in enumerate((0.01, 0.3)):  # the interval of two seeds is far wider
        write(tmp_path, exact(TOYS[0], "hashing", 0.1, score, seed=seed))
    board = load(tmp_path).boards[0]
    (curve,) = board.curves
    assert curve.points[0].row.numbers["ndcg@20"].low < 0
    chart = sizes(board, styles([("hashing", "method")]), "bytes")
    lows = [
        path.vertices[:, 1].min()
        for axis in chart.figure.axes
        for band in axis.collections
        for path in band.get_paths()
        if band.get_alpha() == 0.10
    ]
    assert lows
    assert min(lows) >= 0
