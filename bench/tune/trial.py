"""One trial: train with some settings and measure on validation data, without test data.

The data have no test part in a trial, so that no setting can be selected by it.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from typing import Any

from bench.data import Interactions
from bench.engine.loop import SELECT_ON, Fit
from bench.errors import StoreError
from bench.judge.model import Judge
from bench.method import Method
from bench.records.store import Store
from bench.runs.environment import origin
from bench.runs.pipeline import Pipeline
from bench.runs.pool import Job, Work
from bench.runs.spec import Run
from bench.runs.teacher import Lender


def trial(
    run: Run,
    data: Interactions,
    methods: dict[str, type[Method]],
    store: Store,
    device: str = "cpu",
    report: Callable[[dict[str, Any]], None] = lambda entry: None,
) -> dict[str, Any]:
    """Train, pack, read back and measure on the validation part.

    Args:
        run: the run; its training must not be a refit, which would leave no validation part.
        data: the split; its test part is removed first.
        methods: all known methods.
        store: folder of the checkpoint, which is removed at the end of the trial.
        device: device of the training.
        report: called after every epoch.

    Returns:
        `status` (complete, failed), `value` (validation NDCG@20 over all users, of the packed
        state), `passes` (epochs of all phases, and of a teacher), `size`, `seconds`, `error`.

    Raises:
        StoreError: the folder cannot be written, which says nothing about the settings.
    """
    began, passes = time.perf_counter(), list[dict[str, Any]]()
    result: dict[str, Any] = {"status": "complete", "value": None, "size": None, "error": None}
    result["passes"] = 0  # of a teacher
    try:
        result |= _fitted(run, data.blind(), methods, store, device, report, passes)
    except StoreError:
        raise
    except Exception as error:
        result["status"] = "failed"
        result["error"] = f"{type(error).__name__}: {error}"
        result["traceback"] = traceback.format_exc()
    store.discard_work(run.spec.id)
    done = result["passes"] + len(passes)
    return result | {"passes": done, "seconds": time.perf_counter() - began}


def _fitted(
    run: Run,
    data: Interactions,
    methods: dict[str, type[Method]],
    store: Store,
    device: str,
    report: Callable[[dict[str, Any]], None],
    passes: list[dict[str, Any]],
) -> dict[str, Any]:
    spec, training = run.spec, run.spec.training
    assert training is not None
    assert not training.refit
    pipeline = Pipeline(spec, data, methods, device, Lender(store, device, report))
    method, backbone = pipeline.build(pipeline.data)

    def check(entry: dict[str, Any]) -> None:
        report(entry)
        # The history is complete, also in a trial that continues from a checkpoint.
        passes[:] = fit.state.history

    place, spent = store.work(spec.id), pipeline.spent
    fit = Fit(method, backbone, pipeline.data, training, spec.seed, place, check, spent=spent)
    fit.checkpoint.origin = origin(device)
    fit.run()
    passes[:] = fit.state.history  # also of a trial that had ended but for its outcome
    deployed = pipeline.deploy(method, backbone)
    size = deployed.packed.size
    return {
        "value": deployed.rank(pipeline.data, "valid").metrics[SELECT_ON],
        "size": {"values": size.values, "bytes": size.bytes},
        "passes": spent,
    }


def _trial_run(
    run: Run,
    data: Interactions,
    methods: dict[str, type[Method]],
    store: Store,
    job: Job,
    report: Callable[[dict[str, Any]], None],
    judge: Judge | None,
) -> dict[str, Any]:
    """Execute a trial in a worker; it needs no judge, because it sees no test data."""
    return trial(run, data, methods, store, job.device, report)


TRIALS = Work(_trial_run, dict, judged=False)
"""Trials, as the work of a pool or of a cluster."""
