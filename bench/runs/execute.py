"""Carries out one run: train, pack, store, read back, measure; returns its record."""

from __future__ import annotations

import json
import platform
import resource
import subprocess
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

import bench
from bench.backbones.registry import get_backbone
from bench.data import Interactions
from bench.data.numbering import number
from bench.engine.adam import BETA1, BETA2, EPS
from bench.engine.deploy import OverBudget, look_up, lookup_speed, measure
from bench.engine.evaluate import Evaluator, Result, breakdown
from bench.engine.loop import Fit
from bench.engine.rank import rank
from bench.errors import Infeasible, StoreError
from bench.files import write_atomic
from bench.method import Method, Table
from bench.method.size import describe
from bench.records.store import Store
from bench.runs.spec import RunSpec

POPULARITY = "popularity"


@dataclass(frozen=True)
class Run:
    """A planned run.

    Attributes:
        spec: what is run.
        label: the budget as it was asked for; None without a budget.
        fraction: the budget as a share of the full table.
        command: what the user types to repeat it.
    """

    spec: RunSpec
    label: str | None
    fraction: float | None
    command: str


def table_for(spec: RunSpec, data: Interactions) -> Table:
    """The table that a run's method has to provide."""
    assert spec.training is not None
    return Table(
        users=data.users,
        items=data.items,
        dim=spec.dim,
        budget=spec.budget.budget() if spec.budget else None,
        seed=spec.seed,
        std=spec.training.init_std,
        counts=torch.from_numpy(data.counts()),
        wide=get_backbone(spec.backbone.name).narrow,
    )


def execute(
    run: Run,
    data: Interactions,
    methods: dict[str, type[Method]],
    store: Store,
    device: str = "cpu",
    parallel: bool = False,
    report: Callable[[dict[str, Any]], None] = lambda entry: None,
) -> dict[str, Any]:
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
        The record, with status ok, infeasible or failed.

    Raises:
        StoreError: the results folder cannot be written.
    """
    began, started = time.perf_counter(), _now()
    _reset_peak()
    record = blank(run, data, methods)
    record["started"] = started
    per_user: dict[str, np.ndarray] | None = None
    try:
        if run.spec.method.name == POPULARITY:
            fields, per_user = _popularity(run, data)
        else:
            fields, per_user = _learned(run, data, methods, store, device, report)
        record |= fields
    except StoreError:
        raise  # no fault of the run, which goes on from its checkpoint once there is room
    except Exception as error:
        record["status"] = "failed"
        record["error"] = {
            "type": type(error).__name__,
            "message": str(error),
            "traceback": traceback.format_exc(),
        }
    record["timings"]["total_s"] = time.perf_counter() - began
    record["timings"]["parallel"] = parallel
    record["peak_memory_bytes"] = _peak()
    record["env"] = environment(device)
    record["finished"] = _now()
    store.write(record, per_user)
    store.discard_work(run.spec.id)
    return record


def blank(
    run: Run,
    data: Interactions,
    methods: dict[str, type[Method]],
    infeasible: Infeasible | None = None,
) -> dict[str, Any]:
    """A record with what is known before the run; complete for an infeasible one."""
    spec = run.spec
    if spec.method.name == POPULARITY:
        about = {"title": "Popularity", "paper": "", "role": "reference"}
    else:
        method = methods[spec.method.name]
        about = {"title": method.title, "paper": method.paper, "role": method.role}
    record: dict[str, Any] = {
        "schema": spec.schema_,
        "id": spec.id,
        "status": "ok",
        "error": None,
        "spec": spec.canonical(),
        "method": {"name": spec.method.name, **about},
        "budget": None,
        "data": {
            "users": data.users,
            "items": data.items,
            "train": data.train.nnz,
            "valid": data.valid.nnz,
            "test": data.test.nnz,
            "repairs": data.repairs,
            "note": data.note,
            "temporal": data.temporal,
        },
        "size": None,
        "metrics": None,
        "phases": [],
        "history": [],
        "timings": {"train_s": 0.0, "evaluate_s": 0.0, "total_s": 0.0, "parallel": False},
        "peak_memory_bytes": 0,
        "command": run.command,
        "env": environment("cpu"),
        "started": _now(),
        "finished": _now(),
    }
    if spec.budget is not None:
        record["budget"] = {
            "label": run.label,
            "fraction": run.fraction,
            "cap": spec.budget.cap,
            "accounting": spec.budget.accounting,
        }
    if infeasible is not None:
        record["status"] = "infeasible"
        record["error"] = {
            "type": "Infeasible",
            "message": str(infeasible),
            "traceback": "",
            "minimum": infeasible.minimum,
        }
    return record


def _learned(
    run: Run,
    data: Interactions,
    methods: dict[str, type[Method]],
    store: Store,
    device: str,
    report: Callable[[dict[str, Any]], None],
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    spec, training = run.spec, run.spec.training
    assert training is not None
    numbered = number(data, training.numbering)
    data = numbered.data
    kind, backbone_kind = methods[spec.method.name], get_backbone(spec.backbone.name)
    table = table_for(spec, data)
    config = kind.Config.model_validate(spec.method.config)
    backbone_config = backbone_kind.Config.model_validate(spec.backbone.config)

    def build(split: Interactions) -> tuple[Method, Any]:
        method = kind(table, config).to(device)
        return method, backbone_kind(split, spec.dim, backbone_config).to(device)

    began = time.perf_counter()
    method, backbone = build(data)
    names = [phase.name for phase in method.phases]
    selected = _selected(store.work(spec.id, "selected.json"), names) if training.refit else None
    if selected is None:
        checkpoint = store.work(spec.id)
        state = Fit(method, backbone, data, training, spec.seed, checkpoint, report).run()
        selected = state.phases, state.history
    (phases, history), used = selected, data
    if training.refit:
        # From here a run that is cut off goes on with its second training.
        content = json.dumps(selected).encode()
        write_atomic(store.work(spec.id, "selected.json"), lambda stream: stream.write(content))
        used = data.refit()
        epochs = {p["name"]: p["best_epoch"] or p["epochs"] for p in phases}
        method, backbone = build(used)
        checkpoint = store.work(spec.id, "refit.safetensors")

        def tell(entry: dict[str, Any]) -> None:
            report(entry | {"refit": True})

        again = Fit(method, backbone, used, training, spec.seed, checkpoint, tell, epochs).run()
        phases, history = phases + again.phases, history + again.history
    trained = time.perf_counter() - began

    packed = {name: tensor.cpu().contiguous() for name, tensor in method.store().items()}
    content = safetensors.torch.save(packed)
    size = measure(packed, len(content))
    if spec.budget and not size.within(spec.budget.budget()):
        raise OverBudget(
            f"{spec.method.name} packs {size.of(spec.budget.budget()):,} {spec.budget.accounting},"
            f" more than its budget of {spec.budget.cap:,}"
        )
    began = time.perf_counter()
    deployed = kind.restore(safetensors.torch.load(content), table.bare(), config).to(device)
    rows = look_up(deployed, table, device)
    backbone.eval()
    test, valid = _measured(data, used, lambda e: rank(backbone, rows, e), device)
    evaluated = time.perf_counter() - began
    sizes = {
        "values": size.values,
        "bytes": size.bytes,
        "file_bytes": len(content),
        "backbone_values": sum(p.numel() for p in backbone.parameters()),
        "full_values": table.ids * table.dim,
        "full_bytes": table.ids * table.dim * 4,
        "arrays": {name: _array(name, tensor) for name, tensor in sorted(packed.items())},
    }
    fields = {
        "size": sizes,
        "metrics": {
            "valid": valid.metrics if valid else None,
            "test": test.metrics | _coverage(test, data),
        },
        "phases": phases,
        "history": history,
        "timings": {"train_s": trained, "evaluate_s": evaluated},
        "lookup": lookup_speed(deployed, table),
    }
    return fields, _in_file_order(breakdown(test, data), numbered.users)


def _in_file_order(per_user: dict[str, np.ndarray], original: np.ndarray) -> dict[str, np.ndarray]:
    """Per-user arrays under the users' original numbers, ascending, so that runs can be paired."""
    users = original[per_user["users"]]
    order = np.argsort(users)
    named = {k: per_user[k][order] for k in ("recall@20", "ndcg@20", "activity")}
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


