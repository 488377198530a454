"""Runs of a plan on a dask cluster, without a shared file system; machines may fail.

The driver sends the split (a few MB) and the plugin files to the scheduler. The scheduler sends
them to every worker, also to a worker that joins later. A task is a run as text. Its result is the
record and the per-user arrays in the format of the disk. Only the driver knows the results folder,
and it writes them there. When a worker is lost, another worker starts its run anew.

Dask pickles its messages, so that a cluster must belong to its user: see `docs/cluster.md`.
Records are never pickled.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import queue
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import distributed
import numpy as np
import torch

from bench.data import Interactions
from bench.data.transfer import pack_split, unpack_split
from bench.engine.malloc import keep_freed_memory, memory_returner
from bench.errors import BenchError
from bench.judge.client import Judges, Seat
from bench.judge.model import JudgeDied
from bench.method import Method
from bench.method.registry import find_methods
from bench.records.scan import check_record
from bench.records.store import KEPT, Store
from bench.runs.parcel import sources
from bench.runs.pool import BOARD, Follow, Job, Listener, Work
from bench.runs.spec import Run, decode, encode
from bench.runs.worklist import Worklist

_log = logging.getLogger(__name__)
LOCAL = "local"
# Attempts of a run whose judge ends, whose worker cannot write, or whose task is lost by dask.
_ATTEMPTS = 3
_WORKER_WAIT = 30.0  # seconds without any worker until a warning


@dataclass(frozen=True)
class Problem:
    """The reason why a worker could not execute a run.

    Attributes:
        said: one line.
        judge_died: whether the process that judges files has ended, perhaps because of the run.
    """

    said: str
    judge_died: bool


Answer = tuple[Problem | None, bytes, dict[str, bytes]]
"""What a worker returns for a run."""


@contextlib.contextmanager
def connect(address: str, workers: int) -> Iterator[distributed.Client]:
    """Connect to a cluster; a context manager that yields the client.

    Args:
        address: address of the scheduler (`tcp://host:8786`), or the file that it wrote
            (`scheduler.json`), or `local` for a scheduler and workers on this machine, which end
            with the context.
        workers: number of processes of a local cluster.

    Raises:
        BenchError: no scheduler answers.
    """
    with contextlib.ExitStack() as stack:
        try:
            if address == LOCAL:
                cluster = distributed.LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    host="127.0.0.1",
                    dashboard_address=None,
                    silence_logs=logging.CRITICAL,
                )
                client = distributed.Client(stack.enter_context(cluster))
            elif Path(address).is_file():
                client = distributed.Client(scheduler_file=address, timeout=10)
            else:
                client = distributed.Client(address, timeout=10)
        except (OSError, ValueError, TypeError) as error:
            raise BenchError(
                f"--cluster {address}: no scheduler answers ({error or type(error).__name__});"
                " start one with `dask scheduler` and give its address, or say `--cluster local`"
            ) from error
        yield stack.enter_context(client)


def run_on_cluster(
    runs: Sequence[Run],
    job: Job,
    data: Interactions,
    client: distributed.Client,
    listener: Listener,
    time_limit: float | None = None,
    fail: Callable[[Run, str, str], Any] | None = None,
    work: Work = BOARD,
    follow: Follow | None = None,
) -> None:
    """Execute all runs; return when each has a record.

    Args:
        runs: the runs, in the order of their start.
        job: the results folder of the driver; device and threads of the workers.
        data: the split.
        client: client of the cluster.
        listener: called with progress, as by `bench.runs.pool`.
        time_limit: most seconds of a run; a longer one becomes a failed record, and its worker is
            restarted.
        fail: writes the record of a run that no worker could finish (run, type, message).
        work: the function that a worker applies to a run. The records of a board are written into
            the results folder; results of other work only reach the listener and `follow`.
        follow: gives the runs that depend on a run, when that has ended.

    Raises:
        BenchError: the workers cannot execute the runs, the scheduler has ended, or the results
            folder cannot be written.
    """
    crowded = [worker for worker, threads in client.nthreads().items() if threads != 1]
    if crowded:
        raise BenchError(
            f"{len(crowded)} dask workers run several tasks at a time ({crowded[0]}); start them"
            " with --nthreads 1 (--threads says how many threads a run has)"
        )
    store = Store(Path(job.results))
    state = WorkerState(pack_split(data), sources(job.plugins), job, work)
    try:
        client.register_plugin(state, name=state.name)
    except Exception as error:  # any error of a worker while it unpacks its state
        raise BenchError(f"{_worker_error(error)}") from error
    try:
        with Worklist(runs, store, job.again) as worklist:
            _Driver(
                worklist, client, state.name, store, listener, time_limit, fail, work, follow
            ).work()
    finally:
        with contextlib.suppress(Exception):  # the cluster may have ended
            client.unregister_worker_plugin(state.name)


class _Driver:
    """The tasks of the runs and their states."""

    def __init__(
        self,
        worklist: Worklist,
        client: distributed.Client,
        topic: str,
        store: Store,
        listener: Listener,
        time_limit: float | None,
        fail: Callable[[Run, str, str], Any] | None,
        task: Work,
        follow: Follow | None,
    ) -> None:
        self.task, self.follow = task, follow
        self.worklist, self.client, self.topic, self.store = worklist, client, topic, store
        self.listener, self.time_limit, self.fail = listener, time_limit, fail
        self.messages: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.tasks: dict[str, tuple[Run, distributed.Future]] = {}
        self.began: dict[str, tuple[str, float]] = {}  # worker and start time, by run
        self.attempts: dict[str, int] = {}
        self.numbers: dict[str, int] = {}  # of workers, in the order of their first messages
        self.waiting_since: float | None = time.monotonic()

    def work(self) -> None:
        """Execute all runs of the worklist."""
        put = self.messages.put
        self.client.subscribe_topic(self.topic, lambda event: put(("event", event[1])))
        try:
            while self.worklist or self.tasks:
                self._hand_out()
                with contextlib.suppress(queue.Empty):
                    kind, content = self.messages.get(timeout=0.5)
                    if kind == "event":
                        self._receive(json.loads(content))
                    else:
                        self._task_ended(content)
                self._check_cluster()
        finally:
            with contextlib.suppress(Exception):
                self.client.cancel([task for _, task in self.tasks.values()], force=True)

    def _hand_out(self) -> None:
        while (found := self.worklist.next()) is not None:
            run, record = found
            if record is not None:
                self._done(run, record.short())
                continue
            # A repeated run needs another key: dask returns the earlier result for a known key.
            key = f"bench-{run.spec.id}-{uuid4().hex[:8]}"
            try:
                task = self.client.submit(_do, self.topic, encode(run), key=key, pure=False)
            except Exception:
                self._check_cluster()  # a client without a scheduler takes nothing
                raise
            self.tasks[run.spec.id] = run, task
            task.add_done_callback(lambda _, run=run.spec.id: self.messages.put(("task", run)))

    def _receive(self, event: dict[str, Any]) -> None:
        run, worker = event["id"], event.pop("worker")
        number = self.numbers.setdefault(worker, len(self.numbers))
        if run not in self.tasks:
            return
        if event["kind"] == "start":
            self.began[run] = worker, time.monotonic()
        self.listener(event.pop("kind"), event | {"worker": number})

    def _task_ended(self, key: str) -> None:
        """Handle a task that has ended, with or without an error."""
        if key not in self.tasks:
            return
        run, task = self.tasks.pop(key)
        if task.status == "finished":
            problem, record, files = task.result()
            if problem is None:
                self._done(run, self._read(run, record, files))
                return
            self._retry(run, problem.said, problem.judge_died)
        elif task.status == "error":
            error = task.exception()
            if not isinstance(error, distributed.KilledWorker):
                raise BenchError(_worker_error(error)) from error
            lost = f"{error.allowed_failures + 1} dask workers were lost during the run"
            self._failed(run, "WorkerDied", f"{lost}; out of memory?")
        else:
            self._retry(run, "the scheduler has lost the task")

    def _read(self, run: Run, text: bytes, files: dict[str, bytes]) -> Any:
        """Return the result of a task; the record of a board is written first."""
        raw: dict[str, Any] = json.loads(text)
        if self.task is not BOARD:
            return self.task.read(raw)
        if raw["id"] != run.spec.id or raw["spec"] != run.spec.canonical():
            raise BenchError(
                f"a worker sent the record {raw['id']} for the run {run.spec.id}; install the"
                " same version of this program on all machines"
            )
        place = self.store.path(run.spec, run.spec.id).relative_to(self.store.root)
        record = check_record(raw, place.as_posix())
        per_user = None
        if ".npz" in files:
            with np.load(io.BytesIO(files[".npz"]), allow_pickle=False) as stored:
                per_user = {name: stored[name] for name in stored.files}
        self.store.keep(run.spec, run.spec.id, {p: files[p] for p in KEPT if p in files})
        self.store.write(record, per_user)
        return record.short()

    def _done(self, run: Run, record: Any) -> None:
        self.worklist.close(run)
        worker, _ = self.began.pop(run.spec.id, ("", 0.0))
        number = self.numbers.get(worker, -1)
        if self.follow is not None:
            self.worklist.add(self.follow(run.spec.id, record))
        self.listener("done", {"id": run.spec.id, "worker": number, "record": record})

    def _failed(self, run: Run, kind: str, message: str) -> None:
        if self.fail is not None:
            record = self.fail(run, kind, message)
            self._done(run, record)
        else:
            self.worklist.close(run)

    def _retry(self, run: Run, why: str, judge_died: bool = False) -> None:
        """Put a run back; after too many attempts fail it, or end the board.

        Raises:
            BenchError: it was tried too often, and its judge did not end.
        """
        self.attempts[run.spec.id] = self.attempts.get(run.spec.id, 0) + 1
        if self.attempts[run.spec.id] == _ATTEMPTS:
            if not judge_died:
                raise BenchError(why)
            why = "the process that judges its file had ended; out of memory?"
            self._failed(run, "WorkerDied", why)
            return
        self.began.pop(run.spec.id, None)  # its time starts anew
        self.worklist.put_back(run)

    def _check_cluster(self) -> None:
        """Check the time limit, the scheduler, and that there are workers."""
        if self.client.status == "closed":
            raise BenchError(
                "the scheduler has ended; finished runs are kept, and the same command continues"
            )
        now = time.monotonic()
        if self.numbers:
            self.waiting_since = None
        elif self.waiting_since is not None and now - self.waiting_since > _WORKER_WAIT:
            self.waiting_since = None
            if not self.client.nthreads():
                _log.warning("no worker has joined the cluster yet; the runs wait for one")
        for key, (worker, began) in list(self.began.items()):
            if self.time_limit is None or now - began <= self.time_limit or key not in self.tasks:
                continue
            run, task = self.tasks.pop(key)
            task.cancel(force=True)
            try:
                self.client.restart_workers([worker], raise_for_error=False)
            except Exception as error:  # the worker has ended, or no nanny restarts it
                _log.warning("%s: could not be restarted (%s)", worker, error)
            self._failed(run, "TimeLimit", f"took longer than {self.time_limit:g} s")


class WorkerState(distributed.WorkerPlugin):
    """State of a worker: the data, the methods and a working folder.

    Args:
        data: as `pack_split` returns it.
        plugins: content of the plugin files, by file name.
        job: settings of the workers.
        work: the function that is applied to a run.
    """

    def __init__(self, data: bytes, plugins: dict[str, str], job: Job, work: Work = BOARD) -> None:
        self.name = f"bench-{uuid4().hex[:12]}"
        self._packed, self._plugins, self._job, self._work = data, plugins, job, work

    def setup(self, worker: distributed.Worker) -> None:
        """Called by dask once on every worker; the first run unpacks the data."""
        self._worker = worker
        self._lock = threading.Lock()  # for a worker with several threads; see `run_on_cluster`
        self._ready: tuple[Interactions, dict[str, type[Method]]] | None = None
        self._judges: Judges | None = None
        self._seat: Seat | None = None
        self._folder = Path(tempfile.mkdtemp(dir=worker.local_directory, prefix="bench-"))

    def teardown(self, worker: distributed.Worker) -> None:
        """Called by dask when the worker ends normally."""
        if self._judges is not None:
            self._judges.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def do(self, task: bytes) -> Answer:
        """Execute a run.

        Returns:
            The problem because of which it could not be executed, or None; the record in the format
            of the disk; the files that belong to it, by suffix.
        """
        with self._lock:
            run = decode(task)
            self._send("start", run, {})
            try:
                return None, *self._executed(run)
            except (BenchError, JudgeDied) as error:
                if isinstance(error, JudgeDied):
                    self._seat = None
                said = f"worker {self._worker.address}: {error}"
                return Problem(said, judge_died=isinstance(error, JudgeDied)), b"", {}

    def _executed(self, run: Run) -> tuple[bytes, dict[str, bytes]]:
        data, methods = self._ready = self._ready or self._unpacked()
        method, store = run.spec.method, Store(self._folder)
        if method.name in methods and methods[method.name].revision != method.revision:
            raise BenchError(
                f"{method.name} has revision {methods[method.name].revision}, the plan has"
                f" {method.revision}; install the same version of this program on all machines"
            )
        keep_freed_memory()
        torch.set_num_threads(self._job.threads)
        if self._judges is not None and self._seat is None:
            self._seat = Seat(self._judges.connect())
        job = replace(self._job, results=str(self._folder), plugins=(), parallel=True)
        found = self._work.do(
            run, data, methods, store, job, lambda e: self._send("epoch", run, e), self._seat
        )
        memory_returner()()
        path = store.path(run.spec, run.spec.id)
        if not path.exists():  # not the run of a board
            return json.dumps(found).encode(), {}
        files: dict[str, bytes] = {}
        arrays = store.per_user(run.spec, run.spec.id)
        if arrays is not None:
            stream = io.BytesIO()
            np.savez_compressed(stream, **arrays)
            files[".npz"] = stream.getvalue()
        kept = {part: store.kept(run.spec, run.spec.id, part) for part in KEPT}
        files |= {part: where.read_bytes() for part, where in kept.items() if where.exists()}
        result = path.read_bytes(), files
        for part in (path, *kept.values(), *self._folder.rglob("*.npz")):
            part.unlink(missing_ok=True)
        return result

    def _unpacked(self) -> tuple[Interactions, dict[str, type[Method]]]:
        paths = []
        for name, content in self._plugins.items():
            paths.append(self._folder / name)
            paths[-1].write_text(content, encoding="utf-8")
        data = unpack_split(self._packed)
        if self._work.judged:
            plugins = [str(path) for path in paths]
            self._judges = Judges(data, plugins, self._job.device, self._job.threads)
        self._packed = b""  # methods are trained without the test part
        return data.blind(), find_methods(paths)

    def _send(self, kind: str, run: Run, content: dict[str, Any]) -> None:
        message = content | {"kind": kind, "id": run.spec.id, "worker": self._worker.address}
        self._worker.log_event(self.name, json.dumps(message))

    def __getstate__(self) -> dict[str, Any]:
        kept = ("name", "_packed", "_plugins", "_job", "_work")
        return {name: getattr(self, name) for name in kept}


def _do(state: str, task: bytes) -> Answer:
    """Execute a task on a worker."""
    found = distributed.get_worker().plugins[state]
    assert isinstance(found, WorkerState)
    return found.do(task)


def _worker_error(error: BaseException) -> str:
    """Return one line about an error of a worker."""
    first = str(error).partition("\n")[0]
    return (
        f"a dask worker cannot execute the runs ({type(error).__name__}: {first}); install the same"
        " version of this program, of torch and of distributed on all machines"
    )
