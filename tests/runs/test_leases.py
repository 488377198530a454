"""Leases: one process for one run, whoever dies, and whatever the clocks say."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.faults import die, in_child, wait_for

from bench import processes
from bench.errors import StoreError
from bench.processes import ProcessId, current_process, parse_process_id
from bench.runs import leases as module
from bench.runs.leases import Leases

ELSEWHERE = ProcessId("0" * 12, 17, 4711)


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def leased_elsewhere(folder: Path, run: str = "a") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"{run}.run").write_text(str(ELSEWHERE))
    sign = folder / f"{ELSEWHERE}.alive"
    sign.touch()
    return sign


def holder(leases: Leases, run: str) -> ProcessId | None:
    """The process that has leased a run, running or dead."""
    return parse_process_id((leases.folder / f"{run}.run").read_text())


def test_a_run_belongs_to_one(tmp_path):
    with Leases(tmp_path) as mine:
        assert mine.take("a")
        assert mine.take("a")
        assert holder(mine, "a") == current_process()

        def other():
            with Leases(tmp_path) as theirs:
                assert not theirs.take("a")
                assert theirs.take("b")

        assert in_child(other) == 0
        assert mine.take("b")  # given back by one that has ended
        mine.release("a")
        mine.release("a")
        assert in_child(lambda: Leases(tmp_path).__enter__().take("a") or os._exit(9)) == 0
    assert not tmp_path.exists() or [p.name for p in tmp_path.iterdir() if "alive" not in p.name]


def test_nothing_is_left_when_all_have_ended(tmp_path):
    folder = tmp_path / "leases"
    with Leases(folder) as mine:
        mine.take("a")
        assert len(list(folder.iterdir())) == 2
    assert not folder.exists()


def test_lease_of_a_killed_process_lapses_at_once(tmp_path):
    def killed():
        Leases(tmp_path).__enter__().take("a")
        die()

    assert in_child(killed) == -signal.SIGKILL
    with Leases(tmp_path) as mine:
        assert holder(mine, "a").is_dead()
        assert mine.take("a")
        mine.sweep()
    assert list(tmp_path.parent.glob(f"{tmp_path.name}/*")) == []


def test_sweep_leaves_the_leases_of_the_living(tmp_path):
    leased_elsewhere(tmp_path, "theirs")
    in_child(lambda: Leases(tmp_path).__enter__().take("dead") and die())
    with Leases(tmp_path) as mine:
        mine.take("mine")
        mine.sweep()
        names = sorted(path.name for path in tmp_path.iterdir())
        assert names == sorted(
            ["mine.run", "theirs.run", f"{current_process()}.alive", f"{ELSEWHERE}.alive"]
        )


def test_number_that_is_used_again_is_another_process(tmp_path):
    me = current_process()
    assert not me.is_dead()
    assert ProcessId(me.machine, me.pid, me.started - 1).is_dead()
    assert ProcessId(me.machine, 2**22 + 1, 1).is_dead()
    assert not ELSEWHERE.is_dead()  # this machine cannot tell


def test_zombie_is_dead(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = processes._start_of(child.pid)
    assert started is not None
    child.kill()
    wait_for(lambda: processes._start_of(child.pid) is None)  # not yet waited for
    child.wait()


@pytest.mark.parametrize("text", ["", "x", "0-1-2", "0" * 12, f"{'0' * 12}-1", f"{'g' * 12}-1-2"])
def test_text_that_states_no_process(text):
    assert parse_process_id(text) is None
    assert parse_process_id(str(ELSEWHERE) + "\n") == ELSEWHERE


def test_process_elsewhere_counts_as_running_while_its_heartbeat_changes(tmp_path, clock):
    sign = leased_elsewhere(tmp_path)
    with Leases(tmp_path, timeout=100) as mine:
        assert not mine.take("a")
        for stamp in (2_000_000_000, 1_000_000_000, 1, 3):  # its clock jumps, also backwards
            clock.now += 90
            os.utime(sign, (stamp, stamp))
            assert not mine.take("a")
        clock.now += 99
        assert not mine.take("a")
        clock.now += 2
        assert mine.take("a")
        assert holder(mine, "a") == current_process()


def test_file_times_in_the_future_or_past_decide_nothing(tmp_path, clock):
    for stamp in (1.0, 4e9):
        sign = leased_elsewhere(tmp_path)
        os.utime(sign, (stamp, stamp))
        with Leases(tmp_path, timeout=100) as mine:
            assert not mine.take("a")
            clock.now += 99
            assert not mine.take("a")
            clock.now += 2
            assert mine.take("a")


def test_lease_that_was_never_finished_lapses(tmp_path, clock):
    (tmp_path / "a.run").write_text("")
    with Leases(tmp_path, timeout=100) as mine:
        assert not mine.take("a")
        clock.now += 101
        assert mine.take("a")


def test_lease_taken_over_by_another_is_not_removed(tmp_path, monkeypatch):
    """Two processes find the same dead lease; the slower one meets the new lease."""
    dead = ProcessId(current_process().machine, 2**22 + 1, 1)
    (tmp_path / "a.run").write_text(str(dead))
    really = Path.rename

    def late(path, target):
        path.write_text(str(ELSEWHERE))  # the faster one was here
        return really(path, target)

    with Leases(tmp_path) as mine:
        monkeypatch.setattr(Path, "rename", late)
        assert not mine.take("a")
        monkeypatch.undo()
        assert holder(mine, "a") == ELSEWHERE
        assert not list(tmp_path.glob("*.old"))
        mine.release("a")  # of somebody else: it stays
        assert holder(mine, "a") == ELSEWHERE


def test_heartbeats_are_written(tmp_path):
    before = threading.active_count()
    with Leases(tmp_path, interval=0.01):
        sign = tmp_path / f"{current_process()}.alive"
        os.utime(sign, (1.0, 1.0))
        wait_for(lambda: sign.stat().st_mtime > 1.0)
        sign.unlink()
        wait_for(sign.exists)  # even if somebody removed it
    assert threading.active_count() == before  # nothing writes it again
    assert not sign.exists()


def test_folder_that_cannot_be_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot be written.*another folder"):
        Leases(tmp_path / "file" / "leases").__enter__()


def test_many_processes_never_share(tmp_path):
    """Six processes take and give back the same five runs; no two have one at a time."""
    board, held = tmp_path / "leases", tmp_path / "held"
    held.mkdir()

    def work():
        with Leases(board) as mine:
            for turn in range(150):
                run = f"r{turn % 5}"
                if mine.take(run):
                    (held / run).mkdir()  # fails if somebody is in
                    (held / run).rmdir()
                    mine.release(run)
        os._exit(0)

    children = []
    for _ in range(6):
        child = os.fork()
        if child == 0:
            try:
                work()
            finally:
                os._exit(1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 6
