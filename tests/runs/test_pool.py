"""Boards in worker processes that crash, hang, are killed, and share their folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from support.faults import (
    Board,
    blocks,
    children,
    in_child,
    kill_children,
    litter,
    outcome,
    suite_text,
    wait_for,
)

from bench.errors import BenchError
from bench.records.store import Store
from bench.runs import worklist as worklists
from bench.runs.pool import _Attempts
from bench.runs.worklist import Worklist

PLUGIN = """
import os, signal, time
from pathlib import Path
from bench.method import Method, Rows

class Base(Method):
    budgeted = False
    def build(self): self.stored = Rows(self.table.ids, self.table.dim)
    def reset(self, generator): self.stored.normal(0.1, generator)
    def forward(self, ids): return self.stored(ids)

class Fatal(Base):
    name = title = "fatal"
    def begin(self, phase, progress, lr): os.kill(os.getpid(), signal.SIGKILL)

class Hangs(Base):
    name = title = "hangs"
    def penalty(self, rows, progress):
        time.sleep(3600)
        return 0.0

class Greedy(Base):
    name = title = "greedy"
    def penalty(self, rows, progress):
        raise MemoryError("cannot allocate 12 GiB")

class Raises(Base):
    name = title = "raises"
    def begin(self, phase, progress, lr): raise ValueError("wrong on purpose")
