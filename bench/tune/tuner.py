"""The tuning of a suite with one backbone: from options to a file of the best settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.data import Interactions
from bench.errors import BenchError
from bench.method import Method
from bench.method.registry import find_methods
from bench.runs.plan import suited, wanted_methods
from bench.runs.pool import Listener
from bench.runs.request import Request
from bench.runs.settings import for_data, with_override
from bench.runs.suite import Suite, find_suite
from bench.runs.tuned import Found, check_tuned, find_tuned, read_tuned, write_tuned
from bench.tune.cell import Subject, subject
from bench.tune.objective import objective_subject, with_objective
from bench.tune.options import FOLDER, Options
from bench.tune.search import Outcome, Search
from bench.tune.terms import Terms
from bench.tune.workers import Workers


class Tuner:
    """The tuning of a suite with one backbone.

    Args:
        asked: what the user named.
        chosen: the suite, with one backbone.
        data: the split.
        options: of the tuning.

    Attributes:
        data: the split.
        methods: all known methods.
        options: of the tuning.
        out: the file of the best settings.
        terms: conditions of the tuning; `run` puts the tuned objective into them.
        search: the search over methods and budgets.
    """

    def __init__(self, asked: Request, chosen: Suite, data: Interactions, options: Options) -> None:
        chosen = for_data(chosen, data)
        self._asked, self.data, self.options = asked, data, options
        self.methods = find_methods(asked.plugins)
        backbone = "-".join(chosen.backbones)
        self.out = options.out or FOLDER / f"{data.name}-{backbone}.toml"
        self._shared = () if options.objective else _shared(chosen, self.out)
        for one in self._shared:
            chosen = with_override(chosen, one.set, backbone=backbone)
        start = options.start or for_data(find_suite("default"), data).tuned
        self.terms = Terms(chosen, options.trials, start, options.seed)
        self.search = Search(self.terms, self._kinds(chosen), data, options.results)

    def subjects(self) -> list[Subject]:
        """What is searched: the objective, if asked for, and each method in each of its forms."""
        found = [objective_subject(self.terms, self.methods)] if self.options.objective else []
        for kind, form in self.search.columns():
            found.append(subject(self.terms, kind, self.search.budgets(kind)[0], form))
        return found

    def check(self) -> None:
        """Raise BenchError if the file holds settings of another tuning that would stay.

        What a tuned objective changes is known only after its search, so `run` checks again then.
        """
        if not self.options.objective:
            cells = [one.when for one in self.search.subjects()]
            check_tuned(self.out, self.terms.conditions(self.data), cells)

    def run(self, listener: Listener) -> list[Outcome]:
        """Run the missing trials and write the file.

        Args:
            listener: told of the runs.

        Returns:
            The outcome of each method at each budget.

        Raises:
            BenchError: the file holds settings of another tuning, or the objective has no trial.
        """
        options, search = self.options, self.search
        job = self._asked.job(options.results, options.device, options.threads, options.workers)
        pool = job, self.data, options.workers, listener, options.time_limit, options.cluster
        cells = [c.when for c in search.subjects()]
        found: list[Outcome] = []
        self.check()
        with Workers(*pool) as workers:
            if options.objective:
                found.append(search.run_one(objective_subject(self.terms, self.methods), workers))
                if found[0].found is None:
                    raise BenchError(f"the objective has no completed trial: {found[0].path}")
                self.terms = search.terms = with_objective(self.terms, found[0].found)
                check_tuned(self.out, self.terms.conditions(self.data), [found[0].when, *cells])
            found += search.run(workers)
        best = [one.found for one in found if one.found is not None]
        if best:
            study = self.terms.conditions(self.data)
            write_tuned(self.out, study, (*self._shared, *best), (one.when for one in found))
        return found

    def _kinds(self, chosen: Suite) -> Sequence[type[Method]]:
        return suited(chosen, wanted_methods(chosen, self.methods), chosen.backbones[0])


def _shared(chosen: Suite, path: Path) -> tuple[Found, ...]:
    """Tuned settings that all methods share: those of the file, or of the suite's own files."""
    files = [find_tuned(name) for name in chosen.tuned]
    files += [read_tuned(path)] if path.is_file() else []
    found = [one.shared(chosen.backbones[0]) for one in files]
    return next((one for one in reversed(found) if one), ())
