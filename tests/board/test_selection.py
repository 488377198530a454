"""Validation data choose among rows and runs; test data choose nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.make_records import Toy, exact, make, write

from bench.board import Board, load
from bench.board.choose import choose

TOY = Toy("toy", 40, 60, 0.4)
FULL = 100 * 64 * 4
WIDE, NARROW = {"lr": 0.01}, {"lr": 0.02}


def put(folder: Path, method: str, fraction: float | None, ndcg: float, **other: Any) -> None:
    """Write a run with a given NDCG@20 on test and on validation data."""
    changes = {key: other.pop(key) for key in ("config", "training", "revision") if key in other}
    backbone = other.pop("backbone", "mf")
    record = exact(TOY, method, fraction, ndcg, **other)
    record["spec"]["backbone"]["name"] = backbone
    record["spec"]["method"]["config"] |= changes.get("config", {})
    record["spec"]["method"]["revision"] = changes.get("revision", 1)
    record["spec"]["training"] |= changes.get("training", {})
    write(folder, record)


def only(folder: Path) -> Board:
    (board,) = load(folder).boards
    return board


def test_validation_chooses_the_full_table(tmp_path: Path) -> None:
    put(tmp_path, "dims", 0.1, 0.2)
    put(tmp_path, "full", None, 0.5, valid=0.3, training=WIDE)
    put(tmp_path, "full", None, 0.6, valid=0.2, training=NARROW)
    ceiling = only(tmp_path).ceiling
    assert ceiling is not None and ceiling.mean("ndcg@20") == 0.5


def test_validation_chooses_the_control(tmp_path: Path) -> None:
    put(tmp_path, "dims", 0.1, 0.2, valid=0.3)
    put(tmp_path, "dims", 0.1, 0.4, valid=0.2, config={"bits": 8})
    (leaderboard,) = only(tmp_path).leaderboards
    assert len(leaderboard.entries) == 2
    assert leaderboard.control is not None and leaderboard.control.mean("ndcg@20") == 0.2


def test_of_the_seeds_of_a_choice_validation_prefers_one(tmp_path: Path) -> None:
    for seed, (test, valid) in enumerate([(0.4, 0.1), (0.2, 0.3), (0.3, 0.2)]):
        put(tmp_path, "cerp", 0.1, test, seed=seed, valid=valid)
    (advice,) = choose(load(tmp_path), FULL)
    assert advice.choices[0].run.spec.seed == 1


def test_a_choice_is_of_the_latest_protocol_even_if_an_earlier_one_was_better(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.board.model.PROTOCOL", 2)
    for protocol, method, ndcg in ((1, "cerp", 0.6), (1, "qr", 0.5), (2, "cerp", 0.3)):
        record = exact(TOY, method, 0.1, ndcg, valid=ndcg)
        record["spec"]["protocol"] = protocol
        write(tmp_path, record)
    (advice,) = choose(load(tmp_path), FULL)
    [choice] = advice.choices
    assert (choice.board.version, choice.row.mean("ndcg@20")) == (2, 0.3)


def test_a_larger_size_that_popularity_beats_is_not_offered(tmp_path: Path) -> None:
    put(tmp_path, "cerp", 0.1, 0.2)
    put(tmp_path, "cerp", 0.25, 0.3)
    record, _ = make(TOY, "none", "popularity", None, 0)
    record["metrics"]["test"]["ndcg@20"] = 0.35
    write(tmp_path, record)
    put(tmp_path, "full", None, 0.5)
    (advice,) = choose(load(tmp_path), FULL // 10)
    assert advice.larger is not None and advice.larger.row.method == "full"


def test_the_protocol_of_most_methods_is_ranked_however_often_another_was_run(
    tmp_path: Path,
) -> None:
    for method in ("hashing", "cerp"):
        put(tmp_path, method, 0.1, 0.2)
    for seed in range(5):
        put(tmp_path, "qr", 0.1, 0.4, seed=seed, training={"batch": 4096})
    board = only(tmp_path)
    assert board.protocol["training.batch"] == 1024
    (leaderboard,) = board.leaderboards
    assert {entry.row.method for entry in leaderboard.entries} == {"hashing", "cerp"}


def test_shares_are_of_the_quantity_that_they_name(tmp_path: Path) -> None:
    for method, fraction, recall in (("full", None, 0.5), ("cerp", 0.1, 0.3)):
        record = exact(TOY, method, fraction, 0.4 if fraction is None else 0.1)
        record["metrics"]["test"]["recall@20"] = recall
        write(tmp_path, record)
    board = only(tmp_path)
    row = board.leaderboards[-1].entries[0].row
    assert board.number(row, "share") == pytest.approx(25)
    assert board.number(row, "share_recall") == pytest.approx(60)


@pytest.mark.parametrize(("rising", "marked"), [(1, False), (2, True)])
def test_most_runs_of_a_row_have_to_rise_for_it_to_be_marked(
    tmp_path: Path, rising: int, marked: bool
) -> None:
    for seed in range(3):
        record = exact(TOY, "cerp", 0.1, 0.2, seed=seed)
        gain = 0.02 if seed < rising else 0.0
        record["phases"][-1] |= {"epochs": 30, "best_epoch": 30, "gain": gain}
        write(tmp_path, record)
    (leaderboard,) = only(tmp_path).leaderboards
    assert leaderboard.entries[0].row.improving is marked


def test_a_search_that_rose_to_its_end_is_no_reason_for_the_mark(tmp_path: Path) -> None:
    record = exact(TOY, "cerp", 0.1, 0.2)
    search, last = record["phases"]
    search |= {"epochs": 10, "best_epoch": 10, "gain": 0.02}
    last |= {"epochs": 30, "best_epoch": 30, "gain": 0.0}
    write(tmp_path, record)
    (leaderboard,) = only(tmp_path).leaderboards
    assert not leaderboard.entries[0].row.improving


def test_only_ranked_rows_have_average_ranks(tmp_path: Path) -> None:
    for fraction in (0.05, 0.1):
        for seed in range(2):
            put(tmp_path, "cerp", fraction, 0.3, seed=seed)
            put(tmp_path, "qr", fraction, 0.2, seed=seed)
        put(tmp_path, "pep", fraction, 0.4)
    ranking = only(tmp_path).ranking
    assert ranking is not None and ranking.names == ("CERP", "QR")


def test_a_popularity_ranking_of_an_earlier_revision_is_history(tmp_path: Path) -> None:
    put(tmp_path, "cerp", 0.1, 0.2)
    for revision, ndcg in ((1, 0.1), (2, 0.05)):
        record, _ = make(TOY, "none", "popularity", None, 0, revision=revision)
        record["metrics"]["test"]["ndcg@20"] = ndcg
        write(tmp_path, record)
    (reference,) = only(tmp_path).references
    assert reference.first.spec.method.revision == 2


def test_the_best_curve_at_the_largest_budget_comes_first(tmp_path: Path) -> None:
    for method, small, large in (("cerp", 0.4, 0.3), ("qr", 0.2, 0.5), ("dims", 0.1, 0.2)):
        put(tmp_path, method, 0.1, small)
        put(tmp_path, method, 0.25, large)
    assert [curve.method for curve in only(tmp_path).curves] == ["qr", "cerp", "dims"]


class TestBackbonesSideBySide:
    def two(self, folder: Path) -> None:
        for backbone in ("mf", "lightgcn"):
            put(folder, "full", None, 0.5, backbone=backbone)
            put(folder, "cerp", 0.1, 0.3, backbone=backbone)

    def test_validation_chooses_among_settings_of_a_method(self, tmp_path: Path) -> None:
        self.two(tmp_path)
        put(tmp_path, "cerp", 0.1, 0.4, valid=0.1, config={"bits": 4})
        (sides,) = load(tmp_path).backbones
        side = next(side for side in sides.sides if side.name == "mf")
        assert [kept.row.mean("ndcg@20") for kept in side.kept] == [0.3]

    def test_the_full_table_that_most_rows_follow_is_the_ceiling(self, tmp_path: Path) -> None:
        self.two(tmp_path)
        # Better on test and validation data, but no row has its power of norms.
        for seed in range(2):
            record = exact(TOY, "full", None, 0.6, seed=seed, valid=0.4)
            record["spec"]["backbone"]["config"] = {"norm_power": 0.3}
            write(tmp_path, record)
        (sides,) = load(tmp_path).backbones
        side = next(side for side in sides.sides if side.name == "mf")
        assert side.ceiling.mean("ndcg@20") == 0.5

    def test_budgets_that_only_a_control_has_are_left_out(self, tmp_path: Path) -> None:
        self.two(tmp_path)
        put(tmp_path, "dims", 0.1, 0.2)
        put(tmp_path, "dims", 0.25, 0.25)
        (sides,) = load(tmp_path).backbones
        side = next(side for side in sides.sides if side.name == "mf")
        assert {(kept.row.method, kept.budget) for kept in side.kept} == {
            ("cerp", "10%"),
            ("dims", "10%"),
        }
