"""One trial: train under some settings and measure on validation data; there is no test data here.

The data that a trial is given has lost its test part (`blind`), so that nothing, by mistake or by
design, can be selected by it.
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


class _Hopeless(Exception):
    """The trial is behind the bar; its value no longer matters."""


def blind(data: Interactions) -> Interactions:
    """The data without their test part; identity and fingerprints stay."""
    return replace(data, test=CSR.empty(data.users))


def trial(
    run: Run,
    data: Interactions,
    methods: dict[str, type[Method]],
    store: Store,
    device: str = "cpu",
    report: Callable[[dict[str, Any]], None] = lambda entry: None,
    bars: Sequence[float] = (),
) -> dict[str, Any]:
    """Trains, packs, reads back and measures on the validation part.

    Args:
        run: what is tried; its training must not be a refit, which would leave no validation part.
        data: the split; its test part is removed before anything else.
        methods: all known methods.
        store: where a checkpoint may lie. None is left when the trial has ended, however it did.
        device: where to train.
        report: told of every epoch.
        bars: the trial ends once its best validation NDCG@20 after n evaluations is below
            `bars[n - 1]`.

    Returns:
        `status` (complete, pruned, failed), `value` (validation NDCG@20 over all users, of the
        packed state), `curve` (validation NDCG@20 at each evaluation), `size`, `seconds`, `error`.
    """
    began, curve = time.perf_counter(), list[float]()
    result: dict[str, Any] = {"status": "complete", "value": None, "size": None, "error": None}

    try:
        result |= _fitted(run, blind(data), methods, store, device, report, bars, curve)
    except _Hopeless:
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
    bars: Sequence[float],
    curve: list[float],
) -> dict[str, Any]:
    spec, training = run.spec, run.spec.training
    assert training is not None
    assert not training.refit
    pipeline = Pipeline(spec, data, methods, device)
    method, backbone = pipeline.build(pipeline.data)

    def watch(entry: dict[str, Any]) -> None:
        report(entry)
        # From the history, which a trial that goes on from a checkpoint has in full.
        curve[:] = [one[SELECT_ON] for one in fit.state.history if SELECT_ON in one]
        if SELECT_ON in entry and len(curve) <= len(bars) and max(curve) < bars[len(curve) - 1]:
            raise _Hopeless

    fit = Fit(method, backbone, pipeline.data, training, spec.seed, store.work(spec.id), watch)
    fit.run()
    deployed = pipeline.deploy(method, backbone)
    size = deployed.packed.size
    return {
        "value": deployed.rank(pipeline.data, "valid").metrics[SELECT_ON],
        "size": {"values": size.values, "bytes": size.bytes},
    }


def pruned_trials(bars: Mapping[str, Sequence[float]]) -> Work:
    """What a worker of the pool does with a trial, under the bars of its method."""
    return Work(partial(_pruned_trial, bars), dict)


def _pruned_trial(
    bars: Mapping[str, Sequence[float]],
    run: Run,
    data: Interactions,
    methods: dict[str, type[Method]],
    store: Store,
    job: Job,
    report: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """A trial as a worker of the pool does it, with the bars of its method."""
    own = bars.get(run.spec.method.name, ())
    return trial(run, data, methods, store, job.device, report, own)
