"""Runs that have a record: they are left alone, or executed again if that is asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.faults import QUICK, Board, blocks

import bench
from bench.errors import Infeasible
from bench.records.store import KEPT
from bench.runs import worklist as worklists
from bench.runs.record import failed, new_record
from bench.runs.schedule import finished
from bench.runs.worklist import Worklist


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return blocks(tmp_path_factory.mktemp("data") / "blocks")


@pytest.fixture
def board(data, tmp_path):
    """One run that has a record."""
    made = Board(data, tmp_path, ("dims",), 1)
    made.planned = [one for one in made.planned if one.run.spec.training]
    made.run_here()
    return made


def handed_out(board, again=False):
    """The records that a worklist gives for the runs, None for each run that is to be executed."""
    with Worklist([one.run for one in board.planned], board.store, again) as worklist:
        return [worklist.next()[1] for _ in board.planned]


def arrays(board):
    (run,) = (one.run for one in board.planned)
    return board.store.path(run.spec, run.spec.id).with_suffix(".npz")


def test_a_record_counts_unless_the_run_is_asked_for_again(board):
    assert [record.status for record in handed_out(board)] == ["ok"]
    assert handed_out(board, again=True) == [None]


def test_a_record_that_is_written_from_then_on_counts(board):
    with Worklist([one.run for one in board.planned], board.store, again=True) as worklist:
        for one in board.planned:  # by another process
            board.store.path(one.run.spec, one.run.spec.id).unlink()
        board.run_here()
        assert [worklist.next()[1].status for _ in board.planned] == ["ok"]


@pytest.mark.parametrize("damage", ["missing", "cut off"])
def test_a_record_whose_arrays_are_lost_does_not_count(damage, board):
    path = arrays(board)
    content = path.read_bytes()
    path.unlink()
    if damage == "cut off":
        path.write_bytes(content[:-30])
    assert handed_out(board) == [None]


def test_a_failed_run_is_left_alone_unless_it_is_to_be_retried(board):
    (one,) = board.planned
    board.store.write(failed(new_record(one.run, board.data, board.methods), "ValueError", "NaN"))
    assert finished(board.planned, board.store) == {one.run.spec.id}
    assert finished(board.planned, board.store, retry_failed=True) == set()
    # Then the record from before does not count.
    assert handed_out(board) == [None]


def test_a_size_that_cannot_be_had_is_recorded_without_a_run(board):
    board.planned = [replace(one, infeasible=Infeasible(999, "bytes")) for one in board.planned]
    (one,) = board.planned
    board.store.path(one.run.spec, one.run.spec.id).unlink()
    board.told.clear()
    board.run()
    record = board.store.read(one.run.spec, one.run.spec.id)
    assert (record.status, record.error.minimum) == ("infeasible", 999)
    assert board.told == []


def test_a_run_that_keeps_no_files_removes_those_of_an_earlier_one(board):
    (one,) = board.planned
    kept = [board.store.kept(one.run.spec, one.run.spec.id, suffix) for suffix in KEPT]
    for path in kept:
        path.write_bytes(b"of other weights")
    board.store.path(one.run.spec, one.run.spec.id).unlink()
    board.run_here()
    assert board.store.read(one.run.spec, one.run.spec.id).status == "ok"
    assert not any(path.exists() for path in kept)


def test_a_run_is_trained_again_from_python(data, tmp_path, monkeypatch):
    # Workers write `-dirty` where files have changed, which is another reason to run them again.
    monkeypatch.setattr(worklists, "replaceable", lambda record: False)
    settings = {f"training.{key}": value for key, value in QUICK.items()}

    def run(**more):
        return bench.run("dims", "40%", dataset=data, settings=settings, results=tmp_path, **more)

    path = tmp_path / run().path
    first = path.stat().st_mtime_ns
    run()
    assert path.stat().st_mtime_ns == first
    run(again=True)
    assert path.stat().st_mtime_ns > first
