"""Tuning a suite: what `bench tune` and `bench leaderboard --tune` both do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli import console
from bench.cli.launch import launch, steps
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.data import Interactions
    from bench.method import Method
    from bench.runs.request import Request
    from bench.runs.suite import Suite
    from bench.runs.tuned import Found
    from bench.tune.search import Outcome, Search
    from bench.tune.terms import Terms

SEED = 1000
"""Seed of a tuning; leaderboards use small ones."""

FOLDER = Path("tuned")
"""Where files of tuned settings go unless the user names another place."""


@dataclass(frozen=True)
class Options:
    """The options of a tuning and of its workers.

    Attributes:
        trials: of each method at each budget.
        start: tuned settings that the search tries first; empty for the defaults of such data.
        seed: of the runs.
        objective: tune the objective first.
        out: file of the best settings; None: named after data set and backbone.
        results, workers, cluster, threads, device, time_limit: as the options of that name.
    """

    trials: int
    start: tuple[str, ...]
    seed: int
    objective: bool
    out: Path | None
    results: Path
    workers: int
    cluster: str | None
    threads: int
    device: str
    time_limit: float | None

    @classmethod
    def of_board(
        cls,
        trials: int,
        results: Path,
        workers: int,
        cluster: str | None,
        threads: int,
        device: str,
        time_limit: float | None,
    ) -> Options:
        """The options of a tuning before a board; the rest have their defaults."""
        shared = results, workers, cluster, threads, device, time_limit
        return cls(trials, (), SEED, False, None, *shared)


def tuned_suite(asked: Request, chosen: Suite, options: Options, dry_run: bool) -> Suite:
    """Tune a suite under each of its backbones, or say what would be done.

    Returns:
        The suite with the tuned settings; for a dry run, as it was.
    """
    from bench.runs.settings import with_tuned
    from bench.runs.suite import Override

    data, plain = asked.load(chosen), with_tuned(chosen, "")
    files = []
    for backbone in chosen.backbones:
        one = chosen.model_copy(update={"backbones": (backbone,)})
        tuner = Tuner(asked, one, data, options)
        tuner.show()
        if dry_run:
            tuner.estimate()
        else:
            tuner.run()
            files.append(Override(tuned=str(tuner.out)))
    return plain.model_copy(update={"override": (*plain.override, *files)}) if files else chosen


def needs_optuna() -> None:
    """Refuse to tune without optuna."""
    if find_spec("optuna") is None:
        raise BenchError("tuning needs optuna: pip install 'compact-embedding-benchmark[tune]'")


class Tuner:
    """The tuning of a suite with one backbone.

    Attributes:
        out: the file of the best settings.
    """

    def __init__(self, asked: Request, chosen: Suite, data: Interactions, options: Options) -> None:
        from bench.method.registry import find_methods
        from bench.runs.settings import for_data, with_override
        from bench.runs.suite import find_suite
        from bench.tune.terms import Terms

        needs_optuna()
        chosen = for_data(chosen, data)
        self._asked, self._data, self._options = asked, data, options
        self._methods = find_methods(asked.plugins)
        backbone = "-".join(chosen.backbones)
        self.out = options.out or FOLDER / f"{data.name}-{backbone}.toml"
        self._shared = () if options.objective else _shared(chosen, self.out)
        for one in self._shared:
            chosen = with_override(chosen, one.set, backbone=backbone)
        start = options.start or for_data(find_suite("default"), data).tuned
        self._terms = Terms(chosen, options.trials, start, options.seed)
        self._kinds = self._chosen_kinds(chosen)

    def show(self) -> None:
        """Print what is searched, and how long it takes."""
        from bench.cli.show_tune import spaces
        from bench.tune.cell import subject
        from bench.tune.objective import objective_subject

        subjects = [objective_subject(self._terms, self._methods)] * self._options.objective
        search = self._search(self._terms)
        for kind, form in search.columns():
            subjects.append(subject(self._terms, kind, search.budgets(kind)[0], form))
        console.out.print(spaces(subjects))
        stages = self._terms.stages()
        console.out.say(
            f"{sum(search.left().values()):,} runs: {len(search.columns())} methods, each with"
            f" {stages['short']} trials at each budget, of which at most {stages['whole']} get all"
            f" passes and {stages['again']} a second seed"
        )

    def estimate(self) -> None:
        """Say how long the trials take, from a few timed steps."""
        import torch

        from bench.cli.terminal import in_words
        from bench.engine.malloc import keep_freed_memory
        from bench.runs.plan import Planner
        from bench.speed.estimate import estimate

        keep_freed_memory()
        torch.set_num_threads(self._options.threads)
        planner, search = Planner(self._terms.plain, self._data), self._search(self._terms)
        planned = [
            planner.run(kind, self._terms.backbone, label, self._terms.seed, form=form)
            for kind, form in search.columns()
            for label in search.budgets(kind)
        ]
        with steps() as tell:
            found = estimate(
                planned, set(), self._data, self._methods, [], 1, self._options.device, tell
            )
        if found is not None:
            each = sum(self._terms.work()[s] * many for s, many in self._terms.stages().items())
            seconds = found.work * each / self._options.workers
            console.out.say(
                f"At most about {in_words(seconds)} with {self._options.workers} workers;"
                " training ends earlier where the validation score stops rising."
            )

    def run(self) -> list[Outcome]:
        """Run the missing trials, print the outcomes and write the file.

        Returns:
            The outcome of each method at each budget.
        """
        from bench.cli.show_tune import Trials, outcomes
        from bench.runs.tuned import check_tuned, write_tuned
        from bench.tune.objective import objective_subject, with_objective
        from bench.tune.workers import Workers

        options, terms = self._options, self._terms
        job = self._asked.job(options.results, options.device, options.threads, options.workers)
        found: list[Outcome] = []
        search = self._search(terms)
        cells = [c.when for c in search.subjects()]
        if not options.objective:
            check_tuned(self.out, terms.conditions(self._data), cells)
        live = Trials(console.out, search.names, search.left, terms.work())
        with (
            launch(live),
            Workers(
                job, self._data, options.workers, live, options.time_limit, options.cluster
            ) as workers,
        ):
            if options.objective:
                subject = objective_subject(terms, self._methods)
                found.append(search.run_one(subject, workers))
                if found[0].found is None:
                    raise BenchError(f"the objective has no completed trial: {found[0].path}")
                terms = with_objective(terms, found[0].found)
                check_tuned(self.out, terms.conditions(self._data), [found[0].when, *cells])
                search.terms = terms
            found += search.run(workers)
        console.out.print(outcomes(found))
        best = [one.found for one in found if one.found is not None]
        if best:
            write_tuned(self.out, terms.conditions(self._data), (*self._shared, *best))
            console.out.say(f"{self.out}; boards take it with --tuned {self.out}")
        return found

    def _search(self, terms: Terms) -> Search:
        from bench.tune.search import Search

        return Search(terms, self._kinds, self._data, self._options.results)

    def _chosen_kinds(self, chosen: Suite) -> Sequence[type[Method]]:
        from bench.runs.plan import suits, wanted_methods

        wanted = wanted_methods(chosen, self._methods)
        return [one for one in wanted if suits(chosen, one, chosen.backbones[0])] or wanted


def _shared(chosen: Suite, path: Path) -> tuple[Found, ...]:
    """Tuned settings that all methods share: those of the file, or of the suite's own files."""
    from bench.runs.tuned import find_tuned, read_tuned

    files = [find_tuned(name) for name in chosen.tuned]
    files += [read_tuned(path)] if path.is_file() else []
    found = [one.shared(chosen.backbones[0]) for one in files]
    return next((one for one in reversed(found) if one), ())
