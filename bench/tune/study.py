"""A study: the trials of one method at one budget.

All trials run with a share of the passes over the data (stage "short"). The best ones run with all
passes ("whole"), and so do the suite's settings and the best of the others that were known before:
few passes can mislead, and what is known to be good must not be lost by them. The best of these
also runs with half of its learning rate: a rate that is best for few passes is often too high for
all. The best three run once more with another seed ("again"), and the best mean of two seeds is
chosen. Settings that are found elsewhere later, at another budget, compete in the same way.

The sampler proposes trials in rounds of `ROUND`. A round learns from the earlier rounds only. So
the trials of a study are the same for any number of workers, and for a study that was killed and
continued.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from bench.errors import BenchError
from bench.method.search_space import Choice, LogRange, Range, Space
from bench.tune.log import Key, append, read_log

SHORT, FULL, AGAIN = "short", "whole", "again"
ROUND = 4
FINALISTS = 3  # trials that run with a second seed
ELSEWHERE = -1000  # number of the first trial with settings that were found elsewhere
NEAR = 0.005  # share of a score that a lower cost may lose; seeds differ by more
_COARSE_TRIALS = 8  # first trials, in which only the settings that matter most vary
_DIGITS = 3  # significant digits of a suggested number; more would make settings harder to read
_WORST = 0.0  # what the sampler is told of a failed trial, so that it avoids such settings


def distribution(space: Space) -> BaseDistribution:
    """Return the distribution of optuna for a search space."""
    if isinstance(space, Choice):
        return CategoricalDistribution(space.values)
    if isinstance(space, LogRange):
        return FloatDistribution(space.low, space.high, log=True)
    if isinstance(space.low, int) and isinstance(space.high, int):
        return IntDistribution(space.low, space.high)
    return FloatDistribution(space.low, space.high)


def promoted(trials: int) -> int:
    """Return how many of so many trials run with all passes, besides those known before."""
    return max(FINALISTS, trials // 4)


@dataclass(frozen=True)
class Asked:
    """A proposed trial: its number in the study, its stage, and its settings."""

    number: int
    stage: str
    params: dict[str, Any]

    @property
    def key(self) -> Key:
        """Return what its outcome is kept under."""
        return self.number, self.stage


@dataclass
class Study:
    """The trials of one method at one budget.

    Args:
        path: path of the log; the file may not exist yet.
        conditions: conditions of the tuning, for the first line of the log.
        space: search space by parameter.
        first: settings of the first trials. Those of trial 0, and the best of the others by its
            short trial, always run with all passes, so that tuning never chooses worse ones.
        trials: number of trials.
        seed: seed of the sampler.
        cost: parameter that a run's time grows with. Among settings whose scores are within 0.5 %
            of the best one, those with the least are chosen.
        rate: parameter that is the learning rate. Trial n with half of it has the number -1 - n.
    """

    path: Path
    conditions: Mapping[str, Any]
    space: Mapping[str, Space]
    first: Sequence[Mapping[str, Any]]
    trials: int
    seed: int
    cost: str | None = None
    rate: str | None = None
    outcomes: dict[Key, dict[str, Any]] = field(default_factory=dict)
    _elsewhere: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.outcomes = read_log(self.path)
        self._kinds = {name: distribution(one) for name, one in self.space.items()}
        self._asked: list[Asked] = []
        self._planned: set[Key] = set()
        self._pending: list[optuna.trial.Trial] = []
        with _quiet():
            self._sampler = optuna.samplers.TPESampler(
                seed=self.seed, multivariate=True, constant_liar=True, n_startup_trials=ROUND
            )
            self._study = optuna.create_study(direction="maximize", sampler=self._sampler)

    def rounds(self) -> Iterator[list[Asked]]:
        """Yield the trials that have no outcome yet, round by round.

        Before it asks for the next round, the caller passes each outcome to `keep`.

        Raises:
            BenchError: the log has other settings for one of them.
        """
        for start in range(0, self.trials, ROUND):
            asked = self._propose(start, min(ROUND, self.trials - start))
            yield self._plan(asked)
            self._tell(asked)
        short = self._best(SHORT, range(self.trials))
        best = short[: promoted(self.trials)]
        known = self._best(SHORT, range(1, min(len(self.first), self.trials)))[:1]
        best = [*(number for number in (0, *known) if number not in best), *best]
        whole = [self._stage(number, FULL) for number in best]
        yield self._plan(whole)
        best = self._best(FULL, best)
        if self.rate and best:
            whole.append(self._slower(best[0], self.rate))
            yield self._plan(whole[-1:])
        best = self._best(FULL, [one.number for one in whole])[:FINALISTS]
        params = {one.number: one.params for one in whole}
        yield self._plan([Asked(number, AGAIN, params[number]) for number in best])

    def compare(self, params: Mapping[str, Any]) -> Iterator[list[Asked]]:
        """Yield one more trial, with settings found elsewhere, after those of `rounds`.

        It runs with all passes, and with the second seed if it is among the best three then. A
        trial of the study that ran with all passes is not run again.
        """
        whole = [number for number, stage in self._planned if stage == FULL]
        if any(self.outcomes[number, FULL]["params"] == params for number in whole):
            return
        number = ELSEWHERE
        while self.outcomes.get((number, FULL), {"params": params})["params"] != params:
            number -= 1  # the log has other settings, found with fewer trials
        self._elsewhere.add(number)
        yield self._plan([Asked(number, FULL, dict(params))])
        if number in self._best(FULL, [*whole, number])[:FINALISTS]:
            yield self._plan([Asked(number, AGAIN, dict(params))])

    def keep(self, asked: Asked, entry: dict[str, Any]) -> None:
        """Append the outcome of a trial to the log."""
        self.outcomes[asked.key] = entry
        line = {"number": asked.number, "stage": asked.stage, **entry}
        append(self.path, self.conditions, line)

    def value(self, number: int, *stages: str) -> float | None:
        """Return the mean validation score of a trial over stages; None if one has none.

        A log may hold more, of a study with other trials. What this one did not ask for has no
        part in it: all methods have equal trials, whether they were tuned in one go or not.
        """
        keys = [(number, stage) for stage in stages]
        if self._planned and not self._planned.issuperset(keys):
            return None
        found = [self.outcomes.get(key, {}).get("value") for key in keys]
        known = [value for value in found if value is not None]
        return fmean(known) if len(known) == len(stages) else None

    def chosen(self, proposed: bool = False) -> int | None:
        """Return the number of the best trial by the mean of two seeds; None without one.

        Args:
            proposed: only trials of the sampler and of the start count, not those with half of
                their learning rate, nor those with settings found elsewhere.
        """
        numbers = [*range(0 if proposed else -self.trials, self.trials)]
        if not proposed:
            numbers += sorted(self._elsewhere, reverse=True)
        for stages in ((FULL, AGAIN), (FULL,)):
            scores = {n: self.value(n, *stages) for n in numbers}
            found = [(score, -n) for n, score in scores.items() if score is not None]
            if found and self.cost:
                least = max(found)[0] * (1 - NEAR)
                near = [one for one in found if one[0] >= least]
                return -max(near, key=lambda one: (-self._cost(-one[1]), one))[1]
            if found:
                return -max(found)[1]
        return None

    def _cost(self, number: int) -> float:
        assert self.cost is not None
        return float(self.outcomes[number, FULL]["params"][self.cost])

    def counts(self) -> dict[str, int]:
        """Return the number of planned trials, of trials by outcome, and of passes.

        Each trial has one outcome: `complete` with all passes, `pruned` after a share of them,
        `repeated` with the settings of an earlier trial, `infeasible`, or `failed`.
        """
        found = dict.fromkeys(
            ("planned", "complete", "pruned", "repeated", "infeasible", "failed"), 0
        )
        found["planned"] = self.trials
        counted = {
            key: one
            for key, one in self.outcomes.items()
            if key in self._planned or not self._planned
        }
        for number in range(self.trials):
            short, full = (counted.get((number, stage)) for stage in (SHORT, FULL))
            if short is None:
                continue
            if short["status"] == "complete" and "of" in short:
                found["repeated"] += 1
            elif (full or short)["status"] != "complete":
                found[(full or short)["status"]] += 1
            else:
                found["complete" if full else "pruned"] += 1
        passes = sum(one.get("passes", 0) for one in counted.values())
        return found | {"passes": passes}

    def _propose(self, start: int, many: int) -> list[Asked]:
        best = self._best(SHORT, range(start))
        base = self._asked[best[0]].params if best else self.first[0]
        found = []
        for number in range(start, start + many):
            known = number < len(self.first)
            params = dict(self.first[number]) if known else self._suggest(number, base)
            asked = Asked(number, SHORT, params)
            logged = self.outcomes.get(asked.key)
            if logged and logged["params"] != params:
                raise BenchError(
                    f"{self.path}: trial {number} tried {logged['params']}, but would now try"
                    f" {params}; optuna may have another version; remove the file"
                )
            found.append(asked)
        self._asked += found
        return found

    def _suggest(self, number: int, base: Mapping[str, Any]) -> dict[str, Any]:
        """Ask the sampler for a trial; settings that do not vary yet are those of `base`."""
        coarse = [n for n, one in self.space.items() if not isinstance(one, Range) and one.coarse]
        wide = number < _COARSE_TRIALS and len(coarse) > 1
        fixed = {n: base[n] for n in self._kinds if n not in coarse} if wide else {}
        free = {name: one for name, one in self._kinds.items() if name not in fixed}
        with _quiet():
            trial = self._study.ask(free)
        self._pending.append(trial)
        return fixed | {key: _tidy(value) for key, value in trial.params.items()}

    def _stage(self, number: int, stage: str) -> Asked:
        return Asked(number, stage, self._asked[number].params)

    def _slower(self, number: int, rate: str) -> Asked:
        params = self._asked[number].params
        return Asked(-1 - number, FULL, params | {rate: _tidy(params[rate] / 2)})

    def _plan(self, asked: Sequence[Asked]) -> list[Asked]:
        """Make trials part of this study; return those that have no outcome yet."""
        self._planned.update(one.key for one in asked)
        return [one for one in asked if one.key not in self.outcomes]

    def _best(self, stage: str, numbers: Sequence[int]) -> list[int]:
        """Return trials by their score in a stage, best first, without repeated ones."""
        scores = {
            n: self.outcomes[n, stage]
            for n in numbers
            if (n, stage) in self.outcomes and "of" not in self.outcomes[n, stage]
        }
        good = [n for n, one in scores.items() if one["value"] is not None]
        return sorted(good, key=lambda n: (-scores[n]["value"], n))

    def _tell(self, asked: Sequence[Asked]) -> None:
        """Report trials to the sampler, with values outside of the space moved into it."""
        with _quiet():
            for trial in self._pending:  # each is added again below, with all of its settings
                self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
            self._pending.clear()
            for one in asked:
                value = self.outcomes[one.key]["value"]
                params = {n: _inside(kind, one.params[n]) for n, kind in self._kinds.items()}
                self._study.add_trial(
                    optuna.trial.create_trial(
                        params=params,
                        distributions=self._kinds,
                        value=_WORST if value is None else value,
                    )
                )


def _inside(kind: BaseDistribution, value: Any) -> Any:
    """Return the value of a space that is nearest to a value."""
    if isinstance(kind, CategoricalDistribution):
        if value in kind.choices:
            return value
        numbers = [one for one in kind.choices if isinstance(one, (int, float))]
        if isinstance(value, (int, float)) and numbers:
            return min(numbers, key=lambda one: abs(one - value))
        return kind.choices[0]
    assert isinstance(kind, (FloatDistribution, IntDistribution))
    return min(max(value, kind.low), kind.high)


def _tidy(value: Any) -> Any:
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress optuna's log lines and its warnings about experimental options."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(level)
