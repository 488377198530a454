"""Runs of a plan inside the calling process, for tests that are not about processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from bench.data import Interactions
from bench.method.registry import find_methods
from bench.records.store import Store
from bench.runs.pool import Listener
from bench.runs.spec import Run, decode, encode
from bench.runs.worker import BOARD, Job, Work
from support.judge import JudgeHere


def run_all_here(
    runs: Sequence[Run],
    job: Job,
    data: Interactions,
    workers: int,
    listener: Listener,
    time_limit: float | None = None,
    fail: Callable[[Run, str, str], Any] | None = None,
    work: Work = BOARD,
) -> None:
    """Does what `bench.runs.pool.run_all` does, one run after another and without its guards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(job.threads)
    methods = find_methods([Path(one) for one in job.plugins])
    judge, store = JudgeHere(data, methods), Store(Path(job.results))
    try:
        for run in runs:
            who = {"id": run.spec.id, "worker": 0}

            def report(entry: dict[str, Any], who: dict[str, Any] = who) -> None:
                listener("epoch", entry | who)

            listener("start", dict(who))
            given = decode(encode(run))
            done = work.do(given, data.blind(), methods, store, job, report, judge)
            listener("done", {"record": work.read(done), **who})
    finally:
        torch.set_num_threads(threads)
