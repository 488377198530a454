"""Runs of a plan in worker processes: one that dies takes nothing with it.

A worker loads the data once and takes one run after another. It is started afresh (not forked),
speaks JSON over a pipe and ends by itself when its parent is gone. A run whose worker died is
given to another one, which continues from the checkpoint; a run that kills its workers without
getting on becomes a failed record. Runs that other processes do on the same results folder are
left to them (`bench.runs.worklist`).
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from bench.data import Interactions
from bench.errors import BenchError
from bench.method import Method
from bench.records.schema import Record
from bench.records.store import Store
from bench.runs.execute import execute
from bench.runs.spec import Run, decode, encode
from bench.runs.worklist import Worklist

_TRIES = 3  # deaths of workers in a row, without an epoch in between
_DEATHS = 10  # deaths in a row without an epoch that no worker has reached before
_STARTS = 10  # workers in a row that die before they are ready
_LATE = 5.0  # seconds that a worker has to end before it is killed

Listener = Callable[[str, dict[str, Any]], None]
"""Told ("epoch", entry), ("done", record) and ("start", {}), each with `id` and `worker`."""


@dataclass(frozen=True)
class Job:
    """What every worker of a pool is told at its start.

    Attributes:
        dataset, data_dir: arguments of `bench.data.load`.
        results: folder of the records.
        plugins: method files.
        device: `cpu`, `cuda`, ...
        threads: of torch, in each worker.
        parallel: whether other workers share the machine.
    """

    dataset: str
    data_dir: str | None
    results: str
    plugins: tuple[str, ...]
    device: str
    threads: int
    parallel: bool


@dataclass(frozen=True)
class Work:
    """What a worker does with a run.

    Attributes:
        do: (run, data, methods, store, job, told of epochs) -> its result as JSON holds it; a
            function of a module, since it is handed to other processes by its name.
        read: the result from JSON.
    """

    do: Callable[
        [Run, Interactions, dict[str, type[Method]], Store, Job, Callable[[dict[str, Any]], None]],
        dict[str, Any],
    ]
    read: Callable[[dict[str, Any]], Any]


def _board_run(
    run: Run,
    data: Interactions,
    methods: dict[str, type[Method]],
    store: Store,
    job: Job,
    report: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """A run of a board, which stores its record."""
    record = execute(run, data, methods, store, job.device, job.parallel, report)
    return record.short().stored()


BOARD = Work(_board_run, Record.model_validate)
"""Runs of a board."""


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    number: int
    run: Run | None = None
    ready: bool = False
    began: float = 0.0  # of the run, or of the worker's readiness


@dataclass
class _Tries:
    """How often workers died with a run, and how far it got.

    Attributes:
        idle: deaths in a row without an epoch; deaths: without one that was not reached before.
        moved: whether the worker that has it has completed an epoch.
        reached: epochs that any worker has completed.
    """

    idle: int = 0
    deaths: int = 0
    moved: bool = False
    reached: set[tuple[str, int, bool]] = field(default_factory=set)

    def epoch(self, entry: dict[str, Any]) -> None:
        """A worker has completed one."""
        key = entry["phase"], entry["epoch"], entry.get("refit", False)
        if key not in self.reached:
            self.reached.add(key)
            self.deaths = 0
        self.moved = True

    def death(self) -> bool:
        """A worker died with the run; whether another one may have it."""
        self.idle = 0 if self.moved else self.idle + 1
        self.deaths, self.moved = self.deaths + 1, False
        return self.idle < _TRIES and self.deaths < _DEATHS


def run_all(
    runs: Sequence[Run],
    job: Job,
    workers: int,
    listener: Listener,
    time_limit: float | None = None,
    fail: Callable[[Run, str, str], Any] | None = None,
    work: Work = BOARD,
) -> None:
    """Executes all runs; returns when each has a record.

    Args:
        runs: what to do, in this order.
        job: what the workers need.
        workers: processes.
        listener: told of progress.
        time_limit: seconds a run may take; a longer one becomes a failed record.
        fail: writes the record of a run that no worker could finish (run, type, message).
        work: what a worker does with a run.

    Raises:
        BenchError: the results folder cannot be written, or no worker can start.
        KeyboardInterrupt: after all workers have ended; checkpoints stay.
    """
    with Worklist(runs, Store(Path(job.results))) as worklist:
        _Pool(worklist, job, workers, listener, time_limit, fail, work).work()


class _Pool:
    """The workers, and which run each of them has."""

    def __init__(
        self,
        worklist: Worklist,
        job: Job,
        workers: int,
        listener: Listener,
        time_limit: float | None,
        fail: Callable[[Run, str, str], Any] | None,
        task: Work,
    ) -> None:
        self.worklist, self.job, self.workers, self.task = worklist, job, workers, task
        self.listener, self.time_limit, self.fail = listener, time_limit, fail
        self.context = multiprocessing.get_context("spawn")
        self.processes: list[_Worker] = []
        self.tries: dict[str, _Tries] = {}
        self.started = 0
        self.unready = 0

    def work(self) -> None:
        """Until nothing is left."""
        try:
            while self.worklist or any(worker.run for worker in self.processes):
                self._hand_out()
                if not self.processes:
                    time.sleep(0.5)  # other processes have all that is left
                    continue
                ready = wait([worker.pipe for worker in self.processes], timeout=0.5)
                for worker in list(self.processes):
                    if worker.pipe in ready and not self._listen(worker):
                        self._take_over(worker)
                    elif self._late(worker):
                        worker.process.kill()
                        self._lose(worker)
                        self._failed(worker, "TimeLimit", f"took longer than {self.time_limit:g} s")
        finally:
            for worker in self.processes:
                worker.pipe.close()  # an idle worker ends by itself
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
                self.listener("done", {"id": run.spec.id, "worker": -1, "record": record})
                continue
            idle = [worker for worker in self.processes if worker.run is None]
            worker = idle[0] if idle else self._start()
            worker.run, worker.began = run, time.monotonic()
            self.tries.setdefault(run.spec.id, _Tries())
            try:
                worker.pipe.send_bytes(encode(run))
            except OSError:
                pass  # it has died; its end of the pipe will say so
            else:
                self.listener("start", {"id": run.spec.id, "worker": worker.number})

    def _start(self) -> _Worker:
        worker = _start(self.context, self.job, self.task, self.started)
        self.started += 1
        self.processes.append(worker)
        return worker

    def _listen(self, worker: _Worker) -> bool:
        """Takes one message; False when the worker is gone."""
        try:
            kind, content = json.loads(worker.pipe.recv_bytes())
        except (EOFError, OSError):
            return False
        if kind == "broken":
            raise BenchError(content["message"])
        if kind == "ready":
            worker.ready, worker.began, self.unready = True, time.monotonic(), 0
            return True
        run = worker.run
        assert run is not None
        if kind == "epoch":
            self.tries[run.spec.id].epoch(content)
        if kind == "done":
            content["record"] = self.task.read(content["record"])
            worker.run = None
            self.worklist.close(run)
        self.listener(kind, content | {"id": run.spec.id, "worker": worker.number})
        return True

    def _late(self, worker: _Worker) -> bool:
        return (
            self.time_limit is not None
            and worker.run is not None
            and worker.ready
            and time.monotonic() - worker.began > self.time_limit
        )

    def _lose(self, worker: _Worker) -> None:
        self.processes.remove(worker)
        _end(worker)

    def _take_over(self, worker: _Worker) -> None:
        """A worker has died: its run goes to another one, unless it is to blame."""
        self._lose(worker)
        code = worker.process.exitcode
        how = f"signal {signal.Signals(-code).name}" if code and code < 0 else f"status {code}"
        if not worker.ready:
            self.unready += 1
            if self.unready == _STARTS:
                raise BenchError(
                    f"{_STARTS} workers in a row ended with {how} before they could start; free"
                    " memory, or ask for fewer with --workers"
                )
        if worker.run is None:
            return
        if not worker.ready or self.tries[worker.run.spec.id].death():
            self.worklist.again(worker.run)
            return
        hint = "; out of memory?" if code == -signal.SIGKILL else ""
        self._failed(worker, "WorkerDied", f"its process ended with {how}{hint}")

    def _failed(self, worker: _Worker, kind: str, message: str) -> None:
        assert worker.run is not None
        record = self.fail(worker.run, kind, message) if self.fail is not None else None
        self.worklist.close(worker.run)
        if record is not None:
            content = {"id": worker.run.spec.id, "worker": worker.number, "record": record}
            self.listener("done", content)


def _start(context: Any, job: Job, task: Work, number: int) -> _Worker:
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, job, task, os.getpid()), daemon=True)
    # Ctrl-C is the parent's to handle; a worker inherits that it is blocked, from its first moment.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    return _Worker(process, ours, number)


def _end(worker: _Worker) -> None:
    worker.process.join(_LATE)
    if worker.process.is_alive():
        worker.process.kill()
        worker.process.join()
    worker.pipe.close()


def _work(pipe: Connection, job: Job, task: Work, parent: int) -> None:
    """The life of a worker."""
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()

    def say(kind: str, content: dict[str, Any]) -> None:
        try:
            pipe.send_bytes(json.dumps([kind, content]).encode())
        except OSError:
            os._exit(1)  # the parent is gone; nothing here must take that for a failure of the run

    try:
        _serve(pipe, job, task, say)
    except BenchError as error:
        say("broken", {"message": str(error)})


def _serve(pipe: Connection, job: Job, work: Work, say: Listener) -> None:
    """Takes one run after another until the parent hangs up."""
    import torch

    from bench.data import load
    from bench.engine.malloc import keep_freed_memory
    from bench.method.registry import find_methods

    keep_freed_memory()
    torch.set_num_threads(job.threads)
    data = load(job.dataset, data_dir=Path(job.data_dir) if job.data_dir else None)
    methods = find_methods([Path(plugin) for plugin in job.plugins])

    say("ready", {})
    while True:
        try:
            text = pipe.recv_bytes()
        except (EOFError, OSError):
            return
        run = decode(text)
        store = Store(Path(job.results))

        def report(entry: dict[str, Any]) -> None:
            say("epoch", entry)

        say("done", {"record": work.do(run, data, methods, store, job, report)})


def _leave_with(parent: int) -> None:
    """Ends the process once its parent is gone, so that a killed board leaves no orphan."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
