"""The tuning of one method at one budget: its search space, its runs and their outcomes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.budget import fraction, parse_budget
from bench.data import Interactions
from bench.errors import SpecError
from bench.method import LogRange, Method, Space
from bench.method.search_space import BITS
from bench.records.schema import digest
from bench.runs.plan import Planner
from bench.runs.settings import Settings, resolve, with_override
from bench.runs.spec import Run
from bench.runs.suite import Form, Override, Suite, When
from bench.runs.tuned import Found
from bench.tune.study import AGAIN, ELSEWHERE, FULL, Asked, Study
from bench.tune.terms import Terms

RATE = "training.lr"
_FACTOR = 5.0  # the search covers the suite's learning rate divided and multiplied by this


@dataclass(frozen=True)
class Subject:
    """What is searched, and for which runs.

    Attributes:
        kind: the method.
        label: the budget; None for a method without one.
        form: of the method.
        space: search space by setting, named as in `Override.set`.
        when: the runs that the result is for.
        knobs: settings of the method outside of the space that the suite sets.
        cost: setting of the space that a run's time grows with; see `Study`.
    """

    kind: type[Method]
    label: str | None
    form: Form
    space: Mapping[str, Space]
    when: When
    knobs: Mapping[str, Any]
    cost: str | None = None

    def __str__(self) -> str:
        return " ".join((*(self.when.method or ("objective",)), *self.when.budget, *self.when.form))


def rate_space(terms: Terms) -> dict[str, Space]:
    """Return the search space of the learning rate, around the one that methods share."""
    rate = terms.training.lr
    return {RATE: LogRange(rate / _FACTOR, rate * _FACTOR, coarse=True)}


def subject(terms: Terms, kind: type[Method], label: str | None, form: Form = "tuned") -> Subject:
    """Return what is searched for a method at a budget: its knobs, `bits`, the learning rate.

    The published form has the knobs of the paper, so that only its learning rate is searched.

    Raises:
        SpecError: its `space` names what is not a knob.
    """
    unknown = set(kind.space) - set(kind.Config.model_fields)
    if unknown:
        raise SpecError(
            f"{kind.name}: `space` names {min(unknown)!r}, which is not a knob of the method"
        )
    space = knob_space(terms, kind) if form == "tuned" else {}
    if kind.phases:
        space |= rate_space(terms)
    when = When(
        method=(kind.name,),
        budget=(label,) if label else (),
        backbone=(terms.backbone,),
        form=() if form == "tuned" else (form,),
    )
    knobs = resolve(terms.plain, kind, label, terms.backbone).knobs if form == "tuned" else {}
    return Subject(kind, label, form, space, when, knobs)


def knob_space(terms: Terms, kind: type[Method]) -> dict[str, Space]:
    """Return the search space of the knobs of a method, with `bits` where it may be set."""
    space: dict[str, Space] = {}
    if terms.suite.accounting == "bytes" and kind.budgeted and not kind.Config.own_precision:
        space["bits"] = BITS
    space |= kind.space
    if terms.suite.accounting != "bytes":
        space.pop("bits", None)
    return space


class Cell:
    """The study of a subject.

    Args:
        terms: what all trials share.
        subject: what is searched.
        data: the split.
        root: folder of the studies.
        first: settings that the search tries first, after those of the suite and of `terms.start`.
    """

    def __init__(
        self,
        terms: Terms,
        subject: Subject,
        data: Interactions,
        root: Path,
        first: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.terms, self.subject, self._data = terms, subject, data
        kind = subject.kind
        begun = [self._settings(suite) for suite in self._starts()]
        tried: list[Mapping[str, Any]] = []
        for settings in (*begun, *first):
            # An earlier file may lack a knob, and a neighbour has the same ones.
            if settings not in tried:
                tried.append(settings)
        conditions = terms.conditions(data) | {
            "method": kind.name,
            "revision": kind.revision,
            "budget": subject.label,
            "form": subject.form,
            "knobs": dict(subject.knobs),
            "space": {name: repr(one) for name, one in subject.space.items()},
            "first": tried,
        }
        del conditions["trials"]  # a study with more trials continues one with fewer
        folder = root / data.split / terms.backbone / kind.name
        path = folder / f"{digest(conditions)}.jsonl"
        self.study = Study(
            path,
            conditions,
            subject.space,
            tried[: terms.trials],
            terms.trials,
            terms.seed,
            subject.cost,
            # Methods search around the rate that the objective's study finds.
            RATE if RATE in subject.space and subject.when.method else None,
        )
        self._asked: dict[str, list[Asked]] = {}

    def rounds(self) -> Iterator[list[Run]]:
        """Yield the runs of each round that have no outcome yet; each distinct run once."""
        for asked in self.study.rounds():
            yield self._runs(asked)

    def compare(self, settings: Mapping[str, Any]) -> Iterator[list[Run]]:
        """Yield the runs of settings found at another budget, round by round."""
        for asked in self.study.compare(settings):
            yield self._runs(asked)

    def name_of(self, run: str) -> str:
        """Return the name of a run, made of the trials that asked for it."""
        trials = " and ".join(_trial(one.number) for one in self._asked[run])
        return f"{self.subject} {trials}, {self._asked[run][0].stage}"

    def take(self, run: str, outcome: Mapping[str, Any]) -> None:
        """Store the outcome of a run for the trials that asked for it."""
        for asked in self._asked.pop(run, ()):
            first = self._earlier(run, asked.stage)
            entry = {"value": None, "passes": 0, **outcome, "run": run, "params": asked.params}
            entry.pop("traceback", None)
            if first is not None:
                entry |= {"of": first, "seconds": 0.0, "passes": 0}
            self.study.keep(asked, entry)

    def found(self) -> Found | None:
        """Return the best settings; None if no trial was completed."""
        number, study = self.study.chosen(), self.study
        if number is None:
            return None
        params = study.outcomes[number, FULL]["params"]
        valid, default = study.value(number, FULL, AGAIN), study.value(0, FULL)
        if valid is None:
            valid = study.value(number, FULL)
        return Found(
            when=self.subject.when,
            set=dict(self.subject.knobs) | params,
            valid=None if valid is None else round(valid, 6),
            default=None if default is None else round(default, 6),
            trials=study.counts(),
        )

    def best(self, proposed: bool = False) -> Mapping[str, Any] | None:
        """Return the best settings of the space; None if no trial was completed.

        Args:
            proposed: with a rate that a short trial had, for the first trials of another study.
        """
        number = self.study.chosen(proposed)
        if number is None:
            return None
        params = self.study.outcomes[number, FULL]["params"]
        return {name: params[name] for name in self.subject.space}

    def planner(self, params: Mapping[str, Any], stage: str) -> Planner:
        """Return the planner of a trial; its settings override the suite."""
        suite = with_override(self.terms.plain, self.terms.passes(stage))
        return Planner(with_override(suite, params, method=self.subject.kind.name), self._data)

    def _runs(self, asked: Sequence[Asked]) -> list[Run]:
        self._asked = {}
        runs: dict[str, Run] = {}
        for one in asked:
            planned = self.planner(one.params, one.stage).run(
                self.subject.kind,
                self.terms.backbone,
                self.subject.label,
                self.terms.run_seed(one.stage),
                form=self.subject.form,
            )
            run = planned.run
            self._asked.setdefault(run.spec.id, []).append(one)
            earlier = self._earlier(run.spec.id, one.stage)
            if earlier is not None:
                self.take(run.spec.id, self.study.outcomes[earlier, one.stage])
            elif planned.infeasible:
                self.take(run.spec.id, {"status": "infeasible", "error": str(planned.infeasible)})
            else:
                runs[run.spec.id] = run
        return list(runs.values())

    def _earlier(self, run: str, stage: str) -> int | None:
        """Return the number of the first trial with a run, if there is one."""
        outcomes = self.study.outcomes.items()
        return next((n for (n, s), one in outcomes if s == stage and one["run"] == run), None)

    def _starts(self) -> Iterator[Suite]:
        """Yield the suites whose settings are tried first."""
        yield self.terms.plain
        for name in self.terms.start:
            more = (*self.terms.plain.override, Override(tuned=name))
            yield self.terms.plain.model_copy(update={"override": more})

    def _settings(self, suite: Suite) -> dict[str, Any]:
        """Return what a suite has for the settings of the space."""
        one = self.subject
        plain, ids, share = self.terms.plain, self._data.users + self._data.items, None
        if one.label is not None:
            cap = parse_budget(one.label, ids, plain.dim, plain.accounting)
            share = fraction(cap, ids, plain.dim)
        found = resolve(suite, one.kind, one.label, self.terms.backbone, share, one.form)
        return {name: value_of(found, name) for name in self.subject.space}


def _trial(number: int) -> str:
    if number <= ELSEWHERE:
        return "settings of another budget"
    return f"trial {number}" if number >= 0 else f"trial {-1 - number} at half the rate"


def value_of(found: Settings, name: str) -> Any:
    """Return a setting by its name in `Override.set`."""
    path = name.split(".")
    place: Any = found
    if path[0] not in ("training", "backbone"):
        path.insert(0, "config")
    for part in path:
        place = getattr(place, part)
    return place
