"""`bench speed`: methods are timed in turns, so that other load affects all of them alike."""

from __future__ import annotations

import contextlib
import resource
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch

from bench.data import Interactions
from bench.data.numbering import number
from bench.errors import BenchError
from bench.method import Method
from bench.runs.environment import environment
from bench.runs.plan import Planned
from bench.runs.spec import RunSpec
from bench.speed.floors import Floor, evaluation_floor, step_floor
from bench.speed.probe import Probe, clock_name, tested

SCHEMA = 1
BASELINE = "ceiling"  # role of the method whose epochs the others are compared with


@dataclass(frozen=True)
class Effort:
    """How much is timed.

    Attributes:
        steps: steps of each method in a round.
        rounds: number of rounds; results are medians.
    """

    steps: int = 10
    rounds: int = 5


@dataclass
class Line:
    """The measurements of one phase of one method."""

    probe: Probe
    name: str
    phase: str
    budget: str | None
    floor: Floor
    evaluator: Any = None
    evaluation_floor: Floor | None = None
    steps: list[float] = field(default_factory=list)
    around: list[float] = field(default_factory=list)
    floors: list[dict[str, float]] = field(default_factory=list)
    evaluations: list[float] = field(default_factory=list)
    evaluation_floors: list[dict[str, float]] = field(default_factory=list)
    peak: int = 0


def measure(
    planned: Sequence[Planned],
    data: Interactions,
    methods: Mapping[str, type[Method]],
    effort: Effort,
    device: str = "cpu",
    tell: Callable[[int, int, str], None] = lambda done, total, what: None,
) -> dict[str, Any]:
    """Time every phase of every method of a plan, and the floors.

    Args:
        planned: runs; the first seed of each method, backbone and budget is timed.
        data: the split.
        methods: all known methods.
        effort: steps and rounds.
        device: where to train and rank.
        tell: told of progress: units done, units in all, what comes next.

    Returns:
        The object that `--json` prints; see docs/speed.md.

    Raises:
        BenchError: no run of the plan can be timed.
    """
    specs = chosen(planned)
    if not specs:
        raise BenchError("nothing to time: no method of the plan is trained and feasible")
    phases = [
        (one, number_)
        for one in specs
        for number_ in range(len(methods[one.run.spec.method.name].phases))
    ]
    total = len(phases) * (1 + effort.rounds)
    lines: list[Line] = []
    base = _peak(reset=True)
    for one, number_ in phases:
        spec = one.run.spec
        tell(len(lines), total, f"building {spec.method.name}")
        lines.append(_line(one, data, methods, number_, device, base))
    for turn in range(effort.rounds):
        for at, line in enumerate(lines):
            tell(len(lines) + turn * len(lines) + at, total, f"{line.name} {line.phase}")
            line.steps += line.probe.steps(effort.steps)
            line.around.append(line.probe.around())
            line.floors.append(line.floor.measure())
            if line.evaluator is not None and line.evaluation_floor is not None:
                line.evaluations.append(line.probe.evaluation(line.evaluator))
                line.evaluation_floors.append(line.evaluation_floor.measure())
    for line in lines:
        line.probe.close()
    rows = [_row(line) for line in lines]
    for row in rows:
        full = [
            one
            for one in rows
            if methods[one["method"]].role == BASELINE and one["backbone"] == row["backbone"]
        ]
        row["epoch_ratio_to_full"] = row["epoch_s"] / full[0]["epoch_s"] if full else None
    spec = specs[0].run.spec
    assert spec.training is not None
    return {
        "schema": SCHEMA,
        "dataset": data.name,
        "split": data.split,
        "users": data.users,
        "items": data.items,
        "train": data.train.nnz,
        "dim": spec.dim,
        "training": spec.training.model_dump(mode="json"),
        "effort": {"steps": effort.steps * effort.rounds, "rounds": effort.rounds},
        "clock": clock_name(torch.device(device)),
        "env": environment(device),
        "rows": rows,
    }


def chosen(planned: Sequence[Planned]) -> list[Planned]:
    """The feasible, trained runs of a plan, of the first seed only."""
    found: dict[tuple[Any, ...], Planned] = {}
    for one in planned:
        spec = one.run.spec
        if spec.training is not None and one.infeasible is None:
            found.setdefault((spec.backbone.name, spec.method.name, one.run.label), one)
    return list(found.values())


def renumbered(spec: RunSpec, data: Interactions) -> Interactions:
    """The data in a run's numbering of ids."""
    assert spec.training is not None
    return number(data, spec.training.numbering).data


def _line(
    one: Planned,
    data: Interactions,
    methods: Mapping[str, type[Method]],
    phase: int,
    device: str,
    base: int,
) -> Line:
    spec = one.run.spec
    before = _resident()
    _peak(reset=True)
    probe = Probe(spec, renumbered(spec, data), methods, phase, device)
    probe.steps(3)  # to warm up, and to reach the peak of memory
    line = Line(probe, spec.method.name, probe.phase.name, one.run.label, step_floor(probe))
    if not probe.phase.until_budget and probe.phase is probe.method.phases[-1]:
        line.evaluator = probe.evaluator()
        line.evaluation_floor = evaluation_floor(probe)
        probe.evaluation(line.evaluator)
    line.peak = base + max(0, _peak(reset=False) - before)
    return line


def _row(line: Line) -> dict[str, Any]:
    probe, step = line.probe, median(line.steps)
    floor = _medians(line.floors)
    epoch = step * probe.batches + median(line.around)
    # Ratios are of times in the same round, so that other load affects both.
    per_round = len(line.steps) // len(line.floors)
    ratio = median(
        median(line.steps[i * per_round : (i + 1) * per_round]) / sum(floors.values())
        for i, floors in enumerate(line.floors)
    )
    row: dict[str, Any] = {
        "method": line.name,
        "backbone": probe.backbone.name,
        "phase": line.phase,
        "budget": line.budget,
        "epoch_s": epoch,
        "positives_per_s": probe.positives / epoch,
        "steps": probe.batches,
        "steps_timed": len(line.steps),
        "step_s": step,
        "around_s": median(line.around),
        "floor": floor,
        "floor_s": sum(floor.values()),
        "ratio": ratio,
        "evaluation": None,
        "peak_memory_bytes": line.peak,
    }
    if line.evaluations:
        floor = _medians(line.evaluation_floors)
        users, of = len(line.evaluator.users), tested(probe.data)
        scale = of / users
        row["evaluation"] = {
            "seconds": median(line.evaluations) * scale,
            "users_timed": users,
            "users": of,
            "floor": floor,
            "floor_s": sum(floor.values()),
            "ratio": median(
                seconds * scale / sum(floors.values())
                for seconds, floors in zip(line.evaluations, line.evaluation_floors, strict=True)
            ),
        }
    return row


def _medians(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: median(one[name] for one in rounds) for name in rounds[0]}


def _status(name: str) -> int:
    try:
        for text in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if text.startswith(name):
                return int(text.split()[1]) * 1024
    except OSError:
        pass
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _resident() -> int:
    return _status("VmRSS")


def _peak(reset: bool) -> int:
    """Peak of memory since the last reset; only Linux can reset it."""
    if reset:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    return _status("VmHWM")
