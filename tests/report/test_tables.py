"""Cells of a board's tables, and its sentences, where the comparisons are written by hand."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace

import pytest
from support.make_records import Toy, exact, write

from bench.board import Board, Boards, load
from bench.board.quantities import quantity
from bench.board.stats import Comparison, Ranking
from bench.report import tables
from bench.report.html.page import payload
from bench.report.markdown import ranking_text

TOY = Toy("toy", 60, 90, 0.4)
BETTER = Comparison(0.05, 0.03, 0.07, 0.001, 0.002)
WORSE = Comparison(-0.06, -0.08, -0.04, 0.003, 0.004)
NOISE = Comparison(-0.01, -0.04, 0.02, 0.4, 0.5)
UNTESTED = Comparison(0.05)


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Boards:
    folder = tmp_path_factory.mktemp("results")
    for seed in (0, 1, 2):
        for method, ndcg in (("cerp", 0.4), ("qr", 0.3), ("dims", 0.2)):
            write(folder, exact(TOY, method, 0.1, ndcg + 0.02 * seed, seed=seed))
    return load(folder)


def compared(boards: Boards, **to: tuple[Comparison | None, Comparison | None]) -> Boards:
    """The board with these comparisons of a method with the best row and with the control."""
    (board,) = boards.boards
    (leaderboard,) = board.leaderboards
    entries = []
    for entry in leaderboard.entries:
        best, control = to.get(entry.row.method, (None, None))
        entries.append(replace(entry, against_best=best, against_control=control))
    leaderboard = replace(leaderboard, entries=tuple(entries))
    return replace(boards, boards=(replace(board, leaderboards=(leaderboard,)),))


def cells(board: Board) -> dict[str, dict[str, str]]:
    """What stands in the table of the budget, by method and heading."""
    (leaderboard,) = board.leaderboards
    columns = tables.leaderboard_columns(leaderboard)
    text = tables.markdown(board, leaderboard.entries, columns)
    head, _, *rows = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()
    )
    return {row[1].rstrip("★†‡"): dict(zip(head, row, strict=True)) for row in rows}


@pytest.mark.parametrize(
    ("to_control", "sign"),
    [(BETTER, "★"), (NOISE, "†"), (WORSE, "†"), (UNTESTED, ""), (None, "")],
)
def test_a_star_is_better_than_the_control_and_a_dagger_is_not(
    boards: Boards, to_control: Comparison | None, sign: str
) -> None:
    (board,) = compared(boards, cerp=(None, to_control)).boards
    first = board.leaderboards[0].entries[0]
    assert tables.marks(first) == sign
    assert cells(board)["CERP"]["Method"] == f"CERP{sign}"
    if sign:
        better = tables.MARKS[sign].startswith("better than the control")
        assert better == (to_control is BETTER)


def test_differences_stand_below_what_they_are_from(boards: Boards) -> None:
    (board,) = compared(boards, qr=(WORSE, BETTER)).boards
    row = cells(board)["QR"]
    assert row["Δ to best"] == "-0.0600 (p = 0.004)"
    assert row["Δ to Fewer dimensions"] == "+0.0500 (p = 0.002)"
    lines = csv.DictReader(io.StringIO(tables.board_csv(board)))
    (line,) = (one for one in lines if one["method"] == "qr")
    for name, p, one in (("best", "tukey", WORSE), ("control", "holm", BETTER)):
        found = [line[f"{name}_{part}"] for part in ("difference", "low", "high", "p", f"p_{p}")]
        wanted = [one.difference, one.low, one.high, one.p, one.corrected]
        assert [float(cell) for cell in found] == wanted


def test_differences_of_the_page_are_from_what_it_says(boards: Boards) -> None:
    found = payload(compared(boards, qr=(WORSE, BETTER)))
    (row,) = (row for row in found["rows"] if row["method"] == "qr")
    assert row["best"] == {"text": "-0.0600", "p": "p = 0.004", "difference": -0.06}
    assert row["control"] == {"text": "+0.0500", "p": "p = 0.002", "difference": 0.05}


def test_the_column_sd_has_the_deviation_and_not_the_mean(boards: Boards) -> None:
    row = cells(boards.boards[0])["CERP"]
    assert (row["NDCG@20 ↑"], row["sd"]) == ("0.4200", "0.0200")


def test_the_best_mean_of_a_budget_is_bold_in_latex(boards: Boards) -> None:
    (board,) = boards.boards
    rows = [entry.row for entry in board.leaderboards[0].entries]
    assert len(rows) == 3
    best = [max(row.mean(key) or 0.0 for row in rows) for key in ("ndcg@20", "recall@20")]
    bold = re.findall(r"\\textbf\{([^}]*)\}", tables.latex(board))
    assert sorted(bold) == sorted(quantity("ndcg@20").text(value) for value in best)


@pytest.mark.parametrize(
    ("qr", "dims", "said"),
    [
        (WORSE, WORSE, ", better than every other row by more than noise."),
        (NOISE, WORSE, ", not better by more than noise than QR."),
        (NOISE, NOISE, ", not better by more than noise than QR; Fewer dimensions."),
        (UNTESTED, WORSE, "; not all differences could be tested."),
    ],
)
def test_the_sentence_on_the_first_row_names_those_that_may_be_as_good(
    boards: Boards, qr: Comparison, dims: Comparison, said: str
) -> None:
    found = payload(compared(boards, qr=(qr, None), dims=(dims, None)))
    (leaderboard,) = found["boards"][0]["leaderboards"]
    assert leaderboard["winner"] == f"10%: CERP is first with 0.4200{said}"


@pytest.mark.parametrize(
    ("p", "said"),
    [
        (0.01, "Friedman p = 0.010: the ranks differ."),
        (0.3, "Friedman p = 0.300: the ranks do not differ significantly."),
    ],
)
def test_ranks_differ_where_friedmans_p_is_small(boards: Boards, p: float, said: str) -> None:
    ranking = Ranking(("CERP", "QR", "Fewer dimensions"), (1.0, 2.0, 3.0), 4, p, 1.7)
    assert said in ranking_text(replace(boards.boards[0], ranking=ranking))
