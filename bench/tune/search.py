"""Tune methods with the same number of trials, the same sampler and the same passes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from filelock import AcquireReturnProxy, Timeout

from bench.data import Interactions
from bench.errors import BenchError
from bench.files import take_lock
from bench.method import Method
from bench.records.store import WORK, Store
from bench.runs.plan import forms_of
from bench.runs.spec import Run
from bench.runs.suite import Form, When
from bench.runs.tuned import Found
from bench.tune.cell import Cell, Subject, subject
from bench.tune.study import AGAIN, FULL, Study
from bench.tune.terms import Terms

FOLDER = "tune"
"""Folder of studies inside a results folder."""

Take = Callable[[str, Mapping[str, Any]], list[Run]]
"""Takes the id and the outcome of a run; returns the runs that can start then."""

Do = Callable[[Sequence[Run], Take], None]
"""Executes runs, and those that follow from the outcome of each."""


@dataclass(frozen=True)
class Outcome:
    """Outcome of the study of a method at a budget.

    Attributes:
        when: the runs that the settings are for.
        counts: number of planned trials, of trials by outcome, and of passes.
        found: the best settings; None if no trial was completed.
        path: the log of all trials.
    """

    when: When
    counts: dict[str, int]
    found: Found | None
    path: Path


Rounds = Iterator[tuple[Cell, list[Run]]]
"""Rounds of runs with their study; one may be asked for when the runs of the last have ended."""


@dataclass
class _Round:
    """Runs of a study that are executed.

    Attributes:
        cell: the study.
        going: ids of the runs that have not ended.
        rest: the rounds after it.
    """

    cell: Cell
    going: set[str]
    rest: Rounds


class Search:
    """The tuning of several methods at several budgets.

    Args:
        terms: what all trials share.
        kinds: the methods.
        data: the split.
        results: the results folder; its folder `tune` holds the studies.

    Attributes:
        outcomes: of the studies that have ended.
        names: names of runs by id, for progress.
    """

    def __init__(
        self, terms: Terms, kinds: Sequence[type[Method]], data: Interactions, results: Path
    ) -> None:
        self.terms, self.kinds, self._data = terms, kinds, data
        self._root = results / FOLDER
        self.outcomes: list[Outcome] = []
        self.names: dict[str, str] = {}
        self._going: dict[str, _Round] = {}  # by run
        self._active: list[Study] = []
        self._ended = 0  # studies; their comparison may be still to come
        self._comparisons = 2 * sum(len(self.budgets(kind)) - 1 for kind, _ in self.columns())

    def budgets(self, kind: type[Method]) -> Sequence[str | None]:
        """Return the budgets of a method, in the order of its studies."""
        return self.terms.suite.budgets if kind.budgeted else (None,)

    def columns(self) -> list[tuple[type[Method], Form]]:
        """Return the methods with their forms; each has a study at each budget."""
        suite = self.terms.suite
        return [(kind, form) for kind in self.kinds for form in forms_of(suite, kind)]

    def subjects(self) -> list[Subject]:
        """Return what is searched for each method at each budget."""
        return [
            subject(self.terms, kind, label, form)
            for kind, form in self.columns()
            for label in self.budgets(kind)
        ]

    def left(self) -> dict[str, int]:
        """Return the number of runs by stage that are not done yet, at most."""
        stages = self.terms.stages()
        studies = sum(len(self.budgets(kind)) for kind, _ in self.columns()) - self._ended
        left = {stage: studies * many for stage, many in stages.items()}
        for stage in (FULL, AGAIN):
            left[stage] += self._comparisons
        for study in self._active:
            for _, stage in study.outcomes:
                left[stage] -= 1
        return left

    def run(self, do: Do) -> list[Outcome]:
        """Run the missing trials of every method. No method waits for another one."""
        Store(self._root)
        self._run([self._rounds(kind, form) for kind, form in self.columns()], do)
        order = {kind.name: at for at, kind in enumerate(self.kinds)}
        self.outcomes.sort(key=lambda one: order[one.when.method[0]])
        return self.outcomes

    def run_one(self, subject: Subject, do: Do) -> Outcome:
        """Run the missing trials of one subject."""
        cell = Cell(self.terms, subject, self._data, self._root)
        self._run([self._trials(cell)], do)
        return self._outcome(cell)

    def _run(self, studies: Iterable[Rounds], do: Do) -> None:
        runs = [run for rounds in studies for run in self._begin(rounds)]
        if runs:
            do(runs, self._take)

    def _begin(self, rounds: Rounds) -> list[Run]:
        """Return the runs of the next round that has any; none at the end."""
        for cell, runs in rounds:
            ids = {run.spec.id for run in runs}
            self.names |= {name: cell.name_of(name) for name in ids}
            self._going |= dict.fromkeys(ids, _Round(cell, ids, rounds))
            if runs:
                return runs
        return []

    def _take(self, run: str, outcome: Mapping[str, Any]) -> list[Run]:
        one = self._going.pop(run)
        one.cell.take(run, outcome)
        one.going.remove(run)
        return [] if one.going else self._begin(one.rest)

    def _rounds(self, kind: type[Method], form: Form) -> Rounds:
        """Yield the runs of a method, budget by budget; each begins with the best of the last.

        Then the best of each budget competes at the one before it, beginning with the last, and at
        the one after it, beginning with the first: a short trial is no fair test of settings that
        learn slowly.
        """
        first: list[Mapping[str, Any]] = []
        cells: list[Cell] = []
        for label in self.budgets(kind):
            searched = subject(self.terms, kind, label, form)
            cell = Cell(self.terms, searched, self._data, self._root, first)
            yield from self._trials(cell)
            self._ended += 1
            best = cell.best(proposed=True)
            if best:
                first = [best]
            cells.append(cell)
        down = [(large, small) for small, large in reversed(list(pairwise(cells)))]
        for known, cell in (*down, *pairwise(cells)):
            best = known.best()
            if best:
                yield from self._alone_with(cell, cell.compare(best))
            self._comparisons -= 1
        self.outcomes += [self._outcome(cell) for cell in cells]

    def _trials(self, cell: Cell) -> Rounds:
        self._active.append(cell.study)
        yield from self._alone_with(cell, cell.rounds())
        self._active.remove(cell.study)

    def _alone_with(self, cell: Cell, rounds: Iterable[list[Run]]) -> Rounds:
        with self._alone(cell):
            for runs in rounds:
                yield cell, runs

    def _alone(self, cell: Cell) -> AcquireReturnProxy:
        """Keep other processes out of a study: each would run all of its trials.

        Raises:
            BenchError: another process runs the study.
            StoreError: the folder cannot be written.
        """
        try:
            return take_lock(self._root / WORK / f"{cell.study.path.stem}.lock", wait=False)
        except Timeout:
            raise BenchError(
                f"{cell.subject}: another process runs this study ({cell.study.path}); wait for it"
                " or stop it, or name another folder with --results"
            ) from None

    @staticmethod
    def _outcome(cell: Cell) -> Outcome:
        path, counts = cell.study.path, cell.study.counts()
        return Outcome(cell.subject.when, counts, cell.found(), path)
