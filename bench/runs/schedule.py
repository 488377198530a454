"""Running what is missing of a plan, here or on a cluster."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from bench.data import Interactions
from bench.errors import BenchError, StoreError
from bench.method import Method
from bench.records.schema import Record
from bench.records.store import WORK, Store
from bench.runs.leases import Leases
from bench.runs.plan import Planned
from bench.runs.pool import Job, Listener, run_all
from bench.runs.record import failed, infeasible, new_record
from bench.runs.spec import Run
from bench.runs.worklist import LEASES, usable


@dataclass(frozen=True)
class Tally:
    """What became of a plan's runs, by status, and the records that are not ok."""

    counts: dict[str, int] = field(default_factory=dict)
    failed: list[Record] = field(default_factory=list)


def finished(planned: Sequence[Planned], store: Store, retry_failed: bool = False) -> set[str]:
    """Ids of the runs that have a record which a report can use, and need not be done."""
    ids = set()
    for one in planned:
        record = store.read(one.run.spec, one.run.spec.id)  # None too if it is damaged
        if record is None or (retry_failed and record.status == "failed"):
            continue
        if usable(record, store):
            ids.add(one.run.spec.id)
    return ids


def run_missing(
    planned: Sequence[Planned],
    done: set[str],
    data: Interactions,
    methods: dict[str, type[Method]],
    store: Store,
    job: Job,
    workers: int,
    listener: Listener,
    time_limit: float | None = None,
    cluster: str | None = None,
) -> None:
    """Run what is missing, here or on a dask cluster. Infeasible sizes become records at once.

    Raises:
        BenchError: the results folder cannot be written, or no worker can start.
        KeyboardInterrupt: what has ended is kept, checkpoints too.
    """
    tidy(planned, done, store)
    todo: list[Run] = []
    for one in planned:
        if one.run.spec.id in done:
            continue
        if one.infeasible:
            store.write(infeasible(new_record(one.run, data, methods), one.infeasible))
            continue
        todo.append(one.run)

    def fail(run: Run, kind: str, message: str) -> Record:
        record = failed(new_record(run, data, methods), kind, message)
        store.write(record)
        store.discard_work(run.spec.id)
        return record

    if todo:
        try:
            if cluster is None:
                run_all(todo, job, data, min(workers, len(todo)), listener, time_limit, fail)
            else:
                dask = clusters()
                with dask.connect(cluster, min(workers, len(todo))) as client:
                    dask.run_on_cluster(todo, job, data, client, listener, time_limit, fail)
        finally:
            store.sweep()


def clusters() -> ModuleType:
    """The module for runs on a dask cluster.

    Raises:
        BenchError: dask is not installed.
    """
    try:
        from bench.runs import cluster
    except ModuleNotFoundError as error:
        raise BenchError(
            f"--cluster needs the package {error.name}, which is not installed; pip install"
            " 'compact-embedding-benchmark[cluster]'"
        ) from error
    return cluster


def tidy(planned: Sequence[Planned], done: set[str], store: Store) -> None:
    """Remove what killed processes have left: temporary files, leases, needless checkpoints."""
    store.sweep()
    with contextlib.suppress(OSError):  # a read-only folder: the files stay
        Leases(store.root / WORK / LEASES).sweep()
    left = {path.name.partition(".")[0] for path in (store.root / WORK).glob("*.*")}
    for one in planned:
        if one.run.spec.id in left & done:
            with contextlib.suppress(StoreError):  # a read-only folder: the files stay
                store.discard_work(one.run.spec.id)


def tally(planned: Sequence[Planned], store: Store) -> Tally:
    """Counts the runs of a plan by status; `missing` has no record."""
    result = Tally()
    for one in planned:
        spec = one.run.spec
        record = store.read(spec, spec.id)
        status = record.status if record else "missing"
        result.counts[status] = result.counts.get(status, 0) + 1
        if record and status == "failed":
            result.failed.append(record)
    return result


def default_workers(device: str) -> int:
    """One a core on a CPU, one on an accelerator."""
    if device != "cpu":
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def record_path(store: Store, run: Run) -> Path:
    """Where the record of a run lies."""
    return store.path(run.spec, run.spec.id)
