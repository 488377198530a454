"""Runs with more passes decide whether a row is marked as still improving."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.make_records import Toy, exact, make, write

from bench.board import Row, load
from bench.board.longer import FOLDER
from bench.report.markdown import render

TOY = Toy("toy", 40, 60, 0.4)
RISING = {"epochs": 30, "best_epoch": 30, "gain": 0.02}
FLAT = {"epochs": 30, "best_epoch": 24, "gain": 0.0}


def put(
    folder: Path,
    seed: int,
    valid: float,
    passes: int,
    method: str = "cerp",
    phase: dict[str, object] = RISING,
    commit: str | None = None,
    **training: object,
) -> Path:
    record = exact(TOY, method, 0.1, 0.2, seed=seed, valid=valid)
    record["spec"]["training"] |= {"epochs": passes, **training}
    record["phases"][-1] |= phase
    if commit is not None:
        record["env"]["commit"] = commit
    return write(folder, record)


def row_of(folder: Path) -> Row:
    boards = load(folder)
    assert not boards.rejected
    (leaderboard,) = boards.boards[0].leaderboards
    (entry,) = leaderboard.entries
    return entry.row


@pytest.mark.parametrize(("after", "marked"), [(0.2024, True), (0.2016, False), (0.19, False)])
@pytest.mark.parametrize("phase", [RISING, FLAT])
def test_what_was_measured_decides_and_not_the_learning_curve(
    tmp_path: Path, after: float, marked: bool, phase: dict[str, object]
) -> None:
    for seed in range(3):
        put(tmp_path, seed, 0.2, 20, phase=phase)
        put(tmp_path / FOLDER, seed, after, 30)
    row = row_of(tmp_path)
    assert row.longer is not None
    assert (row.longer.epochs, row.longer.seeds) == (30, (0, 1, 2))
    assert row.longer.gain == pytest.approx(after / 0.2 - 1)
    assert row.improving is marked
    text = f"from more passes: {row.label} {100 * row.longer.gain:+.1f} % (30 passes, 3 seeds)."
    assert text in render(load(tmp_path), figures=False)


def test_seeds_are_compared_with_themselves(tmp_path: Path) -> None:
    for seed, (before, after) in enumerate([(0.1, 0.2), (0.2, 0.2), (0.3, 0.2), (0.4, 0.2)]):
        put(tmp_path, seed, before, 20)
        if seed < 3:
            put(tmp_path / FOLDER, seed, after, 30)
    row = row_of(tmp_path)
    assert row.longer is not None
    assert row.longer.gain == pytest.approx(0.0)


def test_the_least_of_the_longer_caps_counts(tmp_path: Path) -> None:
    for seed in range(3):
        put(tmp_path, seed, 0.2, 20)
        put(tmp_path / FOLDER, seed, 0.2, 30)
        put(tmp_path / FOLDER, seed, 0.3, 40)
    assert not row_of(tmp_path).improving


@pytest.mark.parametrize(
    "other",
    [
        {"passes": 29},
        {"method": "qr"},
        {"lr": 0.5},
    ],
)
def test_runs_of_something_else_do_not_count(tmp_path: Path, other: dict[str, object]) -> None:
    for seed in range(3):
        put(tmp_path, seed, 0.2, 20)
        put(tmp_path / FOLDER, seed, 0.2, **({"passes": 30} | other))  # type: ignore[arg-type]
    row = row_of(tmp_path)
    assert row.longer is None
    assert row.improving


def test_runs_of_uncommitted_code_do_not_count_and_are_named(tmp_path: Path) -> None:
    for seed in range(3):
        put(tmp_path, seed, 0.2, 20)
        put(tmp_path / FOLDER, seed, 0.2, 30, commit="0123456789ab-dirty")
    boards = load(tmp_path)
    (entry,) = boards.boards[0].leaderboards[0].entries
    assert entry.row.longer is None
    assert len(boards.rejected) == 3
    assert all("uncommitted changes" in one.reason for one in boards.rejected)


def test_passes_of_a_teacher_may_differ_too(tmp_path: Path) -> None:
    for folder, passes, valid in ((tmp_path, 20, 0.2), (tmp_path / FOLDER, 30, 0.21)):
        for seed in range(3):
            record = exact(TOY, "cerp", 0.1, 0.2, seed=seed, valid=valid)
            record["spec"]["training"] |= {"epochs": passes}
            record["spec"]["teacher"] = record["spec"]["training"] | {"epochs": passes * 2 // 3}
            write(folder, record)
    assert row_of(tmp_path).longer is not None


def test_a_full_table_is_named_too(tmp_path: Path) -> None:
    for folder, passes, valid in ((tmp_path, 20, 0.2), (tmp_path / FOLDER, 30, 0.21)):
        for seed in range(3):
            record = exact(TOY, "full", None, 0.2, seed=seed, valid=valid)
            record["spec"]["training"] |= {"epochs": passes}
            write(folder, record)
    for seed in range(3):
        put(tmp_path, seed, 0.2, 20)
    assert "from more passes: Full table +5.0 % (30 passes" in render(load(tmp_path), figures=False)


def test_runs_that_failed_do_not_count(tmp_path: Path) -> None:
    for seed in range(3):
        put(tmp_path, seed, 0.2, 20)
        failed, _ = make(TOY, "mf", "cerp", 0.1, seed, status="failed")
        record = exact(TOY, "cerp", 0.1, 0.2, seed=seed, valid=0.3)
        record["spec"]["training"] |= {"epochs": 30}
        write(tmp_path / FOLDER, record | {"status": "failed", "error": failed["error"]})
    assert row_of(tmp_path).longer is None


def test_one_seed_decides_nothing(tmp_path: Path) -> None:
    put(tmp_path, 0, 0.2, 20)
    put(tmp_path / FOLDER, 0, 0.2, 30)
    assert row_of(tmp_path).improving


def test_too_few_seeds_decide_nothing(tmp_path: Path) -> None:
    for seed in range(3):
        put(tmp_path, seed, 0.2, 20)
    for seed in (0, 1, 5):
        put(tmp_path / FOLDER, seed, 0.2, 30)
    assert row_of(tmp_path).improving


def test_a_longer_run_that_is_no_record_is_named(tmp_path: Path) -> None:
    put(tmp_path, 0, 0.2, 20)
    path = put(tmp_path / FOLDER, 0, 0.2, 30)
    path.write_text(path.read_text().replace('"lr"', '"rate"', 1))
    (left_out,) = load(tmp_path).rejected
    assert left_out.path == path.relative_to(tmp_path).as_posix()
