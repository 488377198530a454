"""Runs of a plan in worker processes; no result is lost when a worker dies.

A worker gets the data without their test part and executes one run after another. It is forked
from a process without data (`bench.judge.forks`), sends JSON over a pipe and exits when the command
has ended. It hands the file of each
run to a judge of its own (`bench.judge`). When a worker dies, another worker continues
its run from the checkpoint. A run whose workers die again and again without progress becomes a
failed record. The pool skips runs that other processes execute on the same results folder
(`bench.runs.worklist`).
"""

from __future__ import annotations

import contextlib
import json
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, BinaryIO, cast

from bench.data import Interactions
from bench.data.cache import cache_root
from bench.data.transfer import write_split
from bench.errors import BenchError
from bench.judge.client import Judges
from bench.judge.forks import environment, forks, undisturbed
from bench.records.store import Store
from bench.runs.spec import Run, encode
from bench.runs.worker import BOARD, JUDGE_DIED, Job, Start, Work, serve
from bench.runs.worklist import Worklist

_DEATHS_WITHOUT_EPOCH = 3  # deaths of workers in a row without an epoch in between
_DEATHS_WITHOUT_PROGRESS = 10  # deaths in a row without an epoch beyond those already reached
_FAILED_STARTS = 10  # workers in a row that die before they are ready
_GRACE = 5.0  # seconds from the request to end until a worker is killed

Listener = Callable[[str, dict[str, Any]], None]
"""Called with ("start", {}), ("epoch", entry) and ("done", record), each with `id` and `worker`."""

Follow = Callable[[str, Any], Sequence[Run]]
"""Called with the id and the record of a run that has ended; returns runs that come after it."""


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    number: int
    run: Run | None = None
    ready: bool = False
    began: float = 0.0  # start of the run, or of the worker if it was not ready then


@dataclass
class _Attempts:
    """Deaths of workers during a run, and the progress of the run.

    Attributes:
        idle: deaths in a row without an epoch.
        deaths: deaths in a row without an epoch beyond those in `reached`.
        advanced: whether the present worker has completed an epoch.
        reached: epochs that any worker has completed.
    """

    idle: int = 0
    deaths: int = 0
    advanced: bool = False
    reached: set[tuple[str, int, bool]] = field(default_factory=set)

    def epoch(self, entry: dict[str, Any]) -> None:
        """Record that a worker has completed an epoch."""
        key = entry["phase"], entry["epoch"], entry.get("refit", False)
        if key not in self.reached:
            self.reached.add(key)
            self.deaths = 0
        self.advanced = True

    def death(self) -> bool:
        """Record the death of a worker; return whether another worker may continue the run."""
        self.idle = 0 if self.advanced else self.idle + 1
        self.deaths, self.advanced = self.deaths + 1, False
        return self.idle < _DEATHS_WITHOUT_EPOCH and self.deaths < _DEATHS_WITHOUT_PROGRESS


def run_all(
    runs: Sequence[Run],
    job: Job,
    data: Interactions,
    workers: int,
    listener: Listener,
    time_limit: float | None = None,
    fail: Callable[[Run, str, str], Any] | None = None,
    work: Work = BOARD,
    follow: Follow | None = None,
) -> None:
    """Execute all runs; return when each has a record.

    Args:
        runs: the runs, in the order of their start.
        job: settings of all workers.
        data: the split; workers get it without its test part.
        workers: number of processes.
        listener: called with progress.
        time_limit: most seconds of a run; a longer one becomes a failed record.
        fail: writes the record of a run that no worker could finish (run, type, message).
        work: the function that a worker applies to a run.
        follow: gives the runs that depend on a run, when that has ended.

    Raises:
        BenchError: the results folder cannot be written, or no worker can start.
        KeyboardInterrupt: raised after all workers have ended; checkpoints stay.
    """
    with contextlib.ExitStack() as stack:
        worklist = stack.enter_context(Worklist(runs, Store(Path(job.results)), job.again))
        split = stack.enter_context(tempfile.NamedTemporaryFile(prefix="bench-", suffix=".npz"))
        write_split(data.blind(), cast(BinaryIO, split))
        split.flush()
        judges = None
        if work.judged:
            judges = stack.enter_context(Judges(data, job.plugins, job.device, job.threads))
        found = (path.stat() for path in map(Path, data.files) if path.exists())
        closed = tuple((one.st_dev, one.st_ino) for one in found)
        folders = tuple(str(cache_root(None) / name) for name in ("parsed", "downloads"))
        start = Start(job, work, split.name, closed, folders, environment())
        _Pool(worklist, start, judges, workers, listener, time_limit, fail, follow).work()


