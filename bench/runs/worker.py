"""What a worker process of a pool is told, and what it does."""

from __future__ import annotations

import gc
import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.data import Interactions
from bench.errors import BenchError
from bench.judge.model import Judge, JudgeDied
from bench.method import Method
from bench.records.schema import Record
from bench.records.store import Store
from bench.runs.execute import execute
from bench.runs.spec import Run, decode

JUDGE_DIED = 70
"""Exit status of a worker whose judge has ended."""

Send = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True)
class Job:
    """Settings of all workers of a pool.

    Attributes:
        results: folder of the records.
        plugins: method files.
        device: `cpu`, `cuda`, ...
        threads: threads of torch in each worker.
        parallel: whether several workers share the machine.
        keep: whether the files of runs stay beside their records.
        again: whether runs that have a record are executed, too.
    """

    results: str
    plugins: tuple[str, ...]
    device: str
    threads: int
    parallel: bool
    keep: bool = False
    again: bool = False


@dataclass(frozen=True)
class Work:
    """The function that a worker applies to a run.

    Attributes:
        do: (run, data, methods, store, job, callback for epochs, judge) -> the result as a JSON
            mapping; a function of a module, because it is pickled by its name.
        read: returns the result from the JSON mapping.
        judged: whether `do` needs a judge.
    """

    do: Callable[
        [
            Run,
            Interactions,
            dict[str, type[Method]],
            Store,
            Job,
            Callable[[dict[str, Any]], None],
            Judge | None,
        ],
        dict[str, Any],
    ]
    read: Callable[[dict[str, Any]], Any]
    judged: bool = True


def _board_run(
    run: Run,
    data: Interactions,
    methods: dict[str, type[Method]],
    store: Store,
    job: Job,
    report: Callable[[dict[str, Any]], None],
    judge: Judge | None,
) -> dict[str, Any]:
    """Execute a run of a board and store its record."""
    assert judge is not None
    record = execute(run, data, methods, store, judge, job.device, job.parallel, report, job.keep)
    return record.short().stored()


BOARD = Work(_board_run, Record.model_validate)
"""Runs of a board."""


@dataclass(frozen=True)
class Start:
    """What a worker is started with.

    Attributes:
        job: settings of all workers.
        work: the function that is applied to a run.
        split: path of the data, without their test part.
        closed: device and inode of files that methods must not read.
        folders: of other copies of the data.
        environment: of the command, without paths of data sets.
    """

    job: Job
    work: Work
    split: str
    closed: tuple[tuple[int, int], ...]
    folders: tuple[str, ...]
    environment: dict[str, str]


def serve(pipe: Connection, start: Start, link: Connection | None) -> None:
    """Main function of a worker process."""
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    os.environ.clear()  # that of the process that this one was forked from
    os.environ.update(start.environment)

    def send(kind: str, content: dict[str, Any]) -> None:
        try:
            pipe.send_bytes(json.dumps([kind, content]).encode())
        except OSError:
            os._exit(1)  # the parent has ended, which must not become a failure of the run

    try:
        _serve(pipe, start, link, send)
    except JudgeDied:
        os._exit(JUDGE_DIED)  # another worker with another judge continues the run
    except BenchError as error:
        send("broken", {"message": str(error)})


def _serve(pipe: Connection, start: Start, link: Connection | None, send: Send) -> None:
    """Execute one run after another until the parent closes the pipe."""
    import torch

    from bench.data.transfer import unpack_split
    from bench.engine.malloc import keep_freed_memory, memory_returner
    from bench.judge.client import Seat
    from bench.judge.guard import guard_training
    from bench.method.registry import find_methods
    from bench.runs.environment import environment

    job = start.job
    keep_freed_memory()
    return_memory = memory_returner()
    torch.set_num_threads(job.threads)
    try:
        packed = Path(start.split).read_bytes()
    except FileNotFoundError:
        return  # the command has ended since, with its files
    data = unpack_split(packed)
    judge = Seat(link) if link is not None else None
    environment(job.device)  # asks other programs, once
    guard_training(start.closed, start.folders)
    methods = find_methods([Path(plugin) for plugin in job.plugins])
    gc.freeze()  # what is loaded stays, so that each collection looks at the objects of runs alone

    send("ready", {})
    while True:
        try:
            text = pipe.recv_bytes()
        except (EOFError, OSError):
            return
        run = decode(text)
        store = Store(Path(job.results))

        def report(entry: dict[str, Any]) -> None:
            send("epoch", entry)

        send("done", {"record": start.work.do(run, data, methods, store, job, report, judge)})
        return_memory()


def _exit_with_parent() -> None:
    """Exit once the command has ended, so that no worker stays when a board is killed."""
    command = parent_process()
    if command is not None:
        command.join()
        os._exit(1)
