"""What a method is given beside counts: training pairs, and a teacher.

A teacher is a trained full table. Runs with the same data, backbone, teacher's training and seed
share one: it is exactly the table that the run of `full` trains under these settings. The first run
that needs it trains it, under a lock, and leaves it in the work folder of the results, where later
runs find it. A file that is damaged, or that other code has made, is made again. Its epochs and
seconds count as each run's own.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from bench.backbones.registry import get_backbone
from bench.data import Interactions
from bench.engine.checkpoint import checksum, with_prefix
from bench.engine.loop import Fit
from bench.files import take_lock, write_atomic
from bench.method import Method, Pairs, Table
from bench.methods.full import Full
from bench.records.schema import MethodSpec
from bench.records.store import Store
from bench.runs.environment import origin
from bench.runs.spec import RunSpec

PHASE = "teacher"
"""Name of the teacher's training among the phases of a run."""

_BACKBONE = "backbone."
_log = logging.getLogger(__name__)

Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Teacher:
    """A trained full table.

    Attributes:
        rows: float32 [N, dim], of all ids.
        backbone: state of the backbone that was trained with it; empty where it learns nothing.
        phases: of its training, as records have them.
        seconds: that making it took.
    """

    rows: Tensor
    backbone: dict[str, Tensor]
    phases: tuple[dict[str, Any], ...]
    seconds: float


@dataclass(frozen=True)
class Lent:
    """What one training of a run starts from.

    Attributes:
        table: what the method has to provide, with all that it needs.
        backbone: state that the backbone starts from; empty: from its initial weights.
        phases: of the teacher's training.
        seconds: that making the teacher took, in this run or in another.
        waited: seconds that this run has spent on getting it.
    """

    table: Table
    backbone: dict[str, Tensor] = field(default_factory=dict)
    phases: tuple[dict[str, Any], ...] = ()
    seconds: float = 0.0
    waited: float = 0.0


class Lender:
    """Gives methods what they need.

    Args:
        store: where teachers are kept; None: each run makes its own.
        device: where teachers are trained.
        report: told of every epoch of a teacher.
    """

    def __init__(
        self,
        store: Store | None = None,
        device: str = "cpu",
        report: Report = lambda entry: None,
    ) -> None:
        self._store, self._device, self._report = store, device, report

    def lend(
        self, kind: type[Method], spec: RunSpec, table: Table, data: Interactions, refit: bool
    ) -> Lent:
        """Complete the table of a run by what its method needs.

        Args:
            kind: the method.
            spec: of the run.
            table: without interactions and teacher.
            data: in the run's numbering, with its validation part.
            refit: whether the run trains on training and validation data now.

        Raises:
            StoreError: the work folder cannot be written.
        """
        if "interactions" in kind.needs:
            train = (data.refit() if refit else data).train
            table = replace(table, interactions=Pairs.of(train, data.items))
        if "teacher" not in kind.needs:
            return Lent(table)
        began = time.perf_counter()
        teacher = self.teacher(spec, data, refit)
        waited = time.perf_counter() - began
        phases = tuple({**phase, "name": PHASE} for phase in teacher.phases)
        table = replace(table, teacher=teacher.rows)
        return Lent(table, teacher.backbone, phases, teacher.seconds, waited)

    def teacher(self, spec: RunSpec, data: Interactions, refit: bool = False) -> Teacher:
        """The teacher of a run; arguments as of `lend`.

        Raises:
            StoreError: the work folder cannot be written.
        """
        first = self.teacher(spec, data) if refit else None
        wanted = teacher_spec(spec)
        if self._store is None:
            return self._make(wanted, data, first, None)
        name = f"{PHASE}-{wanted.id}{'-refit' if refit else ''}"
        path = self._store.work(name)
        shape, code = (data.users + data.items, spec.dim), origin(self._device)["code"]
        found = _read(path, shape, code)
        if found is not None:
            return found
        with take_lock(self._store.work(name, "lock")):
            found = _read(path, shape, code)  # another worker may have made it in the meantime
            if found is None:
                found = self._make(wanted, data, first, self._store.work(name, "checkpoint"))
                _write(path, found, code)
                self._store.work(name, "checkpoint").unlink(missing_ok=True)
        return found

    def _make(
        self, spec: RunSpec, data: Interactions, first: Teacher | None, checkpoint: Path | None
    ) -> Teacher:
        """Train a teacher; with `first`, on training and validation data for its epochs."""
        began = time.perf_counter()
        assert spec.training is not None
        epochs = None
        if first is not None:
            epochs = {one["name"]: one["best_epoch"] or one["epochs"] for one in first.phases}
            data = data.refit()
        kind = get_backbone(spec.backbone.name)
        backbone = kind(data, spec.dim, kind.Config.model_validate(spec.backbone.config))
        table = Table(data.users, data.items, spec.dim, seed=spec.seed, std=spec.training.init_std)
        method = Full(table, Full.Config()).to(self._device)
        backbone = backbone.to(self._device)
        training, seed = spec.training, spec.seed
        fit = Fit(method, backbone, data, training, seed, checkpoint, self._told, epochs)
        fit.checkpoint.origin = origin(self._device)
        phases = tuple(fit.run().phases)
        with torch.no_grad():
            rows = method(torch.arange(table.ids, device=self._device)).cpu()
        weights = {name: tensor.cpu() for name, tensor in backbone.state_dict().items()}
        seconds = time.perf_counter() - began + fit.checkpoint.earlier
        return Teacher(rows, weights, phases, seconds)

    def _told(self, entry: dict[str, Any]) -> None:
        self._report(entry | {"phase": PHASE})


