"""Runs of a plan in worker processes: one that dies takes nothing with it.

A worker loads the data once and takes one run after another. It is started afresh (not forked),
speaks JSON over a pipe and ends by itself when its parent is gone. A run whose worker died is
given to another one, which continues from the checkpoint; a run that kills its workers without
getting on becomes a failed record.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from bench.execute import Run

_TRIES = 3  # deaths of workers in a row, without an epoch in between
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
        bars: for trials of tuning, what prunes them by method; None for the runs of a board.
    """

    dataset: str
    data_dir: str | None
    results: str
    plugins: tuple[str, ...]
    device: str
    threads: int
    parallel: bool
    bars: dict[str, tuple[float, ...]] | None = None


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    number: int
    run: Run | None = None
    began: float = 0.0


@dataclass
class _Tries:
    deaths: int = 0
    epochs: int = 0
    last: list[float] = field(default_factory=list)


def run_all(
    runs: Sequence[Run],
    job: Job,
    workers: int,
    listener: Listener,
    time_limit: float | None = None,
    fail: Callable[[Run, str, str], dict[str, Any]] | None = None,
) -> None:
    """Carries out all runs; returns when each has a record.

    Args:
        runs: what to do, in this order.
        job: what the workers need.
        workers: processes.
        listener: told of progress.
        time_limit: seconds a run may take; a longer one becomes a failed record.
        fail: writes the record of a run that no worker could finish (run, type, message).

    Raises:
        KeyboardInterrupt: after all workers have ended; checkpoints stay.
    """
    waiting, tries = deque(runs), {run.spec.id: _Tries() for run in runs}
    context = multiprocessing.get_context("spawn")
    crew: list[_Worker] = []
    started = 0
    try:
        while waiting or any(worker.run for worker in crew):
            while waiting and len(crew) < min(
                workers, len(waiting) + sum(w.run is not None for w in crew)
            ):
                crew.append(_start(context, job, started))
                started += 1
            for worker in crew:
                if worker.run is None and waiting:
                    worker.run, worker.began = waiting.popleft(), time.monotonic()
                    try:
                        worker.pipe.send_bytes(_encode(worker.run))
                    except OSError:
                        pass  # it has died; its end of the pipe says so below
                    else:
                        listener("start", {"id": worker.run.spec.id, "worker": worker.number})
            ready = wait([worker.pipe for worker in crew], timeout=0.5)
            for worker in list(crew):
                if worker.pipe in ready and not _listen(worker, tries, listener):
                    crew.remove(worker)
                    _end(worker)
                    _again_or_fail(worker, waiting, tries, listener, fail)
                elif (
                    time_limit
                    and worker.run is not None
                    and time.monotonic() - worker.began > time_limit
                ):
                    crew.remove(worker)
                    worker.process.kill()
                    _end(worker)
                    _failed(
                        worker, "TimeLimit", f"took longer than {time_limit:g} s", listener, fail
                    )
    finally:
        for worker in crew:
            worker.pipe.close()  # an idle worker ends by itself
            if worker.run is not None:
                worker.process.terminate()
        for worker in crew:
            _end(worker)


def _start(context: Any, job: Job, number: int) -> _Worker:
    ours, theirs = context.Pipe()
    process = context.Process(
        target=_work, args=(theirs, json.dumps(asdict(job)), os.getpid()), daemon=True
    )
    process.start()
    theirs.close()
    return _Worker(process, ours, number)


def _end(worker: _Worker) -> None:
    worker.process.join(_LATE)
    if worker.process.is_alive():
        worker.process.kill()
        worker.process.join()
    worker.pipe.close()


def _listen(worker: _Worker, tries: dict[str, _Tries], listener: Listener) -> bool:
    """Takes one message; False when the worker is gone."""
    try:
        kind, content = json.loads(worker.pipe.recv_bytes())
    except (EOFError, OSError):
        return False
    if worker.run is not None:
        content |= {"id": worker.run.spec.id, "worker": worker.number}
        if kind == "epoch":
            tries[worker.run.spec.id].epochs += 1
    if kind == "done":
        worker.run = None
    listener(kind, content)
    return True


def _again_or_fail(
    worker: _Worker,
    waiting: deque[Run],
    tries: dict[str, _Tries],
    listener: Listener,
    fail: Callable[[Run, str, str], dict[str, Any]] | None,
) -> None:
    if worker.run is None:
        return
    record = tries[worker.run.spec.id]
    record.deaths = 1 if record.epochs else record.deaths + 1
    record.epochs = 0
    if record.deaths < _TRIES:
        waiting.appendleft(worker.run)
        return
    code = worker.process.exitcode
    how = f"signal {signal.Signals(-code).name}" if code and code < 0 else f"status {code}"
    hint = "; out of memory?" if code == -signal.SIGKILL else ""
    _failed(worker, "WorkerDied", f"its process ended with {how}{hint}", listener, fail)


def _failed(
    worker: _Worker,
    kind: str,
    message: str,
    listener: Listener,
    fail: Callable[[Run, str, str], dict[str, Any]] | None,
) -> None:
    assert worker.run is not None
    if fail is not None:
        record = fail(worker.run, kind, message)
        listener("done", {"id": worker.run.spec.id, "worker": worker.number, "record": record})


def _encode(run: Run) -> bytes:
    return json.dumps(
        {
            "spec": run.spec.canonical(),
            "label": run.label,
            "fraction": run.fraction,
            "command": run.command,
        }
    ).encode()


def _work(pipe: Connection, described: str, parent: int) -> None:
    """The life of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    import torch

    from bench.data import load
    from bench.execute import execute
    from bench.registry import find_methods
    from bench.spec import RunSpec
    from bench.store import Store
    from bench.tune.trial import trial

    job = Job(**json.loads(described))
    torch.set_num_threads(job.threads)
    data = load(job.dataset, data_dir=Path(job.data_dir) if job.data_dir else None)
    methods = find_methods([Path(plugin) for plugin in job.plugins])

    def say(kind: str, content: dict[str, Any]) -> None:
        pipe.send_bytes(json.dumps([kind, content]).encode())

    while True:
        try:
            task = json.loads(pipe.recv_bytes())
        except (EOFError, OSError):
            return
        run = Run(
            RunSpec.model_validate(task["spec"]), task["label"], task["fraction"], task["command"]
        )
        store = Store(Path(job.results))

        def report(entry: dict[str, Any]) -> None:
            say("epoch", entry)

        if job.bars is None:
            record = execute(run, data, methods, store, job.device, job.parallel, report)
        else:
            bars = job.bars.get(run.spec.method.name, ())
            record = trial(run, data, methods, store, job.device, report, bars)
        say("done", {"record": record | {"history": []}})


def _leave_with(parent: int) -> None:
    """Ends the process once its parent is gone, so that a killed board leaves no orphan."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
