"""Executes one run: train, pack, read back, measure, store; returns its record."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.data import Interactions
from bench.engine.deploy import lookup_speed
from bench.engine.evaluate import breakdown
from bench.engine.loop import Fit
from bench.errors import StoreError, Unreachable
from bench.files import write_atomic
from bench.method import Method
from bench.records.schema import Record, Timings
from bench.records.store import Store
from bench.runs.environment import environment, now, peak_memory, reset_peak
from bench.runs.measured import Measured, metrics_record, size_record
from bench.runs.pipeline import Pipeline
from bench.runs.popularity import measure_popularity
from bench.runs.record import failed, infeasible, new_record
from bench.runs.spec import Run
from bench.runs.teacher import Lender

Report = Callable[[dict[str, Any]], None]
"""Told of every epoch."""


def execute(
    run: Run,
    data: Interactions,
    methods: Mapping[str, type[Method]],
    store: Store,
    device: str = "cpu",
    parallel: bool = False,
    report: Report = lambda entry: None,
) -> Record:
    """Runs and stores the record, whatever happens but an interruption.

    Args:
        run: what to do.
        data: the split that the spec names.
        methods: all known methods.
        store: where the record goes, and the checkpoint to continue from.
        device: where to train.
        parallel: other runs share the machine, so that times are not comparable.
        report: told of every epoch.

    Returns:
        The record, with status ok or failed.

    Raises:
        StoreError: the results folder cannot be written.
    """
    began = time.perf_counter()
    reset_peak()
    record = new_record(run, data, methods)
    per_user: dict[str, np.ndarray] | None = None
    try:
        if run.spec.training is None:
            found = measure_popularity(data, run.spec.dim)
        else:
            found = _trained(run, data, methods, store, device, report)
        record, per_user = store.checked(found.onto(record)), found.per_user
    except StoreError:
        raise  # no fault of the run, which goes on from its checkpoint once there is room
    except Unreachable as error:
        record = infeasible(record, error)
    except Exception as error:
        record = failed(record, type(error).__name__, str(error), traceback.format_exc())
    assert record.timings is not None
    times = {"total_s": time.perf_counter() - began, "parallel": parallel}
    record = record.model_copy(
        update={
            "timings": record.timings.model_copy(update=times),
            "peak_memory_bytes": peak_memory(),
            "env": environment(device),
            "finished": now(),
        }
    )
    store.write(record, per_user)
    store.discard_work(run.spec.id)
    return record


def _trained(
    run: Run,
    data: Interactions,
    methods: Mapping[str, type[Method]],
    store: Store,
    device: str,
    report: Report,
) -> Measured:
    """Trains, and measures what would be deployed."""
    began = time.perf_counter()
    pipeline = Pipeline(run.spec, data, methods, device, Lender(store, device, report))
    training = _Training(run, pipeline, store, report)
    method, backbone = training.run()
    # The work of a teacher counts in full in every run that uses it, whichever has done it.
    trained = time.perf_counter() - began + sum(one.seconds - one.waited for one in pipeline.lent)
    deployed = pipeline.deploy(method, backbone)
    began = time.perf_counter()
    data = pipeline.data
    test = deployed.rank(data, "test")
    # Retrained on the validation part, nothing is held out there.
    valid = None if training.refit else deployed.rank(data, "valid")
    evaluated = time.perf_counter() - began
    parameters = sum(one.numel() for one in backbone.parameters())
    return Measured(
        size_record(deployed.packed, pipeline.table.ids, pipeline.table.dim, parameters),
        metrics_record(test, valid, data.items),
        Timings(train_s=trained, evaluate_s=evaluated),
        _in_file_order(breakdown(test, data), pipeline.users),
        (*(phase for one in pipeline.lent for phase in one.phases), *training.phases),
        tuple(training.history),
        lookup_speed(deployed.method, pipeline.table),
        _one_line(deployed.method.outcome()),
    )


def _one_line(words: str) -> str:
    """What a method says of itself, as a record may hold it."""
    return " ".join(str(words).split())[:200]


class _Training:
    """The training of a run, and once more on training and validation data if it is a refit."""

    def __init__(self, run: Run, pipeline: Pipeline, store: Store, report: Report) -> None:
        assert run.spec.training is not None
        self._run, self._training, self._pipeline = run.spec, run.spec.training, pipeline
        self._store, self._report = store, report
        self.refit = self._training.refit
        self.phases: list[dict[str, Any]] = []
        self.history: list[dict[str, Any]] = []

    def run(self) -> tuple[Method, Any]:
        """The trained method and backbone."""
        data, run = self._pipeline.data, self._run.id
        method, backbone = self._pipeline.build(data)
        ended = self._store.work(run, "selected.json")
        names = [phase.name for phase in method.phases]
        selected = _selected(ended, names) if self.refit else None
        if selected is None:
            fit = self._fit(method, backbone, data, self._store.work(run), self._report)
            selected = fit.phases, fit.history
        self.phases, self.history = selected
        if not self.refit:
            return method, backbone
        # From here a run that is cut off goes on with its second training.
        content = json.dumps(selected).encode()
        write_atomic(ended, lambda stream: stream.write(content))
        epochs = {one["name"]: one["best_epoch"] or one["epochs"] for one in self.phases}
        data = data.refit()
        method, backbone = self._pipeline.build(data)
        checkpoint = self._store.work(run, "refit.safetensors")
        again = self._fit(method, backbone, data, checkpoint, self._report_refit, epochs)
        self.phases, self.history = self.phases + again.phases, self.history + again.history
        return method, backbone

    def _fit(
        self,
        method: Method,
        backbone: Any,
        data: Interactions,
        checkpoint: Path,
        report: Report,
        epochs: dict[str, int] | None = None,
    ) -> Any:
        seed, spent = self._run.seed, self._pipeline.spent
        return Fit(
            method, backbone, data, self._training, seed, checkpoint, report, epochs, spent
        ).run()

    def _report_refit(self, entry: dict[str, Any]) -> None:
        self._report(entry | {"refit": True})


def _in_file_order(per_user: dict[str, np.ndarray], original: np.ndarray) -> dict[str, np.ndarray]:
    """Per-user arrays under the users' original numbers, ascending, so that runs can be paired."""
    users = original[per_user["users"]]
    order = np.argsort(users)
    named = {k: per_user[k][order] for k in ("recall@20", "ndcg@20", "activity", "test_items")}
    return per_user | named | {"users": users[order].astype(per_user["users"].dtype)}


def _selected(
    path: Path, names: list[str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]] | None:
    """Phases and history of a first training that has ended, if it has; damage counts as not."""
    try:
        phases, history = json.loads(path.read_text(encoding="utf-8"))
        whole = [phase["name"] for phase in phases] == names and isinstance(history, list)
        lasted = [phase["best_epoch"] or phase["epochs"] for phase in phases]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return (phases, history) if whole and all(isinstance(n, int) for n in lasted) else None
