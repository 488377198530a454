"""Executing the trials of a search in worker processes, here or on a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from bench.data import Interactions
from bench.records.store import Store
from bench.runs.pool import Job, Listener, run_all
from bench.runs.schedule import clusters
from bench.runs.spec import Run
from bench.tune.search import FOLDER, Take
from bench.tune.trial import TRIALS


class Workers:
    """Executes trials; a context manager, because it may hold a connection.

    Args:
        job: settings of all workers; its results folder holds the folder of the studies.
        data: the split.
        workers: number of processes.
        listener: called as by `bench.runs.pool`; "done" has the outcome as `record`.
        time_limit: most seconds of a trial; a longer one counts as failed.
        cluster: address of a dask cluster; None for processes of this machine.
    """

    def __init__(
        self,
        job: Job,
        data: Interactions,
        workers: int,
        listener: Listener,
        time_limit: float | None = None,
        cluster: str | None = None,
    ) -> None:
        self._store = Store(Path(job.results) / FOLDER)
        self._job = replace(job, results=str(self._store.root))
        self._data, self._workers, self._listener = data, workers, listener
        self._time_limit, self._cluster = time_limit, cluster
        self._stack, self._client = ExitStack(), None

    def __enter__(self) -> Workers:
        if self._cluster is not None:
            connection = clusters().connect(self._cluster, self._workers)
            self._client = self._stack.enter_context(connection)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def __call__(self, runs: Sequence[Run], take: Take) -> None:
        """Execute trials, and those that `take` returns for the outcome of each."""

        def fail(run: Run, kind: str, message: str) -> dict[str, str]:
            self._store.discard_work(run.spec.id)
            return {"status": "failed", "error": f"{kind}: {message}"}

        common = self._listener, self._time_limit, fail, TRIALS, take
        if self._client is None:
            run_all(runs, self._job, self._data, self._workers, *common)
        else:
            clusters().run_on_cluster(runs, self._job, self._data, self._client, *common)
