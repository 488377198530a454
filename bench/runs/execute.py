"""Executes one run: train, pack, read back, measure, store; returns its record."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch

from bench.backbones.base import Backbone
from bench.data import Interactions
from bench.engine.loop import SELECT_ON, Fit
from bench.errors import SpecError, StoreError, Unreachable
from bench.files import write_atomic
from bench.judge.model import Judge, JudgeDied, Refused, Submission
from bench.method import Method
from bench.method.file import write_file
from bench.records.schema import Record
from bench.records.store import Store
from bench.runs.environment import environment, now, origin, peak_memory, reset_peak
from bench.runs.measured import Measured
from bench.runs.pipeline import Pipeline
from bench.runs.record import failed, infeasible, new_record
from bench.runs.spec import Run
from bench.runs.teacher import Lender

_BUILT = "built"  # name of a phase without an epoch

Report = Callable[[dict[str, Any]], None]
"""Told of every epoch."""


def execute(
    run: Run,
    data: Interactions,
    methods: Mapping[str, type[Method]],
    store: Store,
    judge: Judge,
    device: str = "cpu",
    parallel: bool = False,
    report: Report = lambda entry: None,
    keep: bool = False,
) -> Record:
    """Run and store the record, whatever happens but an interruption.

    Args:
        run: what to do.
        data: the split that the spec names; its test part is not used here.
        methods: all known methods.
        store: where the record goes, and the checkpoint to continue from.
        judge: measures the file of the trained method.
        device: where to train.
        parallel: other runs share the machine, so that times are not comparable.
        report: told of every epoch.
        keep: whether the file stays beside the record.

    Returns:
        The record, with status ok or failed.

    Raises:
        StoreError: the results folder cannot be written.
        JudgeDied: the judge has ended.
    """
    began = time.perf_counter()
    measurable = reset_peak()
    record = new_record(run, data, methods)
    per_user: dict[str, np.ndarray] | None = None
    files: dict[str, bytes] = {}
    earlier = 0.0
    try:
        if run.spec.training is None:
            found = Measured(judge(Submission(run.spec.stored())))
        else:
            found = _trained(run, data, methods, store, judge, device, report)
        record, per_user = store.checked(found.onto(record)), found.verdict.per_user
        earlier = found.earlier
        if keep:
            record, files = record.model_copy(update=found.kept()), found.files
    except (StoreError, JudgeDied):
        raise  # no fault of the run, which goes on from its checkpoint
    except Refused as error:
        record = failed(record, error.kind, str(error), error.trace)
    except Unreachable as error:
        record = infeasible(record, error)
    except SpecError as error:  # a setting of the user; the message says which
        record = failed(record, type(error).__name__, str(error))
    except Exception as error:
        record = failed(record, type(error).__name__, str(error), traceback.format_exc())
    assert record.timings is not None
    times = {"total_s": time.perf_counter() - began + earlier, "parallel": parallel}
    record = record.model_copy(
        update={
            "timings": record.timings.model_copy(update=times),
            "peak_memory_bytes": peak_memory() if measurable else None,
            "env": environment(device),
            "finished": now(),
        }
    )
    store.keep(run.spec, run.spec.id, files)
    store.write(record, per_user)
    store.discard_work(run.spec.id)
    return record


def _trained(
    run: Run,
    data: Interactions,
    methods: Mapping[str, type[Method]],
    store: Store,
    judge: Judge,
    device: str,
    report: Report,
) -> Measured:
    """Train, and have the file measured."""
    began = time.perf_counter()
    pipeline = Pipeline(run.spec, data, methods, device, Lender(store, device, report))
    training = _Training(run, pipeline, store, report)
    method, backbone = training.run()
    # The work of a teacher counts in full in every run that uses it, whichever has done it.
    taught = sum(one.seconds - one.waited for one in pipeline.lent)
    trained = time.perf_counter() - began + taught + training.earlier
    content, weights = write_file(method), _weights(backbone)
    return Measured(
        judge(Submission(run.spec.stored(), content, weights)),
        trained,
        (*(phase for one in pipeline.lent for phase in one.phases), *training.phases),
        tuple(training.history),
        content,
        weights,
        training.earlier,
    )


def _weights(backbone: Backbone) -> bytes:
    """What the backbone has learned, as a safetensors file; empty if it learns nothing."""
    state = {name: one.cpu().contiguous() for name, one in backbone.state_dict().items()}
    return safetensors.torch.save(state) if state else b""


class _Training:
    """The training of a run, and once more on training and validation data if it is a refit.

    Attributes:
        refit: whether it is one.
        phases, history: of all that was trained, as records have them.
        earlier: seconds of training by processes that were cut off.
    """

    def __init__(self, run: Run, pipeline: Pipeline, store: Store, report: Report) -> None:
        assert run.spec.training is not None
        self._run, self._training, self._pipeline = run.spec, run.spec.training, pipeline
        self._store, self._report = store, report
        self.refit = self._training.refit
        self.phases: list[dict[str, Any]] = []
        self.history: list[dict[str, Any]] = []
        self.earlier = 0.0

    def run(self) -> tuple[Method, Any]:
        """The trained method and backbone."""
        data, run = self._pipeline.data, self._run.id
        method, backbone = self._pipeline.build(data)
        ended = self._store.work(run, "selected.json")
        names = [phase.name for phase in method.phases] or [_BUILT]
        selected = _selected(ended, names, self._origin) if self.refit else None
        if selected is None:
            fit = self._fit(method, backbone, data, self._store.work(run), self._report)
            phases = fit.state.phases
            if self.refit and not phases:
                phases = [self._built(method, backbone)]
            selected = phases, fit.state.history, fit.checkpoint.seconds
        else:
            self.earlier = selected[-1]
        self.phases, self.history, seconds = selected
        if not self.refit:
            return method, backbone
        self._note(ended, seconds)
        # From here a run that is cut off goes on with its second training.
        epochs = {one["name"]: one["best_epoch"] or one["epochs"] for one in self.phases}
        data = data.refit()
        method, backbone = self._pipeline.build(data)
        checkpoint = self._store.work(run, "refit.safetensors")
        again = self._fit(method, backbone, data, checkpoint, self._report_refit, epochs)
        self.phases = self.phases + again.state.phases
        self.history = self.history + again.state.history
        return method, backbone

    def _built(self, method: Method, backbone: Any) -> dict[str, Any]:
        """A phase without an epoch, of a method that learns nothing after its teacher.

        Validation data are training data of the file of a refit, so what they say of the method's
        settings has to be measured here. Else the score of the teacher, which is the same for all
        settings, would stand for it.
        """
        began = time.perf_counter()
        found = self._pipeline.deploy(method, backbone).rank(self._pipeline.data, "valid")
        seconds = time.perf_counter() - began
        return {
            "name": _BUILT,
            "epochs": 0,
            "best_epoch": None,
            "seconds": seconds,
            "best": found.metrics[SELECT_ON],
        }

    @property
    def _origin(self) -> dict[str, str]:
        return origin(self._pipeline.device)

    def _fit(
        self,
        method: Method,
        backbone: Any,
        data: Interactions,
        checkpoint: Path,
        report: Report,
        epochs: dict[str, int] | None = None,
    ) -> Fit:
        """Train to the end."""
        seed, spent = self._run.seed, self._pipeline.spent
        fit = Fit(method, backbone, data, self._training, seed, checkpoint, report, epochs, spent)
        fit.checkpoint.origin = self._origin
        fit.run()
        self.earlier += fit.checkpoint.earlier
        return fit

    def _note(self, path: Path, seconds: float) -> None:
        """Keep what the first training of a refit came to."""
        content = {
            "origin": self._origin,
            "seconds": seconds,
            "phases": self.phases,
            "history": self.history,
        }
        text = json.dumps(content).encode()
        write_atomic(path, lambda stream: stream.write(text))

    def _report_refit(self, entry: dict[str, Any]) -> None:
        self._report(entry | {"refit": True})


def _selected(
    path: Path, names: list[str], wanted: dict[str, str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], float] | None:
    """Phases, history and seconds of a first training that has ended, if it has.

    Args:
        path: of the note.
        names: of the phases of the method.
        wanted: origin of the run; a note of another one counts as none, as a damaged one does.
    """
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
        phases, history, seconds = note["phases"], note["history"], float(note["seconds"])
        whole = [phase["name"] for phase in phases] == names and isinstance(history, list)
        lasted = [phase["best_epoch"] or phase["epochs"] for phase in phases]
        whole = whole and all(isinstance(n, int) for n in lasted) and note["origin"] == wanted
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return (phases, history, seconds) if whole else None
