"""`bench tune`: searching settings by validation data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from bench.cli import console, options
from bench.cli.app import RUN, command
from bench.cli.launch import launch
from bench.cli.request import Request, about
from bench.errors import BenchError, did_you_mean

if TYPE_CHECKING:
    from bench.data import Interactions
    from bench.method import Method
    from bench.tune.search import Outcome, Terms


@command(
    RUN,
    "bench tune -d gowalla -m cerp -m pep -b 10% --trials 12 --own lr --out tuned/gowalla.toml",
)
def tune(
    method: Annotated[
        list[str], typer.Option("--method", "-m", help="Method; repeat it for more.")
    ],
    budget: options.OneBudget,
    trials: Annotated[int, typer.Option(help="Trials of each method.", min=1)] = 12,
    own: Annotated[
        Optional[list[str]],
        typer.Option("--own", help="Training setting that is tuned for each method: lr or l2."),
    ] = None,
    out_file: Annotated[
        Optional[Path],
        typer.Option("--out", help="TOML file that the best settings are written to."),
    ] = None,
    suite: options.SuiteName = None,
    dataset: options.Dataset = None,
    backbone: options.Backbone = None,
    seed: Annotated[
        int, typer.Option(help="Random seed of the trials; leaderboards use others.", min=0)
    ] = 1000,
    accounting: options.Accounting = None,
    settings: options.Settings = None,
    plugin: options.Plugins = None,
    data_dir: options.DataDir = None,
    results: options.Results = options.RESULTS,
    workers: options.Workers = None,
    threads: options.Threads = 1,
    device: options.Device = "cpu",
    time_limit: options.TimeLimit = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the search spaces; train nothing.")
    ] = False,
) -> None:
    """Search for the best settings of methods by validation NDCG@20, with equal trials for each."""
    _needs_optuna()
    from bench.cli.show_tune import Trials, spaces
    from bench.runs.schedule import default_workers
    from bench.runs.tuned import check_tuned
    from bench.tune.search import FOLDER, Terms, Tuning
    from bench.tune.search import tune as search

    asked = Request(
        suite,
        dataset,
        settings or (),
        accounting=accounting,
        plugins=plugin or (),
        data_dir=data_dir,
    )
    chosen = asked.resolved(backbones=(backbone,) if backbone else ())
    data = asked.load(chosen)
    kinds = _kinds(method, plugin or ())
    terms = Terms(chosen, budget, trials, tuple(own or ()), seed)
    if out_file is not None:
        check_tuned(out_file, terms.conditions(data), [kind.name for kind in kinds])
    console.out.say(about(data))
    console.out.print(spaces([Tuning(terms, kind, data, results / FOLDER) for kind in kinds]))
    if dry_run:
        return
    many = workers or default_workers(device)
    job = asked.job(chosen, results, device, threads, many)
    titles: dict[str, str] = {}
    with launch(Trials(console.out, trials * len(kinds), titles)) as live:
        found = search(terms, kinds, data, results, job, many, live, titles, time_limit)
    _conclude(found, out_file, terms, data)


def _needs_optuna() -> None:
    from importlib.util import find_spec

    if find_spec("optuna") is None:
        raise BenchError("tuning needs optuna: pip install 'compact-embedding-benchmark[tune]'")


def _kinds(names: Iterable[str], plugins: Sequence[Path]) -> list[type[Method]]:
    from bench.method.registry import find_methods

    known = find_methods(plugins)
    for name in names:
        if name not in known:
            raise BenchError(f"there is no method {name!r}; {did_you_mean(name, known)}")
    return [known[name] for name in dict.fromkeys(names)]


def _conclude(
    found: Sequence[Outcome], out_file: Path | None, terms: Terms, data: Interactions
) -> None:
    """Prints and writes the best settings; ends with status 1 if a method has none."""
    from bench.cli.show_tune import chosen, outcomes
    from bench.runs.tuned import write_tuned

    console.out.print(outcomes(found))
    for one in found:
        console.out.say(chosen(one))
    best = {one.method: one.tuned for one in found if one.tuned is not None}
    if out_file is not None and best:
        write_tuned(out_file, terms.conditions(data), best)
        console.out.say(f"{out_file}; boards take it with --tuned {out_file}")
    if len(best) < len(found):
        raise typer.Exit(1)
