"""Tune several methods with the same number of trials, sampler, pruning and conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.data import Interactions
from bench.engine.settings import Training
from bench.errors import SpecError
from bench.method import LogRange, Method, Space
from bench.records.protocol import OWNED_TRAINING
from bench.records.store import Store
from bench.runs.plan import Planned, Planner
from bench.runs.pool import Job, Listener, run_all
from bench.runs.settings import resolve, shared_training, with_override, without_own_rates
from bench.runs.spec import Run
from bench.runs.suite import Suite
from bench.runs.tuned import Tuned
from bench.tune.study import ROUND, Asked, Study, best, counts, study_id
from bench.tune.trial import pruned_trials

FOLDER = "tune"
"""Folder of studies inside a results folder."""

_FACTOR = 5.0  # the search covers the suite's learning rate divided and multiplied by this
_L2 = LogRange(1e-7, 1e-2)


@dataclass(frozen=True)
class Terms:
    """Settings that all methods of a study share.

    Attributes:
        suite: settings of the runs, with one backbone. The search starts from the suite's settings
            of the method at the budget. Settings outside the method's search space stay fixed.
            The suite's learning rates of single methods are ignored, because the search finds
            them; it starts from the shared one.
        budget: the budget at which the methods are tuned.
        trials: number of trials of each method.
        own: training settings that each method tunes for itself, of `protocol.OWNED_TRAINING`.
        seed: seed of the runs; boards use other seeds, so that no setting was selected on theirs.
        sampler_seed: seed of the search.
    """

    suite: Suite
    budget: str
    trials: int
    own: tuple[str, ...] = ()
    seed: int = 1000
    sampler_seed: int = 0

    def __post_init__(self) -> None:
        for name in self.own:
            if name not in OWNED_TRAINING:
                raise SpecError(
                    f"--own {name}: a method may tune {' and '.join(OWNED_TRAINING)} for itself;"
                    " a board shares all other settings of training"
                )
        if len(self.suite.backbones) != 1:
            raise SpecError(
                f"tuning is for one backbone, the suite has {', '.join(self.suite.backbones)};"
                " name one with --backbone"
            )
        # A refit leaves no validation part, and earlier tuned learning rates are not used.
        suite = with_override(without_own_rates(self.suite), {"training.refit": False})
        object.__setattr__(self, "suite", suite)

    @property
    def training(self) -> Training:
        """The training settings of all trials, except those in `own`."""
        return shared_training(self.suite, self.suite.backbones[0])

    def conditions(self, data: Interactions) -> dict[str, Any]:
        """The conditions of the tuning, for the file of the best settings."""
        suite = self.suite
        return {
            "dataset": data.name,
            "split": data.split,
            "fingerprint": data.fingerprint[:12],
            "backbone": suite.backbones[0],
            "backbone_config": suite.backbone.get(suite.backbones[0], {}),
            "dim": suite.dim,
            "budget": self.budget,
            "accounting": suite.accounting,
            "selected_by": "validation NDCG@20",
            "trials": self.trials,
            "sampler": f"TPE in rounds of {ROUND}, seed {self.sampler_seed}; median pruning",
            "own": list(self.own),
            "seed": self.seed,
            "training": self.training.model_dump(mode="json"),
        }


class Tuning:
    """The study of one method: its runs and their outcomes."""

    def __init__(self, terms: Terms, kind: type[Method], data: Interactions, root: Path) -> None:
        self.terms, self.kind, self.data = terms, kind, data
        training = terms.training
        self._label = terms.budget if kind.budgeted else None
        found = resolve(terms.suite, kind, self._label, terms.suite.backbones[0])
        config, self._knobs = found.config, found.knobs
        self.space: dict[str, Space] = dict(kind.space)
        unknown = set(kind.space) - set(kind.Config.model_fields)
        if unknown:
            raise SpecError(
                f"{kind.name}: `space` names {min(unknown)!r}, which is not a knob of the method"
            )
        self.start = {name: getattr(config, name) for name in kind.space}
        for name in terms.own:
            low, high = training.lr / _FACTOR, training.lr * _FACTOR
            self.space[f"training.{name}"] = LogRange(low, high) if name == "lr" else _L2
            self.start[f"training.{name}"] = getattr(training, name) or _L2.low
        conditions = terms.conditions(data)
        conditions |= {
            "method": kind.name,
            "revision": kind.revision,
            "config": config.record(),
            "space": {name: repr(one) for name, one in self.space.items()},
        }
        del conditions["trials"]  # a study with more trials continues one with fewer
        suite = terms.suite
        folder = root / data.split / suite.backbones[0] / kind.name
        path = folder / f"{study_id(conditions)}.jsonl"
        self.study = Study(path, conditions, self.space, self.start, terms.sampler_seed)
        self._asked: dict[str, list[Asked]] = {}

    def settings(self, params: Mapping[str, Any]) -> Tuned:
        """Return the parameters of a trial as settings of the method."""
        own = {k.removeprefix("training."): v for k, v in params.items() if "." in k}
        knobs = {k: v for k, v in params.items() if "." not in k}
        return Tuned(config=self._knobs | knobs, training=own)

    def planned(self, params: Mapping[str, Any]) -> Planned:
        """Return the run of a trial; its parameters override the suite."""
        terms = self.terms
        suite = terms.suite
        if params:
            suite = with_override(suite, params, method=self.kind.name)
        planner = Planner(suite, self.data)
        return planner.run(self.kind, suite.backbones[0], self._label, terms.seed)

    def ask(self, many: int) -> list[Run]:
        """Return the runs of the next round without an outcome; each distinct run once."""
        self._asked = {}
        runs: dict[str, Run] = {}
        for asked in self.study.ask(many):
            if asked.number in self.study.outcomes:
                continue
            planned = self.planned(asked.params)
            run = planned.run
            self._asked.setdefault(run.spec.id, []).append(asked)
            earlier = (e for e in self.study.outcomes.values() if e["run"] == run.spec.id)
            if known := next(earlier, None):
                self.take(run.spec.id, known)
            elif planned.infeasible:
                self.take(run.spec.id, {"status": "infeasible", "error": str(planned.infeasible)})
            else:
                runs[run.spec.id] = run
        return list(runs.values())

    def name_of(self, run: str) -> str:
        """Return the name of a run, made of the trials that asked for it."""
        return "trial " + " and ".join(str(asked.number) for asked in self._asked[run])

    def take(self, run: str, outcome: Mapping[str, Any]) -> None:
        """Store the outcome of a run for the trials that asked for it."""
        for asked in self._asked.pop(run, ()):
            first = next((n for n, e in self.study.outcomes.items() if e["run"] == run), None)
            entry = {"value": None, "curve": [], **outcome, "run": run, "params": asked.params}
            if first is not None:
                entry |= {"of": first, "seconds": 0.0}
            self.study.keep(asked.number, entry)

    def outcome(self) -> Outcome:
        """Return the outcome of the study."""
        finished = {n: e for n, e in self.study.outcomes.items() if n < self.terms.trials}
        found, first = best(finished), finished.get(0)
        default = first["value"] if first and first["status"] == "complete" else None
        tuned = None
        if found is not None:
            tuned = self.settings(found["params"]).model_copy(
                update={
                    "valid": round(found["value"], 6),
                    "default": None if default is None else round(default, 6),
                    "trials": counts(finished, self.terms.trials),
                }
            )
        return Outcome(
            self.kind.name, counts(finished, self.terms.trials), tuned, default, self.study.path
        )


@dataclass(frozen=True)
class Outcome:
    """Outcome of the study of a method.

    Attributes:
        method: name of the method.
        counts: number of planned trials, and of trials by outcome.
        tuned: the best settings; None if no trial was completed.
        default: validation NDCG@20 of the default settings; None if their trial failed.
        path: the log of all trials.
    """

    method: str
    counts: dict[str, int]
    tuned: Tuned | None
    default: float | None
    path: Path


def tune(
    terms: Terms,
    kinds: Sequence[type[Method]],
    data: Interactions,
    results: Path,
    job: Job,
    workers: int,
    listener: Listener,
    names: dict[str, str],
    time_limit: float | None = None,
) -> list[Outcome]:
    """Run the missing trials of every method.

    Args:
        terms: settings that all methods share.
        kinds: the methods.
        data: the split.
        results: the results folder; its folder `tune` holds the studies.
        job: settings of all workers.
        workers: number of processes.
        listener: called as by `bench.runs.pool`; "done" has the outcome as `record`.
        names: receives the name of each run, by id, before it starts.
        time_limit: most seconds of a trial; a longer one counts as failed.
    """
    store = Store(results / FOLDER)
    tunings = [Tuning(terms, kind, data, store.root) for kind in kinds]

    def listen(kind: str, content: dict[str, Any]) -> None:
        if kind == "done":
            for one in tunings:
                one.take(content["id"], content["record"])
        listener(kind, content)

    def fail(run: Run, kind: str, message: str) -> dict[str, Any]:
        store.discard_work(run.spec.id)
        return {"status": "failed", "error": f"{kind}: {message}"}

    for start in range(0, terms.trials, ROUND):
        many = min(ROUND, terms.trials - start)
        thresholds = {one.kind.name: tuple(one.study.thresholds()) for one in tunings}
        runs = []
        for one in tunings:
            for run in one.ask(many):
                names[run.spec.id] = f"{one.kind.name} {one.name_of(run.spec.id)}"
                runs.append(run)
        if runs:
            place = replace(job, results=str(store.root))
            at_once = min(workers, len(runs))
            run_all(runs, place, at_once, listen, time_limit, fail, pruned_trials(thresholds))
        for one in tunings:
            one.study.tell()
    return [one.outcome() for one in tunings]
