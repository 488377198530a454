"""Average ranks are over the budgets of one accounting."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.make_records import Toy, exact, write

from bench.board import Board, load
from bench.board.stats import Ranking
from bench.report.markdown import ranking_text

TOY = Toy("toy", 40, 60, 0.4)


def of_values(folder: Path, fraction: float, scores: dict[str, float]) -> None:
    """Write runs under a budget that counts values."""
    for method, ndcg in scores.items():
        record = exact(TOY, method, fraction, ndcg)
        for budget in (record["budget"], record["spec"]["budget"]):
            budget |= {"accounting": "values", "cap": int(6400 * fraction)}
        record["size"]["values"] = int(6400 * fraction)
        write(folder, record)


def ranking(folder: Path) -> Ranking:
    board: Board
    (board,) = load(folder).boards
    assert board.ranking is not None
    return board.ranking


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, exact(TOY, "full", None, 0.8))
    for fraction in (0.05, 0.1):
        for method, ndcg in {"cerp": 0.4, "qr": 0.3, "pep": 0.2}.items():
            write(tmp_path, exact(TOY, method, fraction, ndcg))
    return tmp_path


def test_a_second_full_table_takes_no_ranks_away(folder: Path) -> None:
    record = exact(TOY, "full", None, 0.79, valid=0.1)
    record["spec"]["training"]["lr"] = 0.001
    write(folder, record)
    (board,) = load(folder).boards
    assert any(one.cap is None and one.entries for one in board.leaderboards)
    assert board.ranking is not None
    assert (board.ranking.names, board.ranking.boards) == (("CERP", "QR", "PEP"), 2)
    assert board.ranking.accounting == ""


def test_budgets_of_bytes_and_of_values_are_not_averaged(folder: Path) -> None:
    """As many of both: bytes."""
    for fraction in (0.05, 0.1):
        of_values(folder, fraction, {"cerp": 0.1, "qr": 0.2, "pep": 0.3})
    found = ranking(folder)
    assert (found.names, found.boards, found.accounting) == (("CERP", "QR", "PEP"), 2, "bytes")


def test_the_accounting_with_most_budgets_is_taken(folder: Path) -> None:
    for fraction in (0.05, 0.1, 0.25):
        of_values(folder, fraction, {"cerp": 0.1, "qr": 0.2, "pep": 0.3})
    found = ranking(folder)
    assert (found.names, found.boards, found.accounting) == (("PEP", "QR", "CERP"), 3, "values")


def test_one_budget_of_each_is_no_average(tmp_path: Path) -> None:
    for method, ndcg in {"cerp": 0.4, "qr": 0.3}.items():
        write(tmp_path, exact(TOY, method, 0.1, ndcg))
    of_values(tmp_path, 0.1, {"cerp": 0.4, "qr": 0.3})
    (board,) = load(tmp_path).boards
    assert board.ranking is None


def test_the_sentence_says_which_budgets_count(folder: Path) -> None:
    (board,) = load(folder).boards
    assert "all 2 budgets, by" in ranking_text(board)
    for fraction in (0.05, 0.1):
        of_values(folder, fraction, {"cerp": 0.1, "qr": 0.2, "pep": 0.3})
    (board,) = load(folder).boards
    assert "all 2 budgets of bytes, by" in ranking_text(board)
