"""Runs that have a record: they are left alone, or executed again if that is asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.faults import QUICK, Board, blocks

import bench
from bench.errors import Infeasible
from bench.processes import current_process
from bench.records.store import KEPT
from bench.runs import schedule
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


def carried_out(board, monkeypatch, work):
    """Carries out the run of a board by `work(run, fail)` in place of workers."""
    (one,) = board.planned
    board.store.path(one.run.spec, one.run.spec.id).unlink()
    monkeypatch.setattr(schedule, "run_all", lambda runs, *others: work(runs[0], others[-1]))
    board.run()


def test_a_run_that_fails_leaves_no_checkpoint_to_go_on_from(board, monkeypatch):
    def fails(run, fail):
        board.store.work(run.spec.id).parent.mkdir(exist_ok=True)
        board.store.work(run.spec.id).write_bytes(b"weights that are not finite")
        return fail(run, "ValueError", "NaN")

    carried_out(board, monkeypatch, fails)
    (one,) = board.planned
    record = board.store.read(one.run.spec, one.run.spec.id)
    assert (record.status, record.error.message) == ("failed", "NaN")
    assert not board.store.work(one.run.spec.id).exists()


def test_what_a_killed_worker_was_writing_goes_when_a_board_is_interrupted(board, monkeypatch):
    dead = replace(current_process(), started=1)
    left = board.store.root / f".{dead}.half.tmp"

    def killed(run, fail):
        left.write_bytes(b"half of a record")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carried_out(board, monkeypatch, killed)
    assert not left.exists()
