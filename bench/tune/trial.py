"""One trial: train with some settings and measure on validation data, without test data.

`blind` removes the test part of the data before a trial, so that no setting can be selected by it.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from bench.data import CSR, Interactions
from bench.engine.loop import SELECT_ON, Fit
from bench.method import Method
from bench.records.store import Store
from bench.runs.pipeline import Pipeline
from bench.runs.pool import Job, Work
from bench.runs.spec import Run
from bench.runs.teacher import Lender


class _PrunedError(Exception):
    """The trial is below its threshold."""


def blind(data: Interactions) -> Interactions:
    """Return the data without their test part; identity and fingerprints stay."""
    return replace(data, test=CSR.empty(data.users))


def trial(
    run: Run,
    data: Interactions,
    methods: dict[str, type[Method]],
    store: Store,
    device: str = "cpu",
    report: Callable[[dict[str, Any]], None] = lambda entry: None,
    thresholds: Sequence[float] = (),
) -> dict[str, Any]:
    """Train, pack, read back and measure on the validation part.

    Args:
        run: the run; its training must not be a refit, which would leave no validation part.
        data: the split; its test part is removed first.
        methods: all known methods.
        store: folder of the checkpoint, which is removed at the end of the trial.
        device: device of the training.
        report: called after every epoch.
        thresholds: the trial ends once its best validation NDCG@20 after n evaluations is below
            `thresholds[n - 1]`.

    Returns:
        `status` (complete, pruned, failed), `value` (validation NDCG@20 over all users, of the
        packed state), `curve` (validation NDCG@20 at each evaluation), `size`, `seconds`, `error`.
    """
    began, curve = time.perf_counter(), list[float]()
    result: dict[str, Any] = {"status": "complete", "value": None, "size": None, "error": None}

    try:
        result |= _fitted(run, blind(data), methods, store, device, report, thresholds, curve)
    except _PrunedError:
        result["status"] = "pruned"
    except Exception as error:
        result["status"] = "failed"
        result["error"] = f"{type(error).__name__}: {error}"
        result["traceback"] = traceback.format_exc()
    store.discard_work(run.spec.id)
    return result | {"curve": curve, "seconds": time.perf_counter() - began}


def _fitted(
    run: Run,
    data: Interactions,
    methods: dict[str, type[Method]],
    store: Store,
    device: str,
    report: Callable[[dict[str, Any]], None],
    thresholds: Sequence[float],
    curve: list[float],
) -> dict[str, Any]:
    spec, training = run.spec, run.spec.training
    assert training is not None
    assert not training.refit
    pipeline = Pipeline(spec, data, methods, device, Lender(store, device, report))
    method, backbone = pipeline.build(pipeline.data)

    def check(entry: dict[str, Any]) -> None:
        report(entry)
        # The history is complete, also in a trial that continues from a checkpoint.
        curve[:] = [one[SELECT_ON] for one in fit.state.history if SELECT_ON in one]
        if (
            SELECT_ON in entry
            and len(curve) <= len(thresholds)
            and max(curve) < thresholds[len(curve) - 1]
        ):
            raise _PrunedError

    fit = Fit(method, backbone, pipeline.data, training, spec.seed, store.work(spec.id), check)
    fit.run()
    deployed = pipeline.deploy(method, backbone)
    size = deployed.packed.size
    return {
        "value": deployed.rank(pipeline.data, "valid").metrics[SELECT_ON],
        "size": {"values": size.values, "bytes": size.bytes},
    }


def pruned_trials(thresholds: Mapping[str, Sequence[float]]) -> Work:
    """Return the work of the pool: trials, with the thresholds of their methods."""
    return Work(partial(_pruned_trial, thresholds), dict)


def _pruned_trial(
    thresholds: Mapping[str, Sequence[float]],
    run: Run,
    data: Interactions,
    methods: dict[str, type[Method]],
    store: Store,
    job: Job,
    report: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Run a trial in a worker of the pool, with the thresholds of its method."""
    own = thresholds.get(run.spec.method.name, ())
    return trial(run, data, methods, store, job.device, report, own)
