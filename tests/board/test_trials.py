"""What a board says of the trials that its rows had."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.make_records import TOYS, make, write

from bench.board import load
from bench.board.trials import trials_statement
from bench.report.markdown import render


def put(folder: Path, method: str, planned: int | None) -> None:
    record, users = make(TOYS[0], "mf", method, 0.1, 0)
    if planned is not None:
        record["tuning"] = {"settings": "t@00000000", "planned": planned, "passes": 7 * planned}
    write(folder, record, users)


@pytest.mark.parametrize(
    ("planned", "said"),
    [
        ((None, None, None), ""),
        (
            (12, 12, 12),
            "The settings of each row were chosen on validation data, from 12 trials. Settings of"
            " other budgets and data sets may have competed with them; `compared` in the file of"
            " tuned settings names these.",
        ),
        (
            (12, 3, None),
            "Unequal tuning: the settings of the rows were chosen from unequal numbers of trials:"
            " 2 rows with 3 to 12 and 1 without a count.",
        ),
        (
            (12, 12, None),
            "Unequal tuning: the settings of the rows were chosen from unequal numbers of trials:"
            " 2 rows with 12 and 1 without a count.",
        ),
    ],
)
def test_a_board_says_on_top_whether_its_rows_had_equal_trials(tmp_path, planned, said):
    for method, many in zip(("dims", "hashing", "qr"), planned, strict=True):
        put(tmp_path, method, many)
    boards = load(tmp_path)
    assert not boards.rejected
    (board,) = boards.boards
    assert trials_statement(board) == said
    page = render(boards, figures=False)
    assert said in page
    budget = page.partition("### Budget")[2].partition("###")[0]
    assert ("Trials" in budget) == any(planned)
    if said:
        assert page.index(said) < page.index("### Budget")
        numbers = {entry.row.method: entry.row.mean("tuning_passes") for _, entry in board.rows()}
        assert numbers["dims"] == 84
