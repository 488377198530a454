"""The table and the figure of accuracy by bits of a value."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from support.make_records import Toy, exact, make, write

from bench.board import Board, load
from bench.report import build
from bench.report.precision import bits_of, cells

TOY = Toy("toy", 60, 90, 0.4)


def board(folder: Path) -> Board:
    return load(folder).boards[0]


def row(folder: Path, method: str, seed: int = 0, budget: float = 0.1, **settings) -> None:
    shift, config = settings.pop("shift", 0.0), settings
    record, users = make(TOY, "mf", method, budget, seed, config=config, shift=shift)
    write(folder, record, users)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for budget in (0.05, 0.1):
        row(tmp_path, "dims", budget=budget)
        row(tmp_path, "cerp", budget=budget)
    row(tmp_path, "dims", bits=4, shift=0.2)
    row(tmp_path, "dims", bits=8, shift=0.1)
    return tmp_path


def test_a_budget_with_one_precision_has_no_table(results: Path) -> None:
    assert {cell.budget for cell in cells(board(results))} == {"10%"}


def test_the_table_has_a_method_a_row_and_bits_as_columns(results: Path, tmp_path: Path) -> None:
    build(results, tmp_path / "out", formats=("md",))
    lines = (tmp_path / "out" / "index.md").read_text().splitlines()
    start = lines.index("### What precision buys")
    table = [
        [c.strip() for c in one.strip("|").split("|")] for one in lines[start + 6 : start + 10]
    ]
    assert lines[start + 4] == "Budget 10%:"
    assert table[0] == ["Method", "32 bits", "8 bits", "4 bits"]
    dims, cerp = table[2:]
    assert (dims[0], cerp[0]) == ("Fewer dimensions", "CERP")
    assert 0 < float(dims[1]) < float(dims[2]) < float(dims[3])
    assert cerp[2:] == ["", ""]


def test_of_several_rows_with_the_same_bits_validation_chooses(results: Path) -> None:
    row(results, "dims", bits=4, scale="side", shift=0.4)
    scores = {
        cell.bits: cell.entry.row.first.spec.method.config
        for cell in cells(board(results))
        if cell.entry.row.method == "dims"
    }
    assert scores[4.0] == {"bits": 4, "scale": "side"}


def test_test_scores_do_not_choose_among_rows_with_the_same_bits(tmp_path: Path) -> None:
    write(tmp_path, exact(TOY, "cerp", 0.1, 0.3))
    for scale, ndcg, valid in (("row", 0.5, 0.1), ("side", 0.4, 0.2)):
        record = exact(TOY, "dims", 0.1, ndcg, valid=valid)
        record["spec"]["method"]["config"] = {"bits": 4, "scale": scale}
        write(tmp_path, record)
    (found,) = (cell.entry.row for cell in cells(board(tmp_path)) if cell.bits == 4)
    assert found.first.spec.method.config["scale"] == "side"


def test_a_method_that_mixes_bits_has_their_average(tmp_path: Path) -> None:
    record, users = make(TOY, "mf", "int8", 0.25, 0)
    record["size"]["arrays"] = {
        "user.codes": {"dtype": "U8", "shape": [600], "bytes": 600, "kind": "codes"},
        "user.scale": {"dtype": "U8", "shape": [62], "bytes": 62, "kind": "scales"},
        "tail.codes": {"dtype": "U8", "shape": [150], "bytes": 150, "kind": "codes"},
    }
    record["size"]["values"] = 2000
    write(tmp_path, record, users)
    (entry,) = (entry for _, entry in board(tmp_path).rows())
    assert bits_of(entry.row) == 3.0


def test_codes_that_are_no_values_have_no_bits(tmp_path: Path) -> None:
    """Positions in a book, say: there are no scales beside them."""
    row(tmp_path, "int8", budget=0.25)
    (entry,) = (entry for _, entry in board(tmp_path).rows())
    assert bits_of(entry.row) == 32.0


def test_the_figure_has_the_numbers_of_the_table(results: Path, tmp_path: Path) -> None:
    build(results, tmp_path / "out", formats=("figures",))
    path = tmp_path / "out" / "figures" / f"{board(results).slug}-precision.csv"
    found = list(csv.DictReader(path.open()))
    points = sorted((one["budget"], one["method"], float(one["bits"])) for one in found)
    wanted = [("cerp", 32.0), ("dims", 4.0), ("dims", 8.0), ("dims", 32.0)]
    assert points == [("10%", method, bits) for method, bits in wanted]
    assert path.with_suffix(".png").stat().st_size > 10_000