def teacher_spec(spec: RunSpec) -> RunSpec:
    """The run whose trained table is the teacher of a run."""
    assert spec.teacher is not None, (
        "the method needs a teacher, and the spec has no training of it"
    )
    part = MethodSpec(name=Full.name, revision=Full.revision, config=Full.Config().record())
    changes = {"method": part, "budget": None, "training": spec.teacher, "teacher": None}
    return spec.model_copy(update=changes)


def stand_in(kind: type[Method], table: Table, data: Interactions) -> Table:
    """The table with a random teacher, for measurements that need no good one."""
    if "interactions" in kind.needs:
        table = replace(table, interactions=Pairs.of(data.train, data.items))
    if "teacher" in kind.needs:
        drawn = torch.randn(table.ids, table.dim, generator=torch.Generator().manual_seed(0))
        table = replace(table, teacher=drawn)
    return table


def _write(path: Path, teacher: Teacher, code: str) -> None:
    tensors = {"rows": teacher.rows.contiguous()}
    tensors |= {_BACKBONE + name: one.contiguous() for name, one in teacher.backbone.items()}
    text = json.dumps({"phases": teacher.phases, "seconds": teacher.seconds, "code": code})
    meta = {"state": text, "crc32": checksum(text, tensors)}
    content = safetensors.torch.save(tensors, meta)
    write_atomic(path, lambda stream: stream.write(content))


def _read(path: Path, shape: tuple[int, int], code: str) -> Teacher | None:
    """The teacher in a file; None if there is none, if it is damaged, or if other code made it."""
    if not path.exists():
        return None
    try:
        with safetensors.safe_open(str(path), "pt") as stored:
            meta = stored.metadata()
            tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118
        if meta["crc32"] != checksum(meta["state"], tensors):
            raise ValueError("its checksum is wrong")
        if tensors["rows"].shape != shape:
            raise ValueError("its table has another shape")
        state = json.loads(meta["state"])
        if state.get("code") != code:
            raise ValueError(f"it was made by the code {state.get('code', 'unknown')}")
        return Teacher(
            tensors["rows"],
            with_prefix(_BACKBONE, tensors),
            tuple(state["phases"]),
            state["seconds"],
        )
    except Exception as error:  # whatever the file holds, the teacher can be made again
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        _log.warning("%s: not used, the teacher is trained again (%s)", path, reason)
        return None
