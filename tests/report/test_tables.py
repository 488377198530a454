"""Cells of a board's tables, and its sentences, where the comparisons are written by hand."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from support.make_records import Toy, exact, make, write

from bench.board import Board, Boards, load
from bench.board.quantities import quantity
from bench.board.stats import Comparison, Ranking
from bench.report import tables
from bench.report.byte_kinds import spending
from bench.report.figures.bytes_by_kind import spend
from bench.report.figures.layout import settings
from bench.report.html.page import payload
from bench.report.markdown import ranking_text, render
from bench.report.pareto import fronts

TOY = Toy("toy", 60, 90, 0.4)
BETTER = Comparison(0.05, 0.03, 0.07, 0.001, 0.002)
WORSE = Comparison(-0.06, -0.08, -0.04, 0.003, 0.004)
CLOSE = Comparison(-0.008, -0.04, 0.02, 0.4, 0.5)
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
        (CLOSE, WORSE, "; at most 2 % behind, within noise: QR."),
        (
            CLOSE,
            NOISE,
            "; at most 2 % behind, within noise: QR; further behind, but not significantly:"
            " Fewer dimensions.",
        ),
        (NOISE, NOISE, "; further behind, but not significantly: QR, Fewer dimensions."),
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


def test_intervals_go_from_the_lower_end_to_the_upper_one(boards: Boards) -> None:
    (board,) = boards.boards
    first = board.leaderboards[0].entries[0].row
    number = first.numbers["ndcg@20"]
    assert number.low is not None and number.mean is not None and number.high is not None
    assert number.low < number.mean < number.high
    (group,) = fronts(boards)["groups"]  # type: ignore[misc, attr-defined]
    (on_front,) = (one for one in group["fronts"][0]["rows"] if one["row"] == first.key)
    assert on_front["ndcg@20_interval"] == [number.low, number.high]
    (on_page,) = (row for row in payload(boards)["rows"] if row["key"] == first.key)
    mean, low, high, sd, seeds = on_page["numbers"]["ndcg@20"]
    assert [mean, low, high, sd] == pytest.approx([0.42, number.low, number.high, 0.02], rel=1e-4)
    assert seeds == 3


@pytest.mark.parametrize(
    ("to_control", "sign"), [(BETTER, r"$^{\star}$"), (NOISE, r"$^{\dagger}$"), (None, "")]
)
def test_latex_has_the_signs_of_the_other_tables(
    boards: Boards, to_control: Comparison | None, sign: str
) -> None:
    (board,) = compared(boards, cerp=(None, to_control)).boards
    (line,) = (one for one in tables.latex(board).splitlines() if one.startswith("CERP"))
    assert line.partition(" &")[0] == f"CERP{sign}"


def test_the_page_says_why_a_row_is_not_ranked(tmp_path: Path) -> None:
    for method, seeds in (("cerp", 1), ("qr", 2), ("dims", 2)):
        for seed in range(seeds):
            write(tmp_path, exact(TOY, method, 0.1, 0.4, seed=seed))
    boards = load(tmp_path)
    reasons = {row["method"]: row["reason"] for row in payload(boards)["rows"]}
    (apart,) = boards.boards[0].leaderboards[0].apart
    assert apart.reason
    assert reasons == {"cerp": apart.reason, "qr": "", "dims": ""}


def test_the_page_knows_which_runs_shared_the_machine(tmp_path: Path) -> None:
    for method in ("ttrec", "cerp"):
        record, users = make(TOY, "mf", method, 0.1, 0)
        record["timings"]["parallel"] = method == "ttrec"
        write(tmp_path, record, users)
    shared = {
        row["method"]: [run["shared"] for run in row["runs"]]
        for row in payload(load(tmp_path))["rows"]
    }
    assert shared == {"ttrec": [True], "cerp": [False]}


def test_bytes_by_kind_are_all_bytes_of_the_file(tmp_path: Path) -> None:
    write(tmp_path, *make(TOY, "mf", "cerp", 0.1, 0))
    (entry,) = load(tmp_path).boards[0].leaderboards[0].entries
    kinds = spending(entry)
    assert sum(kinds.values()) == entry.row.mean("bytes")
    assert kinds["header"] == 100 and kinds["values"] > 0 and kinds["mask"] > 0


def test_the_best_method_on_average_stands_first_in_the_overview(tmp_path: Path) -> None:
    for fraction in (0.05, 0.1):
        for method, ndcg in (("qr", 0.4), ("cerp", 0.3), ("dims", 0.2)):
            write(tmp_path, exact(TOY, method, fraction, ndcg))
    page = render(load(tmp_path), figures=False)
    section = page.partition("### NDCG@20 at all budgets\n\n")[2]
    rows = section.partition("\n\n")[0].splitlines()[2:]
    names = [line.split("|")[1].strip() for line in rows]
    assert names == ["QR", "CERP", "Fewer dimensions"]


@pytest.mark.parametrize(
    "title",
    [
        "CERP",
        "Fewer dimensions, quantised",
        "Residual quantisation, books trained, on graded codes",
    ],
)
def test_titles_beside_the_bars_of_bytes_are_not_cut_off(boards: Boards, title: str) -> None:
    (board,) = boards.boards
    (leaderboard,) = board.leaderboards
    first, *others = leaderboard.entries
    named = replace(first, row=replace(first.row, label=title))
    leaderboard = replace(leaderboard, entries=(named, *others))
    with settings():
        figure = spend(replace(board, leaderboards=(leaderboard,))).figure
        renderer = FigureCanvasAgg(figure).get_renderer()
        labels = [text for axis in figure.axes for text in axis.get_yticklabels()]
        assert title in [text.get_text() for text in labels]
        assert min(text.get_window_extent(renderer).x0 for text in labels) >= 0
