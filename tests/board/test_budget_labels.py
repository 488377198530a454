"""A leaderboard has the label that rows under its protocol gave its budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.make_records import Toy, make, write

from bench.board import Board, load

TOY, TWIN = Toy("toy", 60, 90, 0.4), Toy("twin", 60, 90, 0.4)


def put(folder: Path, method: str, label: str | None, toy: Toy = TOY, **other: Any) -> None:
    """Write a run at 10 % of a table of 64 columns, which was called otherwise."""
    dim = other.pop("dim", 64)
    record, users = make(toy, "mf", method, 0.1 if label else None, 0, **other)
    record["spec"]["dim"] = dim
    if label:
        record["budget"]["label"] = label
    write(folder, record, users)


def only(folder: Path) -> Board:
    (board,) = load(folder).boards
    return board


@pytest.mark.parametrize(
    "other",
    [
        {"training": {"batch": 4096}},
        {"status": "failed"},
        {"dim": 128},
    ],
)
def test_other_runs_do_not_name_the_budget(tmp_path: Path, other: dict[str, Any]) -> None:
    for method in ("cerp", "pep"):
        put(tmp_path, method, "10%")
    put(tmp_path, "dims", "5%", **other)
    assert [one.label for one in only(tmp_path).leaderboards] == ["10%"]


def test_they_do_where_nothing_else_can(tmp_path: Path) -> None:
    put(tmp_path, "cerp", "10%", status="failed")
    assert [one.label for one in only(tmp_path).leaderboards] == ["10%"]


def test_shares_of_data_sets_have_the_same_label(tmp_path: Path) -> None:
    for toy in (TOY, TWIN):
        put(tmp_path, "full", None, toy)
        for method in ("cerp", "pep"):
            put(tmp_path, method, "10%", toy)
        put(tmp_path, "qr", "5%", toy, training={"batch": 4096})
    (one,) = load(tmp_path).datasets
    assert [label for _, label in one.budgets] == ["10%"]


def test_a_share_is_preferred_to_a_shorter_number_of_bytes(tmp_path: Path) -> None:
    put(tmp_path, "cerp", "12.5%")
    put(tmp_path, "pep", "3KB")
    assert [one.label for one in only(tmp_path).leaderboards] == ["12.5%"]
