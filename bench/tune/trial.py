"""One trial: train under some settings and measure on validation data; there is no test data here.

The data that a trial is given has lost its test part (`blind`), so that nothing, by mistake or by
design, can be selected by it.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import safetensors.torch

from bench.backbones.registry import get_backbone
from bench.data import CSR, Interactions
from bench.data.numbering import number
from bench.engine.deploy import OverBudget, look_up, measure
from bench.engine.evaluate import Evaluator
from bench.engine.loop import SELECT_ON, Fit
from bench.engine.rank import rank
from bench.method import Method
from bench.records.store import Store
from bench.runs.execute import Run, table_for
from bench.runs.pool import Job


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
    data = number(data, training.numbering).data
    kind, backbone_kind = methods[spec.method.name], get_backbone(spec.backbone.name)
    table = table_for(spec, data)
    config = kind.Config.model_validate(spec.method.config)
    method = kind(table, config).to(device)
    backbone = backbone_kind(
        data, spec.dim, backbone_kind.Config.model_validate(spec.backbone.config)
    ).to(device)

    def told(entry: dict[str, Any]) -> None:
        report(entry)
        # From the history, which a trial that goes on from a checkpoint has in full.
        curve[:] = [one[SELECT_ON] for one in fit.state.history if SELECT_ON in one]
        if SELECT_ON in entry and len(curve) <= len(bars) and max(curve) < bars[len(curve) - 1]:
            raise _Hopeless

    fit = Fit(method, backbone, data, training, spec.seed, store.work(spec.id), told)
    fit.run()
    packed = {name: tensor.cpu().contiguous() for name, tensor in method.store().items()}
    content = safetensors.torch.save(packed)
    size = measure(packed, len(content))
    if spec.budget and not size.within(spec.budget.budget()):
        raise OverBudget(f"{size.bytes:,} bytes, {size.values:,} values; cap {spec.budget.cap:,}")
    deployed = kind.restore(safetensors.torch.load(content), table.bare(), config).to(device)
    backbone.eval()
    evaluator = Evaluator(data.valid, [data.train], data.items, device)
    found = rank(backbone, look_up(deployed, table, device), evaluator)
    return {
        "value": found.metrics[SELECT_ON],
        "size": {"values": size.values, "bytes": size.bytes},
    }


def pruned_trial(
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
