"""Tuning on the terminal: what `bench tune` and `bench leaderboard --tune` both show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.cli import console
from bench.cli.launch import launch, steps
from bench.tune.options import Options, needs_optuna

if TYPE_CHECKING:
    from bench.runs.request import Request
    from bench.runs.suite import Suite
    from bench.tune.search import Outcome
    from bench.tune.tuner import Tuner


def tuned_suite(asked: Request, chosen: Suite, options: Options, dry_run: bool) -> Suite:
    """Tune a suite under each of its backbones, or say what would be done.

    Returns:
        The suite with the tuned settings; for a dry run, as it was.
    """
    needs_optuna()
    from bench.runs.settings import with_tuned
    from bench.runs.suite import Override
    from bench.tune.tuner import Tuner

    data, plain = asked.load(chosen), with_tuned(chosen, "")
    files = []
    for backbone in chosen.backbones:
        one = chosen.model_copy(update={"backbones": (backbone,)})
        tuner = Tuner(asked, one, data, options)
        show(tuner)
        if dry_run:
            estimate(tuner)
        else:
            run(tuner)
            files.append(Override(tuned=str(tuner.out)))
    return plain.model_copy(update={"override": (*plain.override, *files)}) if files else chosen


def show(tuner: Tuner) -> None:
    """Print what is searched, and in how many runs."""
    from bench.cli.show_tune import spaces
    from bench.runs.plan import left_out

    console.out.print(spaces(tuner.subjects()))
    for line in left_out(tuner.terms.suite, tuner.methods):
        console.out.say(line)
    stages, search = tuner.terms.stages(), tuner.search
    many = len(search.columns())
    methods = f"{many} methods, each with" if many != 1 else "one method, with"
    console.out.say(
        f"{sum(search.left().values()):,} runs: {methods} {stages['short']} trials at each budget,"
        f" of which at most {stages['whole']} get all passes and {stages['again']} a second seed;"
        " then the best of each budget competes at the budgets next to it"
    )


def estimate(tuner: Tuner) -> None:
    """Say how long the trials take, from a few timed steps."""
    import torch

    from bench.cli.terminal import in_words
    from bench.engine.malloc import keep_freed_memory
    from bench.runs.plan import Planner
    from bench.speed.estimate import estimate as timed

    keep_freed_memory()
    options, terms, search = tuner.options, tuner.terms, tuner.search
    torch.set_num_threads(options.threads)
    planner = Planner(terms.plain, tuner.data)
    planned = [
        planner.run(kind, terms.backbone, label, terms.seed, form=form)
        for kind, form in search.columns()
        for label in search.budgets(kind)
    ]
    with steps() as tell:
        found = timed(planned, set(), tuner.data, tuner.methods, [], 1, options.device, tell)
    if found is not None:
        each = sum(terms.work()[stage] * many for stage, many in search.left().items())
        seconds = found.work * each / len(planned) / options.workers
        console.out.say(
            f"At most about {in_words(seconds)} with {options.workers} workers;"
            " training ends earlier where the validation score stops rising."
        )


def run(tuner: Tuner) -> list[Outcome]:
    """Run the missing trials with progress, print the outcomes, and say where they are."""
    from bench.cli.show_tune import Trials, outcomes

    search = tuner.search
    with launch(Trials(console.out, search.names, search.left, tuner.terms.work())) as live:
        found = tuner.run(live)
    console.out.print(outcomes(found))
    if any(one.found is not None for one in found):
        console.out.say(f"{tuner.out}; boards take it with --tuned {tuner.out}")
    return found
