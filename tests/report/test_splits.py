"""What is said of a split is what was done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.make_records import Toy, make, write

from bench.board import Board, load
from bench.data import load as load_data
from bench.report.splits import split_statement

GIVEN = "The test part came with the data set, and need not be a random part of it."
HELD_OUT = "Numbers say how well held-out interactions are recovered"


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Board:
    folder = tmp_path_factory.mktemp("results")
    write(folder, *make(Toy("toy", 40, 60, 0.4), "mf", "cerp", 0.1, 0))
    (found,) = load(folder).boards
    return found


def said(board: Board, dataset: str, split: str, *, temporal: bool = False) -> str:
    return split_statement(replace(board, dataset=dataset, split=split, temporal=temporal))


def test_a_given_test_part_is_not_called_random(board: Board) -> None:
    text = said(board, "gowalla", "gowalla-v10-s0")
    assert text.startswith(
        f"{GIVEN} Validation interactions are a random 10 % of each user's training interactions. "
    )
    assert HELD_OUT in text


def test_a_test_part_that_was_cut_is_random(board: Board) -> None:
    text = said(board, "ml-100k", "ml-100k-t20-v10-s0")
    assert text.startswith(
        "Test interactions are a random 20 % of each user's interactions. "
        "Validation interactions are a random 10 % of the others. "
    )
    assert HELD_OUT in text


def test_a_temporal_split_is_said(board: Board) -> None:
    text = said(board, "toy", "toy-vgiven", temporal=True)
    assert text == (
        f"{GIVEN} The validation part came with the data set. "
        "The split is temporal: test interactions are later than training interactions."
    )


def test_a_name_that_looks_like_a_rule_is_none(board: Board) -> None:
    assert GIVEN in said(board, "my-t20-v10-s0", "my-t20-v10-s0-v10-s0")
    assert said(board, "toy", "made-elsewhere").startswith(HELD_OUT)


@pytest.mark.parametrize("given", [True, False])
def test_ids_of_loaded_data_are_understood(
    board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: bool
) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "mine"
    folder.mkdir()
    if given:
        (folder / "train.txt").write_text("0 0 1 2 3\n1 1 2 4\n2 0 3 4 5\n")
        (folder / "test.txt").write_text("0 4 5\n1 0\n2 1 2\n")
    else:
        pairs = [f"{user},{item}" for user in range(9) for item in range(9)]
        (folder / "data.csv").write_text("\n".join(["user,item", *pairs]) + "\n")
    data = load_data(folder)
    text = said(board, data.name, data.split)
    assert (GIVEN in text) == given
    assert ("a random 20 % of each user's interactions" in text) == (not given)
    assert "a random 10 % of" in text
