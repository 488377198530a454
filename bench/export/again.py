"""Training a run again, for its file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.backbones.registry import get_backbone
from bench.data import Interactions
from bench.engine.deploy import look_up
from bench.engine.loop import Fit
from bench.engine.rank import rank
from bench.errors import BenchError
from bench.judge.ranking import evaluator
from bench.method import Method
from bench.method.file import read_file, write_file
from bench.method.identity import source_hash
from bench.records.schema import Record
from bench.runs.pipeline import Pipeline
from bench.runs.spec import RunSpec
from bench.runs.teacher import Lender

Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Table:
    """A table that was trained again.

    Attributes:
        content: its file.
        split: that it was trained on, in the numbers of its files.
        test: metrics of this file on test data; None where these were trained on, too.
    """

    content: bytes
    split: Interactions
    test: dict[str, float] | None


def train_again(
    record: Record,
    data: Interactions,
    methods: Mapping[str, type[Method]],
    device: str = "cpu",
    report: Report = lambda entry: None,
    everything: bool = False,
) -> Table:
    """Train a run again as its record says.

    Args:
        record: of the run.
        data: its split.
        methods: all known methods.
        device: where to train.
        report: told of every epoch.
        everything: train on all interactions, test data too. The number of epochs is chosen on
            validation data, and then all is trained again with them.

    Raises:
        BenchError: the method of the run is not there, or it or the backbone is another one by
            now.
    """
    spec = RunSpec.model_validate(record.spec.canonical())
    kind = _same_method(record, methods)
    _check_backbone(record)
    if everything:
        data, spec = data.merged("test", "test"), _refitted(spec)
    pipeline = Pipeline(spec, data, methods, device, Lender(None, device, report))
    training = spec.training
    assert training is not None
    method, backbone = pipeline.build(pipeline.data)
    spent = pipeline.spent
    state = Fit(
        method, backbone, pipeline.data, training, spec.seed, report=report, spent=spent
    ).run()
    if training.refit:
        epochs = {one["name"]: one["best_epoch"] or one["epochs"] for one in state.phases}
        merged = pipeline.data.refit()
        method, backbone = pipeline.build(merged)
        spent = pipeline.spent
        Fit(method, backbone, merged, training, spec.seed, None, report, epochs, spent).run()
    content = write_file(method)
    if everything:
        return Table(content, data, None)
    _, found = read_file(kind, content)
    found = found.to(device)
    backbone.eval()
    rows = look_up(found, found.table, device)
    test = rank(backbone, rows, evaluator(pipeline.data, "test", device))
    return Table(content, data, test.metrics)


def _same_method(record: Record, methods: Mapping[str, type[Method]]) -> type[Method]:
    """The class of a run's method."""
    spec = record.spec.method
    kind = methods.get(spec.name)
    if kind is None:
        raise BenchError(f"there is no method {spec.name!r} here; give its file with --plugin")
    if source_hash(kind) != spec.source or kind.revision != spec.revision:
        raise BenchError(
            f"{spec.name} is not the method that the run {record.id} was made with: its code has"
            " changed; run it again with `bench run`, and export that run"
        )
    return kind


def _check_backbone(record: Record) -> None:
    """Refuse a run whose backbone has had settings since that the record does not have."""
    spec = record.spec.backbone
    config = get_backbone(spec.name).Config.model_validate(spec.config)
    if new := sorted(set(config.stored()) - set(spec.config)):
        raise BenchError(
            f"{spec.name} is not the backbone that the run {record.id} was made with: it has"
            f" {', '.join(new)} now; run it again with `bench run`, and export that run"
        )


def _refitted(spec: RunSpec) -> RunSpec:
    """The run with a second training on training and validation data."""
    assert spec.training is not None
    changes: dict[str, Any] = {"training": spec.training.model_copy(update={"refit": True})}
    if spec.teacher is not None:
        changes["teacher"] = spec.teacher.model_copy(update={"refit": True})
    return spec.model_copy(update=changes)
