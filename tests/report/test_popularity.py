"""The figure of rare and popular items."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.make_records import Toy, make, write

from bench.board import Board, load
from bench.board.quantities import FIFTHS
from bench.report import build
from bench.report.figures.popularity import popularity
from bench.report.figures.style import styles
from bench.report.popularity import LEADING, profiles

TOY = Toy("toy", 60, 90, 0.4)
METHODS = ("graded", "hashing", "qr", "pep", "cerp", "ttrec", "magnitude")
HITS = np.array([4, 8, 16, 32, 64])
TOTAL = np.array([100, 100, 200, 200, 400])


def add(folder: Path, method: str, hits: np.ndarray, shift: float = 0.0, **config) -> None:
    budget = None if method == "full" else 0.1
    record, users = make(TOY, "mf", method, budget, 0, config=config, shift=shift)
    write(folder, record, {**users, "item_hits": hits, "item_total": TOTAL})


def loaded(folder: Path) -> Board:
    return load(folder).boards[0]


def own(method: str) -> np.ndarray:
    """Hits of a method in each group; no two have the same."""
    return HITS // 2 if method == "dims" else HITS + METHODS.index(method)


@pytest.fixture(name="results")
def results_fixture(tmp_path: Path) -> Path:
    """Seven methods and a control that is last."""
    for method in METHODS:
        add(tmp_path, method, own(method), 0.2)
    add(tmp_path, "dims", own("dims"), -0.3)
    return tmp_path


def test_the_leading_methods_and_the_control_are_shown(results):
    board = loaded(results)
    found, (leaderboard,) = profiles(board), board.leaderboards
    ranked = [entry.row.method for entry in leaderboard.entries]
    assert ranked[-1] == "dims"
    assert [one.entry.row.method for one in found] == [*ranked[:LEADING], "dims"]
    assert {one.budget for one in found} == {"10%"}
    for one in found:
        assert one.hits == pytest.approx(own(one.entry.row.method) / TOTAL)
        assert one.kept is None  # there is no full table


def test_hits_are_in_percent_of_the_full_table(results):
    add(results, "full", 2 * HITS, 0.5)
    for one in profiles(loaded(results)):
        assert one.kept == pytest.approx(50 * own(one.entry.row.method) / HITS)


def test_a_full_table_that_finds_nothing_in_a_group_is_no_measure(results):
    add(results, "full", np.array([0, 8, 16, 32, 64]), 0.5)
    assert {one.kept for one in profiles(loaded(results))} == {None}


def test_of_several_rows_of_a_method_validation_chooses(results):
    add(results, "qr", HITS + 30, 0.6, combine="add")
    assert [one.hits for one in profiles(loaded(results)) if one.entry.row.method == "qr"] == [
        pytest.approx((HITS + 30) / TOTAL)
    ]


@pytest.mark.parametrize("full", [False, True])
def test_the_figure_draws_what_its_table_holds(full, results, tmp_path):
    if full:
        add(results, "full", 2 * HITS, 0.5)
    board = loaded(results)
    looks = styles((entry.row.method, entry.row.role) for _, entry in board.rows())
    chart = popularity(board, looks)
    (axis,) = (axis for axis in chart.figure.axes if axis.get_visible())
    lines = [line for line in axis.lines if len(line.get_xdata()) == len(FIFTHS)]
    for line, one in zip(lines, profiles(board), strict=True):
        drawn = one.kept if full else [100 * hits for hits in one.hits]
        assert list(line.get_ydata()) == pytest.approx(list(drawn))
        assert line.get_color() == looks[one.entry.row.method].colour
    assert axis.get_ylabel() == ("Hits@20 kept (%)" if full else "Hits@20 (%)")
    build(results, tmp_path / "out", formats=("figures", "md"))
    path = tmp_path / "out" / "figures" / f"{board.slug}-popularity.csv"
    assert f"figures/{path.stem}.png" in (tmp_path / "out" / "index.md").read_text()
    table = list(csv.DictReader(path.open()))
    assert [one["items"] for one in table[:5]] == list(FIFTHS)
    first = own(table[0]["method"]) / TOTAL
    assert [float(one["hits@20"]) for one in table[:5]] == pytest.approx(first)
    assert {one["kept"] == "" for one in table} == {not full}


def test_records_without_arrays_have_no_figure(results, tmp_path):
    board = loaded(results)
    rows = [replace(entry, row=replace(entry.row, numbers={})) for _, entry in board.rows()]
    bare = replace(board, leaderboards=(replace(board.leaderboards[0], entries=tuple(rows)),))
    assert not profiles(bare)
    for path in results.rglob("*.npz"):
        path.unlink()
    build(results, tmp_path / "out", formats=("figures", "md"))
    assert not list((tmp_path / "out" / "figures").glob("*-popularity.*"))
    assert "-popularity.png" not in (tmp_path / "out" / "index.md").read_text()