def _measured(
    data: Interactions, used: Interactions, ranked: Callable[[Evaluator], Result], device: str
) -> tuple[Result, Result | None]:
    """Test metrics (train and validation masked) and validation metrics, over all users."""
    test = ranked(Evaluator(data.test, [data.train, data.valid], data.items, device))
    if used is not data:  # retrained on validation: nothing is held out there
        return test, None
    return test, ranked(Evaluator(data.valid, [data.train], data.items, device))


def _popularity(run: Run, data: Interactions) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Ranks items by training interactions: what is reached without any embedding."""
    began = time.perf_counter()
    counts = torch.from_numpy(data.item_counts()).float()

    def scores(users: Tensor, order: Tensor, out: Tensor) -> Tensor:
        out[:, : len(order)] = counts[order]
        return out

    test, valid = _measured(data, data, lambda evaluator: evaluator(scores), "cpu")
    packed = {"counts": torch.from_numpy(data.item_counts()).to(torch.int32)}
    file_bytes = len(safetensors.torch.save(packed))
    full = (data.users + data.items) * run.spec.dim
    fields = {
        "size": {
            "values": data.items,
            "bytes": file_bytes,
            "file_bytes": file_bytes,
            "backbone_values": 0,
            "full_values": full,
            "full_bytes": full * 4,
            "arrays": {"counts": _array("counts", packed["counts"])},
        },
        "metrics": {
            "valid": valid.metrics if valid else None,
            "test": test.metrics | _coverage(test, data),
        },
        "timings": {"train_s": 0.0, "evaluate_s": time.perf_counter() - began},
    }
    return fields, breakdown(test, data)


def _array(name: str, tensor: Tensor) -> dict[str, Any]:
    (dtype, shape) = describe({name: tensor})[name]
    kind = "values" if dtype.is_floating_point else "indices"
    if name.endswith((".mask", ".counts", ".columns")):
        kind = "mask"
    elif dtype in (torch.int8, torch.uint8):
        kind = "codes"
    code = {"torch.float32": "F32", "torch.float16": "F16"}.get(str(dtype))
    return {
        "dtype": code or str(dtype).removeprefix("torch.").replace("uint", "U").replace("int", "I"),
        "shape": list(shape),
        "bytes": prod(shape) * tensor.element_size(),
        "kind": kind,
    }


def _coverage(result: Result, data: Interactions) -> dict[str, float]:
    """Share of the catalogue that stands in anybody's top 20."""
    return {"coverage@20": len(np.unique(result.top[:, :20])) / data.items}


@cache
def _commit() -> str:
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=Path(bench.__file__).parent,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.stdout.strip()


def environment(device: str) -> dict[str, Any]:
    """What ran: versions, machine, code state."""
    gpu = torch.cuda.get_device_name() if device.startswith("cuda") else "cpu"
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": f"{platform.system()} {platform.machine()}",
        "device": gpu,
        "threads": torch.get_num_threads(),
        "commit": _commit(),
        "bench": bench.__version__,
        "adam": {"betas": [BETA1, BETA2], "eps": EPS},
    }


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _reset_peak() -> None:
    """Starts the kernel's peak-memory count anew, where it can be (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _peak() -> int:
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