class _Pool:
    """The workers and their runs."""

    def __init__(
        self,
        worklist: Worklist,
        start: Start,
        judges: Judges | None,
        workers: int,
        listener: Listener,
        time_limit: float | None,
        fail: Callable[[Run, str, str], Any] | None,
        follow: Follow | None,
    ) -> None:
        self.worklist, self.start, self.judges, self.workers = worklist, start, judges, workers
        self.listener, self.time_limit, self.fail, self.follow = listener, time_limit, fail, follow
        self.context = forks()
        self.processes: list[_Worker] = []
        self.attempts: dict[str, _Attempts] = {}
        self.next_number = 0
        self.failed_starts = 0

    def work(self) -> None:
        """Execute all runs of the worklist."""
        try:
            while self.worklist or any(worker.run for worker in self.processes):
                self._hand_out()
                if not self.processes:
                    time.sleep(0.5)  # other processes execute all remaining runs
                    continue
                ready = wait([worker.pipe for worker in self.processes], timeout=0.5)
                for worker in list(self.processes):
                    if worker.pipe in ready and not self._receive(worker):
                        self._worker_died(worker)
                    elif self._timed_out(worker):
                        worker.process.kill()
                        self._remove(worker)
                        self._failed(worker, "TimeLimit", f"took longer than {self.time_limit:g} s")
        finally:
            for worker in self.processes:
                worker.pipe.close()  # an idle worker then ends
                if worker.run is not None or not worker.ready:
                    worker.process.terminate()
            for worker in self.processes:
                _end(worker)

    def _hand_out(self) -> None:
        while sum(worker.run is not None for worker in self.processes) < self.workers:
            found = self.worklist.next()
            if found is None:
                return
            run, record = found
            if record is not None:
                self._done(run, -1, {"record": record})
                continue
            idle = [worker for worker in self.processes if worker.run is None]
            worker = idle[0] if idle else self._start()
            worker.run, worker.began = run, time.monotonic()
            self.attempts.setdefault(run.spec.id, _Attempts())
            try:
                worker.pipe.send_bytes(encode(run))
            except OSError:
                pass  # the worker has died; the next read of its pipe shows this
            else:
                self.listener("start", {"id": run.spec.id, "worker": worker.number})

    def _start(self) -> _Worker:
        link = self.judges.connect() if self.judges is not None else None
        worker = _start(self.context, self.start, self.next_number, link)
        self.next_number += 1
        self.processes.append(worker)
        return worker

    def _receive(self, worker: _Worker) -> bool:
        """Receive one message; False when the worker has died."""
        try:
            kind, content = json.loads(worker.pipe.recv_bytes())
        except (EOFError, OSError):
            return False
        if kind == "broken":
            raise BenchError(content["message"])
        if kind == "ready":
            worker.ready, worker.began, self.failed_starts = True, time.monotonic(), 0
            return True
        run = worker.run
        assert run is not None
        if kind == "epoch":
            self.attempts[run.spec.id].epoch(content)
        if kind == "done":
            content["record"] = self.start.work.read(content["record"])
            worker.run = None
            self.worklist.close(run)
            self._done(run, worker.number, content)
        else:
            self.listener(kind, content | {"id": run.spec.id, "worker": worker.number})
        return True

    def _done(self, run: Run, worker: int, content: dict[str, Any]) -> None:
        if self.follow is not None:
            self.worklist.add(self.follow(run.spec.id, content["record"]))
        self.listener("done", content | {"id": run.spec.id, "worker": worker})

    def _timed_out(self, worker: _Worker) -> bool:
        return (
            self.time_limit is not None
            and worker.run is not None
            and worker.ready
            and time.monotonic() - worker.began > self.time_limit
        )

    def _remove(self, worker: _Worker) -> None:
        self.processes.remove(worker)
        _end(worker)

    def _worker_died(self, worker: _Worker) -> None:
        """Put back the run of a dead worker, or fail the run after too many deaths."""
        self._remove(worker)
        code = worker.process.exitcode
        ending = f"signal {signal.Signals(-code).name}" if code and code < 0 else f"status {code}"
        if not worker.ready:
            self.failed_starts += 1
            if self.failed_starts == _FAILED_STARTS:
                raise BenchError(
                    f"{_FAILED_STARTS} workers in a row ended with {ending} before they could"
                    " start; free memory, or ask for fewer with --workers"
                )
        if worker.run is None:
            return
        if not worker.ready or self.attempts[worker.run.spec.id].death():
            self.worklist.put_back(worker.run)
            return
        hint = "; out of memory?" if code == -signal.SIGKILL else ""
        if code == JUDGE_DIED:
            hint = ", because the process that judges its file had ended; out of memory?"
        self._failed(worker, "WorkerDied", f"its process ended with {ending}{hint}")

    def _failed(self, worker: _Worker, kind: str, message: str) -> None:
        assert worker.run is not None
        record = self.fail(worker.run, kind, message) if self.fail is not None else None
        self.worklist.close(worker.run)
        if record is not None:
            self._done(worker.run, worker.number, {"record": record})


def _start(context: Any, start: Start, number: int, link: Connection | None) -> _Worker:
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, start, link), daemon=True)
    try:
        with undisturbed():
            process.start()
    finally:
        theirs.close()
        if link is not None:
            link.close()
    return _Worker(process, ours, number)


def _end(worker: _Worker) -> None:
    worker.process.join(_GRACE)
    if worker.process.is_alive():
        worker.process.kill()
        worker.process.join()
    worker.pipe.close()
