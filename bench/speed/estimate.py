"""Estimating how long a plan takes, from a few timed steps and one ranking of each method."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

import torch

from bench.data import Interactions
from bench.engine.settings import Training
from bench.method import Method
from bench.records.schema import Record
from bench.runs.plan import Planned
from bench.runs.spec import RunSpec
from bench.runs.teacher import teacher_spec
from bench.speed.measure import renumbered
from bench.speed.probe import Probe, clock, tested

_STEPS = 4  # timed after a first step that does not count
_LONG = 3.0  # seconds of steps that are enough for a phase
_LIMIT = 120.0  # seconds after which no further method is timed
_USERS = {True: (256, 1024), False: (8, 32)}  # by Backbone.dot: networks take longer
_START = 4.0  # seconds until a worker has imported torch and loaded the data


@dataclass(frozen=True)
class Cost:
    """Time that a method takes under a backbone and a budget.

    Attributes:
        phases: seconds of an epoch, and whether it is a search, by name of the phase.
        ranking: seconds of a ranking without users (rows are composed), and seconds per user.
        build: seconds until the first step, for numbering ids and building method and backbone.
    """

    phases: Mapping[str, tuple[float, bool]]
    ranking: tuple[float, float]
    build: float = 0.0

    def rank(self, users: int) -> float:
        """Seconds of a ranking for a number of users."""
        return self.ranking[0] + users * self.ranking[1]


@dataclass(frozen=True)
class Estimate:
    """Seconds of a plan.

    Attributes:
        seconds: until the last run has ended.
        work: seconds of all runs, one after another.
        runs: number of missing runs.
        epochs: expected share of the maximum epochs; 1 without records.
        from_records: whether that share comes from records.
        untimed: methods that were not timed, because time was up or because they raised.
    """

    seconds: float
    work: float
    runs: int
    epochs: float
    from_records: bool
    untimed: tuple[str, ...] = ()


def estimate(
    planned: Sequence[Planned],
    done: set[str],
    data: Interactions,
    methods: Mapping[str, type[Method]],
    records: Iterable[Record],
    workers: int,
    device: str = "cpu",
    tell: Callable[[int, int, str], None] = lambda done, total, what: None,
) -> Estimate | None:
    """Estimate the time of the missing runs of a plan; None if nothing is missing.

    Each method is timed under each backbone at its middle budget. A teacher, which several runs
    share, counts once: as a run of the full table. With one thread the clock is
    processor time, so that other programs do not count. After two minutes no further method is
    timed. Methods without a time count as the average of the timed ones, of the same backbone if
    there are any.

    Args:
        planned: the plan.
        done: ids of its runs that have a record.
        data: the split.
        methods: all known methods.
        records: earlier ones; those of the same split give the expected number of epochs.
        workers: runs at a time.
        device: where.
        tell: told of progress.
    """
    missing = [
        one.run.spec
        for one in planned
        if one.run.spec.id not in done
        and one.infeasible is None
        and one.run.spec.training is not None
    ]
    if not missing:
        return None
    groups: dict[tuple[str, str], list[RunSpec]] = defaultdict(list)
    for spec in _with_teachers(missing):
        groups[spec.backbone.name, spec.method.name].append(spec)
    shares = epoch_shares(one for one in records if one.spec.dataset.split == data.split)
    every = [share for found in shares.values() for share in found]
    usual = fmean(every) if every else 1.0
    users = tested(data), int((data.valid.degrees() > 0).sum())
    costs: dict[tuple[str, str], Cost] = {}
    began = time.monotonic()
    for at, (key, specs) in enumerate(groups.items()):
        if time.monotonic() - began > _LIMIT:
            break
        tell(at, len(groups), "timing " + " ".join(key))
        # A method that raises will give a failed record; it must not stop the estimate.
        with contextlib.suppress(Exception):
            costs[key] = measure(_middle(specs), data, methods, device)

    def of(spec: RunSpec) -> float:
        key = spec.backbone.name, spec.method.name
        found = shares.get(key)
        alike = [cost for (backbone, _), cost in costs.items() if backbone == key[0]]
        options = [costs[key]] if key in costs else alike or list(costs.values())
        assert spec.training is not None
        share = fmean(found) if found else usual
        each = [run_seconds(cost, spec.training, share, *users) for cost in options]
        return fmean(each) if each else 0.0

    seconds = [of(spec) for spec in _with_teachers(missing)]
    return Estimate(
        seconds=spread(seconds, workers) + _START,
        work=sum(seconds),
        runs=len(missing),
        epochs=usual,
        from_records=bool(every),
        untimed=tuple(" ".join(key) for key in groups if key not in costs),
    )


def measure(
    spec: RunSpec, data: Interactions, methods: Mapping[str, type[Method]], device: str
) -> Cost:
    """Time a few steps of each phase of a run, and one ranking for some users."""
    phases: dict[str, tuple[float, bool]] = {}
    where = torch.device(device)
    began = clock(where)
    numbered = renumbered(spec, data)
    build = clock(where) - began
    ranking = 0.0, 0.0
    for number in range(len(methods[spec.method.name].phases)):
        began = clock(where)
        probe = Probe(spec, numbered, methods, number, device)
        build += (clock(where) - began) * (number == 0)  # one for all phases
        probe.steps(1)  # it may compile for minutes, so it tells nothing
        probe.around()
        steps = probe.steps(1)
        while len(steps) < _STEPS and sum(steps) < _LONG:
            steps += probe.steps(1)
        epoch = median(steps) * probe.batches + probe.around()
        phases[probe.phase.name] = epoch, probe.phase.until_budget
        few, more = (probe.evaluator(users) for users in _USERS[probe.backbone.dot])
        low, high = len(few.users), len(more.users)
        probe.evaluation(few)
        short, long = probe.evaluation(few), probe.evaluation(more)
        each = max(0.0, long - short) / (high - low) if high > low else long / high
        ranking = max(0.0, long - high * each), each
        probe.close()
    return Cost(phases, ranking, build)


def run_seconds(cost: Cost, training: Training, share: float, tested: int, valid: int) -> float:
    """Seconds of one run.

    Args:
        cost: of its method.
        training: gives the maximum epochs.
        share: expected share of the maximum epochs, for phases that validation ends.
        tested: users of the test part.
        valid: users of the validation part.
    """
    searches = [epoch for epoch, search in cost.phases.values() if search]
    others = [epoch for epoch, search in cost.phases.values() if not search]
    most = max(1, min(training.search_epochs, training.epochs - len(others)))
    left = (training.epochs - most * len(searches)) / max(1, len(others))
    epochs = max(1.0, share * left)
    trained = sum(searches) * most + sum(others) * epochs
    watched = min(training.valid_users or valid, valid)
    ranked = len(others) * epochs / training.eval_every * cost.rank(watched)
    again = trained if training.refit else 0.0  # the same once more, without ranking
    return cost.build + trained + ranked + again + cost.rank(tested) + cost.rank(valid)


def epoch_shares(records: Iterable[Record]) -> dict[tuple[str, str], list[float]]:
    """Shares of the maximum epochs that recorded runs took, by backbone and method."""
    shares: dict[tuple[str, str], list[float]] = defaultdict(list)
    for record in records:
        cap = (record.spec.training or {}).get("epochs")
        # Only phases that validation ends have a best epoch; they have what searches leave.
        epochs = [phase.epochs for phase in record.phases if phase.best_epoch]
        searched = sum(phase.epochs for phase in record.phases if not phase.best_epoch)
        if record.status == "ok" and cap and epochs:
            key = record.spec.backbone.name, record.method.name
            shares[key].append(min(1.0, max(epochs) / max(1, cap - searched)))
    return dict(shares)


def spread(seconds: Sequence[float], workers: int) -> float:
    """Seconds until all runs have ended; each free worker takes the next run in this order."""
    free = [0.0] * max(1, workers)
    for one in seconds:
        free[free.index(min(free))] += one
    return max(free)


def _with_teachers(specs: Sequence[RunSpec]) -> list[RunSpec]:
    """The runs, and in front of them the trainings of the teachers that they need."""
    teachers = {one.id: one for one in (teacher_spec(spec) for spec in specs if spec.teacher)}
    return [*teachers.values(), *specs]


def _middle(specs: Sequence[RunSpec]) -> RunSpec:
    """The run of the middle budget."""
    return sorted(specs, key=lambda s: s.budget.cap if s.budget else 0)[len(specs) // 2]
