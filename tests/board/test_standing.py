"""Which rows decide who is ranked: not those that nobody can repeat, nor those of replaced code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.make_records import Toy, make, write

from bench.board import Board, Leaderboard, load

TOY = Toy("toy", 60, 90, 0.4)
DIRTY = {"commit": "0123456789ab-dirty"}
OLD, NEW = "a" * 12, "b" * 12


def put(
    folder: Path,
    method: str,
    seeds: int = 3,
    *,
    commit: str = "0123456789ab",
    source: str | None = None,
    teacher: dict[str, Any] | None = None,
    backbone: dict[str, Any] | None = None,
    day: int = 1,
    **other: Any,
) -> None:
    """Write runs of a method at 10 %, or of the full table."""
    for seed in range(seeds):
        record, users = make(TOY, "mf", method, None if method == "full" else 0.1, seed, **other)
        record["env"]["commit"] = commit
        record["finished"] = f"2026-11-{day:02}T12:00:00Z"
        spec = record["spec"]
        if source:
            spec["method"]["source"] = source
        if teacher:
            spec["teacher"] = spec["training"] | teacher
        spec["backbone"]["config"] |= backbone or {}
        write(folder, record, users)


def only(folder: Path) -> tuple[Board, Leaderboard]:
    boards = load(folder)
    assert not boards.rejected
    (board,) = boards.boards
    return board, board.leaderboards[-1]


def ranked(leaderboard: Leaderboard) -> list[str]:
    return sorted(entry.row.method for entry in leaderboard.entries)


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    for method in ("full", "dims", "cerp"):
        put(tmp_path, method)
    return tmp_path


def test_runs_that_nobody_can_repeat_ask_for_no_seeds(clean: Path) -> None:
    put(clean, "pep", 5, **DIRTY)
    _, leaderboard = only(clean)
    assert (leaderboard.seeds, ranked(leaderboard)) == (3, ["cerp", "dims"])
    assert [entry.row.method for entry in leaderboard.apart] == ["pep"]


def test_runs_that_nobody_can_repeat_supersede_nothing(clean: Path) -> None:
    put(clean, "cerp", revision=2, **DIRTY)
    _, leaderboard = only(clean)
    assert ranked(leaderboard) == ["cerp", "dims"]
    (apart,) = leaderboard.apart
    assert apart.row.first.spec.method.revision == 2
    assert "uncommitted" in apart.reason


def test_runs_that_nobody_can_repeat_set_no_protocol(clean: Path) -> None:
    for method in ("pep", "qr", "hashing"):
        put(clean, method, training={"batch": 4096}, **DIRTY)
    board, leaderboard = only(clean)
    assert board.protocol["training.batch"] == 1024
    assert board.ceiling is not None
    assert ranked(leaderboard) == ["cerp", "dims"]
    assert all("uncommitted" in entry.reason for entry in leaderboard.apart)


def test_a_clean_reference_does_not_set_the_protocol(tmp_path: Path) -> None:
    """Only runs of uncommitted code have an embedding, so they say what the board is about."""
    for seed in range(3):
        write(tmp_path, *make(TOY, "none", "popularity", None, seed))
    put(tmp_path, "cerp", 2, **DIRTY)
    board, leaderboard = only(tmp_path)
    assert board.protocol["training.batch"] == 1024
    assert (leaderboard.seeds, leaderboard.entries) == (2, ())


def test_an_old_revision_asks_for_no_seeds(clean: Path) -> None:
    put(clean, "pep", 5)
    put(clean, "pep", 3, revision=2)
    _, leaderboard = only(clean)
    assert (leaderboard.seeds, ranked(leaderboard)) == (3, ["cerp", "dims", "pep"])
    assert [entry.reason for entry in leaderboard.apart] == [
        "revision 1 of the method, superseded by 2"
    ]


def test_an_old_revision_is_no_ceiling(clean: Path) -> None:
    put(clean, "full", 5, revision=0)
    board, _ = only(clean)
    assert board.ceiling is not None
    assert (board.ceiling.first.spec.method.revision, len(board.ceiling.seeds)) == (1, 3)
    [old] = board.leaderboards[0].apart
    assert old.reason == "revision 0 of the method, superseded by 1"


@pytest.mark.parametrize("newer", [OLD, NEW])
def test_the_file_that_was_run_last_supersedes_the_other(clean: Path, newer: str) -> None:
    older = OLD if newer == NEW else NEW
    put(clean, "pep", 5, source=older, day=1)
    put(clean, "pep", 3, source=newer, day=2)
    _, leaderboard = only(clean)
    (current,) = [entry.row for entry in leaderboard.entries if entry.row.method == "pep"]
    assert current.first.spec.method.source == newer
    (apart,) = leaderboard.apart
    assert apart.row.first.spec.method.source == older
    assert apart.reason == "superseded by a later version of its file"
    assert not apart.incomplete
    assert (leaderboard.seeds, ranked(leaderboard)) == (3, ["cerp", "dims", "pep"])
    assert {current.label, apart.row.label} == {"PEP (source=aaaaaaa)", "PEP (source=bbbbbbb)"}


def test_other_settings_of_an_earlier_file_stay(clean: Path) -> None:
    put(clean, "pep", source=OLD, day=1, config={"bits": 4})
    put(clean, "pep", source=NEW, day=2, config={"bits": 8})
    _, leaderboard = only(clean)
    assert ranked(leaderboard) == ["cerp", "dims", "pep", "pep"]


def test_a_file_that_nobody_can_repeat_supersedes_nothing(clean: Path) -> None:
    put(clean, "pep", source=OLD, day=1)
    put(clean, "pep", source=NEW, day=2, **DIRTY)
    _, leaderboard = only(clean)
    (current,) = [entry.row for entry in leaderboard.entries if entry.row.method == "pep"]
    assert current.first.spec.method.source == OLD


@pytest.mark.parametrize(
    ("one", "other", "labels"),
    [
        ({"teacher": {"lr": 0.1}}, {"teacher": {"lr": 0.2}}, ["teacher.lr=0.1", "teacher.lr=0.2"]),
        ({"backbone": {"a": 1}}, {"backbone": {"a": 2}}, ["backbone.a=1", "backbone.a=2"]),
    ],
)
def test_labels_name_what_differs(
    tmp_path: Path, one: dict[str, Any], other: dict[str, Any], labels: list[str]
) -> None:
    for differs in (one, other):
        put(tmp_path, "cerp", **differs)
    _, leaderboard = only(tmp_path)
    found = sorted(e.row.label for e in (*leaderboard.entries, *leaderboard.apart))
    assert found == [f"CERP ({label})" for label in labels]


def test_a_row_without_the_setting_that_differs_has_its_key(tmp_path: Path) -> None:
    put(tmp_path, "cerp", config={"bits": 8})
    put(tmp_path, "cerp")
    _, leaderboard = only(tmp_path)
    rows = {e.row.label: e.row for e in leaderboard.entries}
    (plain,) = [label for label in rows if label != "CERP (bits=8)"]
    assert plain == f"CERP ({rows[plain].key})"
