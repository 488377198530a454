"""A study: the trials of one method in rounds, and a log from which a killed study continues.

The sampler proposes trials in rounds of `ROUND`. A round learns from the earlier rounds only. So
the trials of a study are the same for any number of workers, and for a study that was killed and
continued.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState

from bench.errors import BenchError
from bench.method.search_space import Choice, LogRange, Space
from bench.records.schema import digest

ROUND = 4
_DIGITS = 3  # significant digits of a suggested number; more would make settings harder to read
_GRACE = 3  # number of first evaluations after which no trial is pruned


def distribution(space: Space) -> BaseDistribution:
    """Return the distribution of optuna for a search space."""
    if isinstance(space, Choice):
        return CategoricalDistribution(space.values)
    if isinstance(space, LogRange):
        return FloatDistribution(space.low, space.high, log=True)
    if isinstance(space.low, int) and isinstance(space.high, int):
        return IntDistribution(space.low, space.high)
    return FloatDistribution(space.low, space.high)


@dataclass(frozen=True)
class Asked:
    """A proposed trial: its number in the study and its settings."""

    number: int
    params: dict[str, Any]


@dataclass
class Study:
    """The trials of one method.

    Args:
        path: path of the log; the file may not exist yet.
        conditions: conditions of the tuning, for the first line of the log.
        space: search space by parameter.
        start: settings of trial 0: the defaults, so that tuning never chooses worse ones.
        seed: seed of the sampler.
    """

    path: Path
    conditions: Mapping[str, Any]
    space: Mapping[str, Space]
    start: Mapping[str, Any]
    seed: int
    outcomes: dict[int, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.outcomes = read_log(self.path)
        self._pending: list[optuna.trial.Trial] = []
        with _quiet():
            sampler = optuna.samplers.TPESampler(
                seed=self.seed, multivariate=True, constant_liar=True, n_startup_trials=ROUND
            )
            self._study = optuna.create_study(direction="maximize", sampler=sampler)
            if self.space:
                self._study.enqueue_trial(dict(self.start))

    def ask(self, many: int) -> list[Asked]:
        """Return the next trials, at most `ROUND`.

        Raises:
            BenchError: the log has other settings for one of them.
        """
        kinds = {name: distribution(one) for name, one in self.space.items()}
        with _quiet():
            self._pending = [self._study.ask(kinds) for _ in range(min(many, ROUND))]
        found = []
        for one in self._pending:
            asked = Asked(one.number, {key: _tidy(value) for key, value in one.params.items()})
            logged = self.outcomes.get(asked.number)
            if logged and logged["params"] != asked.params:
                raise BenchError(
                    f"{self.path}: trial {asked.number} tried {logged['params']}, but would now try"
                    f" {asked.params}; optuna may have another version. Take another --seed, or"
                    " remove the file"
                )
            found.append(asked)
        return found

    def thresholds(self) -> list[float]:
        """Return the least best value of a trial after n evaluations, for each n.

        It is the median of the best values of the complete trials; empty if they are too few.
        """
        curves = [
            one["curve"]
            for number, one in sorted(self.outcomes.items())
            if one["status"] == "complete" and "of" not in one and one["curve"]
        ]
        if len(curves) < ROUND:
            return []
        length = max(map(len, curves))
        best = [[max(curve[: n + 1]) for curve in curves] for n in range(length)]
        grace = max(_GRACE, length // 5)
        return [float("-inf")] * grace + [median(values) for values in best[grace:]]

    def tell(self) -> None:
        """Report the last round to the sampler; `keep` must have stored all its trials."""
        with _quiet():
            for one in self._pending:
                entry = self.outcomes[one.number]
                if entry["status"] == "complete":
                    self._study.tell(one, entry["value"])
                    continue
                # Failed and infeasible trials count as the worst, so that the sampler avoids them.
                for step, value in enumerate(entry["curve"]):
                    one.report(value, step)
                self._study.tell(one, state=TrialState.PRUNED)
        self._pending = []

    def keep(self, number: int, entry: dict[str, Any]) -> None:
        """Append the outcome of a trial to the log."""
        self.outcomes[number] = entry
        append(self.path, self.conditions, {"number": number, **entry})


def best(outcomes: Mapping[int, Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the complete trial of the highest value, the earliest of equals; None without one."""
    complete = [(one["value"], -n) for n, one in outcomes.items() if one["status"] == "complete"]
    return outcomes[-max(complete)[1]] if complete else None


def counts(outcomes: Mapping[int, Mapping[str, Any]], planned: int) -> dict[str, int]:
    """Return the number of planned trials, and of trials by outcome.

    A repeated trial has the settings of an earlier trial and takes its outcome.
    """
    found = dict.fromkeys(("planned", "complete", "pruned", "repeated", "infeasible", "failed"), 0)
    found["planned"] = planned
    for number, one in outcomes.items():
        if number < planned:
            found["repeated" if "of" in one else one["status"]] += 1
    return found


def study_id(conditions: Mapping[str, Any]) -> str:
    """Return 12 hex digits of the hash of the conditions."""
    return digest(dict(conditions))


def read_log(path: Path) -> dict[int, dict[str, Any]]:
    """Return the outcomes by number; incomplete lines, left by a kill, are ignored."""
    outcomes: dict[int, dict[str, Any]] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and "number" in entry:
            outcomes.setdefault(entry.pop("number"), entry)
    return outcomes


def append(path: Path, conditions: Mapping[str, Any], entry: Mapping[str, Any]) -> None:
    """Append a line in one write; the first line of a log states the conditions.

    Raises:
        BenchError: the log cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            size = os.fstat(handle).st_size
            # An incomplete line, left by a kill, is ended first.
            cut = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
            lines = [""] if cut else [] if size else [_line({"study": dict(conditions)})]
            os.write(handle, "\n".join([*lines, _line(entry), ""]).encode())
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise BenchError(
            f"{path}: cannot be written: {error.strerror or error}; make room or name another"
            " folder with --results"
        ) from error


def _line(content: Mapping[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=True, allow_nan=False)


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
