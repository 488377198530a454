"""Boards on a dask cluster: real schedulers and workers, one of them killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.faults import Board, blocks, litter, outcome, wait_for

from bench.data.transfer import pack_split, unpack_split
from bench.errors import BenchError
from bench.judge.model import JudgeDied

distributed = pytest.importorskip("distributed")
cluster = pytest.importorskip("bench.runs.cluster")

METHODS = ("dims", "cerp")
SLOW = '''
import time
from bench.methods.cerp import CERP as Original

class CERP(Original):
    """The same numbers, in time for a test to kill its worker."""
    name = title = "slow"
    def penalty(self, rows, progress):
        time.sleep(0.02)
        return super().penalty(rows, progress)
'''


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return blocks(tmp_path_factory.mktemp("data") / "blocks")


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    path = tmp_path_factory.mktemp("plugin") / "slow.py"
    path.write_text(SLOW)
    return path


@pytest.fixture(scope="module")
def expected(data, plugin, tmp_path_factory):
    """What the same plan comes to without a cluster."""
    board = Board(data, tmp_path_factory.mktemp("local"), (*METHODS, "slow"), 2, (plugin,))
    board.run_here()
    return outcome(board.store.root)


class Machines:
    """A scheduler and its workers, each a process of its own with a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.workers = folder, []
        self.file = folder / "scheduler.json"
        self.scheduler = self._start(
            "scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(self.file)
        )
        wait_for(self.file.exists)
        self.address = json.loads(self.file.read_text())["address"]

    def worker(self, *options: str, nanny: bool = False) -> None:
        kind = "--nanny" if nanny else "--no-nanny"
        own = self.folder / f"worker{len(self.workers)}"
        own.mkdir()
        flags = ("--no-dashboard", "--local-directory", str(own), "--death-timeout", "60")
        options = options or ("--nthreads", "1")
        self.workers.append(self._start("worker", self.address, kind, *flags, *options))

    def _start(self, *words: str) -> subprocess.Popen:
        log = (self.folder / f"{words[0]}.log").open("ab")
        return subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_" + words[0], *words[1:]],
            stdout=log,
            stderr=log,
            cwd=self.folder,  # where nothing of the checkout or the data lies
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def stop(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@pytest.fixture
def machines(tmp_path):
    made = Machines(tmp_path)
    yield made
    made.stop()


def test_two_workers_one_killed_with_runs_in_flight(data, plugin, tmp_path, machines, expected):
    machines.worker()
    machines.worker()
    board = Board(data, tmp_path / "r", (*METHODS, "slow"), 2, (plugin,))
    board.path = tmp_path / "elsewhere"  # workers get the data from the driver
    killed = []

    with cluster.connect(str(machines.file), 2) as client:
        client.wait_for_workers(2, timeout=60)
        pids = client.run(os.getpid)

        def kill(kind, content):
            if kind != "epoch" or killed or content["phase"] != "retrain":
                return
            for address, keys in client.processing().items():
                if any(content["id"] in key for key in keys):
                    killed.append(content["id"])
                    os.kill(pids[address], signal.SIGKILL)

        board.run(listener=kill, cluster=machines.address)
        assert len(client.nthreads()) == 1
    assert len(killed) == 1
    assert outcome(tmp_path / "r") == expected
    assert litter(tmp_path / "r") == []
    assert len({event["worker"] for event in board.events("start")}) == 2
    # It ran twice: the second time it was begun anew, elsewhere.
    where = [event["worker"] for event in board.events("start") if event["id"] == killed[0]]
    assert len(where) == len(set(where)) == 2


def test_command_line_on_a_local_cluster(data, plugin, tmp_path, expected):
    from support.faults import suite_text

    (tmp_path / "suite.toml").write_text(suite_text((*METHODS, "slow"), 2))
    words = "leaderboard --suite suite.toml --results r --reports p --cluster local --workers 1"
    done = subprocess.run(
        [sys.executable, "-m", "bench", *words.split(), "-d", data, "--plugin", plugin],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert outcome(tmp_path / "r") == expected
    assert litter(tmp_path / "r") == []


def test_data_are_unpacked_once_a_worker_and_runs_leave_nothing(data, tmp_path, monkeypatch):
    """In this process: what a worker does with two runs."""
    board = Board(data, tmp_path / "r")
    calls = []
    monkeypatch.setattr(
        cluster, "unpack_split", lambda c, f=cluster.unpack_split: calls.append(c) or f(c)
    )
    state = cluster.WorkerState(pack_split(board.data), {}, board.job())

    class Worker:
        address = "tcp://here:1"
        local_directory = str(tmp_path)
        said: list = []  # noqa: RUF012

        def log_event(self, topic, message):
            self.said.append((topic, json.loads(message)["kind"]))

    worker = Worker()
    state.setup(worker)
    for one in board.planned:
        problem, record, files = state.do(cluster.encode(one.run))
        assert problem is None
        assert json.loads(record)["id"] == one.run.spec.id
        assert set(files) == {".npz"}
    assert len(calls) == 1
    assert {topic for topic, _ in worker.said} == {state.name}
    assert [p for p in state._folder.rglob("*") if p.is_file()] == []
    state.teardown(worker)
    assert not state._folder.exists()


class Here:
    """A client whose tasks are done at once and in this process, as one worker would."""

    status, address = "running", "tcp://here:1"

    def __init__(self, folder: Path) -> None:
        self.local_directory = str(folder)

    def nthreads(self):
        return {self.address: 1}

    def register_plugin(self, state, name):
        self.state = state
        state.setup(self)

    def unregister_worker_plugin(self, name):
        self.state.teardown(self)

    def submit(self, function, topic, task, **options):
        return Done(self.state.do(task))

    def log_event(self, topic, message): ...
    def subscribe_topic(self, topic, handler): ...
    def cancel(self, tasks, force): ...


class Done:
    """A task that has ended."""

    status = "finished"

    def __init__(self, answer) -> None:
        self.answer = answer

    def result(self):
        return self.answer

    def add_done_callback(self, call):
        call(self)


def ended_by(error, board, folder, monkeypatch) -> list[str]:
    """Carry a board out where the second of its runs raises an error; the runs that were begun."""
    begun, executed = [], cluster.WorkerState._executed

    def execute(state, run):
        begun.append(run.spec.id)
        if run.spec.id == board.planned[1].run.spec.id:
            raise error
        return executed(state, run)

    monkeypatch.setattr(cluster.WorkerState, "_executed", execute)
    monkeypatch.setattr(cluster, "connect", lambda *_: contextlib.nullcontext(Here(folder)))
    board.run(cluster="here")
    return begun


def test_a_run_that_ends_its_judge_fails_and_the_rest_goes_on(data, tmp_path, monkeypatch):
    board = Board(data, tmp_path / "r", ("dims",), 2)
    begun = ended_by(JudgeDied("it has ended"), board, tmp_path, monkeypatch)
    first, bad, last = (one.run.spec.id for one in board.planned)
    assert begun == [first, bad, last, bad, bad]
    records = {run: record for run, (record, _) in outcome(tmp_path / "r").items()}
    assert {run: one["status"] for run, one in records.items()} == {
        first: "ok",
        bad: "failed",
        last: "ok",
    }
    assert records[bad]["error"]["type"] == "WorkerDied"
    assert records[bad]["error"]["message"] == (
        "the process that judges its file had ended; out of memory?"
    )
    assert litter(tmp_path / "r") == []


def test_a_worker_that_cannot_work_ends_the_board(data, tmp_path, monkeypatch):
    board = Board(data, tmp_path / "r", ("dims",), 2)
    with pytest.raises(BenchError, match="worker tcp://here:1: no room"):
        ended_by(BenchError("no room"), board, tmp_path, monkeypatch)
    assert "failed" not in {r["status"] for r, _ in outcome(tmp_path / "r").values()}


@pytest.mark.parametrize("differs", ["run", "spec"])
def test_a_record_of_another_run_ends_the_board(differs, data, tmp_path, monkeypatch):
    """A worker of another version may come to another id, or to another spec under the same."""
    board = Board(data, tmp_path / "r", ("dims",), 1)
    other, run = (one.run for one in board.planned)
    executed = cluster.WorkerState._executed

    def execute(state, _):
        text, files = executed(state, other if differs == "run" else run)
        raw = json.loads(text)
        if differs == "spec":
            raw["spec"]["seed"] += 1
        return json.dumps(raw).encode(), files

    board.planned = board.planned[1:]
    monkeypatch.setattr(cluster.WorkerState, "_executed", execute)
    monkeypatch.setattr(cluster, "connect", lambda *_: contextlib.nullcontext(Here(tmp_path)))
    with pytest.raises(BenchError, match=r"a worker sent the record .* install the same version"):
        board.run(cluster="here")
    assert outcome(tmp_path / "r") == {}


def test_files_that_are_to_be_kept_come_to_the_results(data, tmp_path, monkeypatch):
    board = Board(data, tmp_path / "r", ("dims",), 1)
    job = replace(board.job(), keep=True)
    monkeypatch.setattr(board, "job", lambda: job)
    monkeypatch.setattr(cluster, "connect", lambda *_: contextlib.nullcontext(Here(tmp_path)))
    board.run(cluster="here")
    spec = board.planned[1].run.spec
    kept = board.store.kept(spec, spec.id, ".safetensors")
    record = json.loads(board.store.path(spec, spec.id).read_text())
    assert kept.stat().st_size == record["size"]["bytes"]


def test_split_travels_whole(data):
    before = Board(data, data.parent / "unused").data
    after = unpack_split(pack_split(before))
    assert after.fingerprint == before.fingerprint == unpack_split(pack_split(after)).fingerprint
    for part in ("train", "valid", "test"):
        mine, theirs = getattr(before, part), getattr(after, part)
        assert np.array_equal(mine.indptr, theirs.indptr)
        assert mine.indices.dtype == theirs.indices.dtype
        assert mine.fingerprint() == theirs.fingerprint()


@pytest.mark.parametrize("address", ["nowhere", "tcp://127.0.0.1:1", "127.0.0.1", "ftp://x:1"])
def test_no_scheduler_is_one_line(address, data, tmp_path, monkeypatch):
    monkeypatch.setattr(
        cluster.distributed,
        "Client",
        lambda *a, c=distributed.Client, **k: c(*a, **{**k, "timeout": 0.5}),
    )
    with pytest.raises(BenchError) as caught:
        Board(data, tmp_path).run(cluster=address)
    assert str(caught.value).startswith(f"--cluster {address}: no scheduler answers")
    assert "dask scheduler" in str(caught.value)


def test_without_dask_the_remedy_is_named(data, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "bench.runs.cluster", None)
    import bench.runs

    monkeypatch.delattr(bench.runs, "cluster", raising=False)
    with pytest.raises(BenchError, match=r"not installed; pip install '.*\[cluster\]'"):
        Board(data, tmp_path).run(cluster="local")


def test_workers_that_share_a_process_are_refused(data, tmp_path, machines):
    machines.worker("--nthreads", "2")
    with cluster.connect(machines.address, 1) as client:
        client.wait_for_workers(1, timeout=60)
    with pytest.raises(BenchError, match="start them with --nthreads 1"):
        Board(data, tmp_path / "r").run(cluster=machines.address)


@pytest.mark.slow
def test_run_that_takes_too_long_fails_and_its_worker_is_started_anew(data, tmp_path, machines):
    plugin = tmp_path / "hangs.py"
    plugin.write_text(SLOW.replace("0.02", "3600"))
    machines.worker("--nthreads", "1", nanny=True)
    board = Board(data, tmp_path / "r", ("slow", "dims"), 1, (plugin,))
    board.run(cluster=machines.address, time_limit=20.0)
    found = {r["method"]["name"]: r for r, _ in outcome(tmp_path / "r").values()}
    assert {name: r["status"] for name, r in found.items()} == {
        "slow": "failed",
        "dims": "ok",
        "popularity": "ok",
    }
    assert found["slow"]["error"]["type"] == "TimeLimit"
    assert litter(tmp_path / "r") == []


@pytest.mark.slow
def test_run_that_kills_its_workers_fails(data, tmp_path):
    plugin = tmp_path / "fatal.py"
    plugin.write_text(SLOW.replace("time.sleep(0.02)", "import os; os._exit(9)"))
    board = Board(data, tmp_path / "r", ("slow", "dims"), 1, (plugin,))
    board.run(cluster="local")
    found = {r["method"]["name"]: r for r, _ in outcome(tmp_path / "r").values()}
    assert found["dims"]["status"] == "ok"
    assert found["slow"]["error"]["type"] == "WorkerDied"
    assert "dask workers were lost during the run" in found["slow"]["error"]["message"]


@pytest.mark.slow
def test_scheduler_that_goes_is_one_line_and_what_was_done_is_kept(
    data, plugin, tmp_path, machines, expected
):
    machines.worker()
    board = Board(data, tmp_path / "r", (*METHODS, "slow"), 2, (plugin,))

    def end(kind, content):
        if kind == "done" and machines.scheduler.poll() is None:
            machines.scheduler.kill()

    began = time.monotonic()
    with pytest.raises(BenchError, match="the scheduler has ended; finished runs are kept"):
        board.run(listener=end, cluster=machines.address)
    assert time.monotonic() - began < 120
    done = outcome(tmp_path / "r")
    assert 0 < len(done) < len(expected)
    board.run()
    assert outcome(tmp_path / "r") == expected
    assert litter(tmp_path / "r") == []