"""


@pytest.fixture(autouse=True)
def any_code(monkeypatch):
    """Workers write `-dirty` where files have changed; that is no reason to run them again here."""
    monkeypatch.setattr(worklists, "replaceable", lambda record: False)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return blocks(tmp_path_factory.mktemp("data") / "blocks")


@pytest.fixture(scope="module")
def expected(data, tmp_path_factory):
    """What two methods, two seeds come to when nothing disturbs them."""
    board = Board(data, tmp_path_factory.mktemp("undisturbed"), ("dims", "cerp"))
    board.run_here()
    assert litter(board.store.root) == []
    return outcome(board.store.root)


@pytest.fixture
def plugin(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text(PLUGIN)
    return path


def test_crashing_hanging_and_raising_runs_fail_and_the_rest_goes_on(data, tmp_path, plugin):
    bad = ("fatal", "hangs", "greedy", "raises")
    board = Board(data, tmp_path / "r", (*bad, "dims"), 1, (plugin,))
    board.run(workers=2, time_limit=4.0)
    found = {r["method"]["name"]: r for r, _ in outcome(board.store.root).values()}
    assert {name for name, record in found.items() if record["status"] == "ok"} == {
        "dims",
        "popularity",
    }
    said = {name: (found[name]["error"]["type"], found[name]["error"]["message"]) for name in bad}
    assert said["fatal"] == ("WorkerDied", "its process ended with signal SIGKILL; out of memory?")
    assert said["hangs"] == ("TimeLimit", "took longer than 4 s")
    assert said["greedy"] == ("MemoryError", "cannot allocate 12 GiB")
    assert said["raises"] == ("ValueError", "wrong on purpose")
    assert litter(board.store.root) == []
    assert children() == []
    # Failed runs are left alone until they are asked for.
    board.told.clear()
    board.run()
    assert board.told == []


@pytest.mark.slow
def test_killed_workers_change_nothing(data, tmp_path, expected):
    board, killed = Board(data, tmp_path, ("dims", "cerp")), []

    def kill(kind, content):
        if kind == "epoch" and len(killed) < 2 and content["id"] not in killed:
            killed.append(content["id"])
            kill_children()

    board.run(listener=kill)
    assert len(killed) == 2
    assert outcome(tmp_path) == expected
    assert litter(tmp_path) == []


def test_interruption_ends_all_workers_and_the_next_start_goes_on(data, tmp_path, expected):
    board = Board(data, tmp_path, ("dims", "cerp"))

    def interrupt(kind, content):
        if kind == "done" and len(board.events("done")) == 2:  # one is written by now
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        board.run(listener=interrupt)
    assert children() == []
    # At most the arrays of a record that was about to be written, whole, and checkpoints.
    assert {Path(name).suffix for name in litter(tmp_path)} <= {".npz", ".safetensors"}
    again = Board(data, tmp_path, ("dims", "cerp"))
    again.run_here()
    assert 0 < len(again.events("done")) < len(expected)
    assert outcome(tmp_path) == expected
    assert litter(tmp_path) == []


COMMAND = [
    "leaderboard",
    "--suite",
    "suite.toml",
    "--results",
    "r",
    "--reports",
    "p",
    "--workers",
    "2",
]


@pytest.fixture
def temporary():
    """A folder with a short name, because names of sockets have a limit."""
    with tempfile.TemporaryDirectory(prefix="t") as folder:
        yield Path(folder)


def start(data: Path, folder: Path, temporary: Path) -> subprocess.Popen:
    (folder / "suite.toml").write_text(suite_text(("dims", "cerp"), 2))
    return subprocess.Popen(
        [sys.executable, "-m", "bench", *COMMAND, "-d", str(data)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(temporary)},
    )


@pytest.mark.slow
@pytest.mark.parametrize("way", ["kill", "interrupt", "terminate"])
def test_killed_or_interrupted_command_leaves_no_orphan_and_continues(
    way, data, tmp_path, temporary, expected
):
    driver = start(data, tmp_path, temporary)
    try:
        workers = wait_for(lambda: children(driver.pid))
        if way != "interrupt":
            wait_for(lambda: len(list((tmp_path / "r").rglob("*.json"))) > 1)
        if way == "kill":
            driver.kill()
        elif way == "terminate":
            driver.terminate()
        else:
            os.killpg(driver.pid, signal.SIGINT)  # as the terminal does, in the midst of a start
        _, errors = driver.communicate(timeout=60)
        assert psutil.wait_procs(workers, timeout=20)[1] == []
        if way != "kill":
            assert driver.returncode == (130 if way == "interrupt" else 143)
            assert list(temporary.iterdir()) == []
            assert errors.strip() == (
                "Interrupted. What was finished is kept; the same command continues."
            )
    finally:
        driver.kill()
    board = Board(data, tmp_path / "r", ("dims", "cerp"))
    board.run()
    found = outcome(tmp_path / "r")
    assert {r["status"] for r, _ in found.values()} == {"ok"}
    assert found == expected
    assert litter(tmp_path / "r") == []


def test_two_commands_on_one_folder_share_the_work(data, tmp_path, expected):
    ours, theirs = (Board(data, tmp_path, ("dims", "cerp")) for _ in range(2))
    with Worklist([one.run for one in theirs.planned], theirs.store) as other:
        # The other process (this one, under another identity) has two runs and goes on with them.
        mine = [other.next()[0] for _ in range(2)]
        done = threading.Event()
        status: list[int] = []

        def drive():
            status.append(in_child(lambda: ours.run(workers=1)))
            done.set()

        thread = threading.Thread(target=drive)
        thread.start()
        count = len(expected) - len(mine)
        wait_for(lambda: len(list(tmp_path.rglob("*.json"))) == count)
        time.sleep(1.0)
        assert not done.is_set()  # it waits for the two records, and does not write them
        assert len(list(tmp_path.rglob("*.json"))) == count
        part = Board(data, tmp_path.parent / f"{tmp_path.name}-part", ("dims", "cerp"))
        part.planned = [one for one in part.planned if one.run in mine]
        part.run_here()
        for path in part.store.root.rglob("*.*"):
            if path.is_file():
                target = tmp_path / path.relative_to(part.store.root)
                target.parent.mkdir(parents=True, exist_ok=True)
                path.replace(target)
        for run in mine:
            other.close(run)
        thread.join(60)
    assert status == [0]
    assert outcome(tmp_path) == expected
    assert litter(tmp_path) == []


def test_full_disk_stops_the_board_with_one_line_and_fails_no_run(
    data, tmp_path, plugin, monkeypatch
):
    # The plugin is imported here, too; what it puts in place of this is taken back at the end.
    monkeypatch.setattr(np, "savez_compressed", np.savez_compressed)
    plugin.write_text(
        "import errno, os\nimport numpy as np\n"
        "def full(*a, **k): raise OSError(errno.ENOSPC, 'No space left on device')\n"
        "np.savez_compressed = full\n" + PLUGIN
    )
    board = Board(data, tmp_path / "r", ("dims",), 2, (plugin,))
    with pytest.raises(BenchError, match=r"No space left on device; make room or name another"):
        board.run(workers=1)
    assert outcome(tmp_path / "r") == {}
    assert children() == []
    plugin.write_text(PLUGIN)
    board.run(workers=1)  # in a process of its own: the plugin has changed this one
    assert {r["status"] for r, _ in outcome(tmp_path / "r").values()} == {"ok"}
    assert litter(tmp_path / "r") == []


def test_data_that_has_gone_since_the_plan_is_not_missed(tmp_path):
    folder = blocks(tmp_path / "gone")
    board = Board(folder, tmp_path / "r", ("dims",), 1)
    shutil.rmtree(folder)
    board.run(workers=1)
    assert {r["status"] for r, _ in outcome(tmp_path / "r").values()} == {"ok"}


@pytest.mark.slow
def test_workers_that_cannot_start_are_not_tried_for_ever(data, tmp_path, plugin):
    board = Board(data, tmp_path / "r", ("dims",), 1)
    plugin.write_text("import os\nos._exit(3)\n")
    board.plugins = (plugin,)
    with pytest.raises(BenchError, match="10 workers in a row ended with status 3 before"):
        board.run(workers=4)


def test_what_counts_as_getting_on():
    def entry(epoch, phase="train", **more):
        return {"phase": phase, "epoch": epoch, **more}

    attempts = _Attempts()
    assert [attempts.death() for _ in range(3)] == [True, True, False]  # never an epoch
    attempts, alive = _Attempts(), []
    for _ in range(10):  # always the same epoch, then dead
        attempts.epoch(entry(1))
        alive.append(attempts.death())
    assert alive.count(True) == 9
    attempts = _Attempts()
    for epoch in range(30):  # slowly onwards
        attempts.epoch(entry(epoch))
        assert attempts.death()
    attempts.epoch(entry(1, refit=True))
    assert attempts.deaths == 0


def test_record_of_another_process_is_taken_over(data, tmp_path):
    board = Board(data, tmp_path, ("dims",), 1)
    runs = [one.run for one in board.planned]
    with Worklist(runs, Store(tmp_path)) as worklist:
        Board(data, tmp_path, ("dims",), 1).run_here()  # finishes in between
        found = [worklist.next() for _ in runs]
        assert [run for run, _ in found] == runs
        assert [record.status for _, record in found] == ["ok", "ok"]
        assert worklist.next() is None
        assert not worklist
