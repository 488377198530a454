"""`bench tune`: searching settings by validation data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Optional

import typer

from bench.cli import console, options
from bench.cli.app import EXTEND, RUN, command
from bench.errors import BenchError
from bench.runs.request import Request, about
from bench.tune.options import SEED, Options, needs_optuna


@command(
    RUN,
    "bench tune -d ./my-data --objective",
    "bench tune -d gowalla -b 10% -m cerp -m dims --trials 24 --out mine.toml --dry-run",
)
def tune(
    suite: options.SuiteName = None,
    dataset: options.Dataset = None,
    budget: options.Budgets = None,
    method: options.Methods = None,
    backbone: options.Backbone = None,
    trials: Annotated[int, typer.Option(help="Trials of each method at each budget.", min=1)] = 12,
    objective: Annotated[
        bool,
        typer.Option("--objective", help="First tune what all methods share, with the full table."),
    ] = False,
    start: Annotated[
        Optional[list[str]],
        typer.Option(
            "--start",
            help="Tuned settings to try first, by name or file; the defaults for such data if not"
            " given.",
        ),
    ] = None,
    out_file: Annotated[
        Optional[Path],
        typer.Option(
            "--out",
            help="TOML file of the best settings; tuned/DATASET-BACKBONE.toml if not given.",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Random seed of the trials; leaderboards use others.", min=0)
    ] = SEED,
    accounting: options.Accounting = None,
    settings: options.Settings = None,
    plugin: options.Plugins = None,
    data_dir: options.DataDir = None,
    results: options.Results = options.RESULTS,
    workers: options.Workers = None,
    cluster: options.Cluster = None,
    threads: options.Threads = 1,
    device: options.Device = "cpu",
    time_limit: options.TimeLimit = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print search spaces and an estimate of the time."),
    ] = False,
) -> None:
    """Search for the best settings of every method at every budget, with equal trials for each.

    Settings are chosen by validation NDCG@20. Runs only what is missing.
    """
    needs_optuna()
    from bench.cli import tuning
    from bench.runs.schedule import default_workers
    from bench.tune.tuner import Tuner

    asked = Request(
        suite,
        dataset,
        settings or (),
        accounting=accounting,
        plugins=plugin or (),
        data_dir=data_dir,
    )
    chosen = asked.resolved(
        budgets=tuple(budget or ()),
        methods=tuple(method or ()),
        backbones=(backbone,) if backbone else (),
    )
    data = asked.load(chosen)
    tuner = Tuner(
        asked,
        chosen,
        data,
        Options(
            trials,
            tuple(start or ()),
            seed,
            objective,
            out_file,
            results,
            workers or default_workers(device),
            cluster,
            threads,
            device,
            time_limit,
        ),
    )
    console.out.say(about(data))
    tuning.show(tuner)
    if dry_run:
        tuner.check()
        tuning.estimate(tuner)
        return
    if any(one.found is None and one.counts["failed"] for one in tuning.run(tuner)):
        raise typer.Exit(1)


@command(
    EXTEND,
    "bench defaults ml-1m-mf ml-100k-mf --out mine.toml",
    "bench defaults gowalla-mf amazon-cds-mf --rates --by-score --out mine.toml",
)
def defaults(
    names: Annotated[list[str], typer.Argument(help="Tuned settings, by name or file.")],
    out_file: Annotated[
        Path, typer.Option("--out", help="TOML file that the defaults are written to.")
    ],
    rates: Annotated[
        bool,
        typer.Option("--rates", help="With learning rates, for suites with the same objective."),
    ] = False,
    by_score: Annotated[
        bool,
        typer.Option(
            "--by-score",
            help="Run the settings of each file on the data sets of the others, and take those that"
            " lose least validation NDCG@20; else those that differ least from the others.",
        ),
    ] = False,
    dataset: Annotated[
        Optional[list[str]],
        typer.Option("--data", "-d", help="For --by-score: data sets that are files of your own."),
    ] = None,
    suite: Annotated[
        Optional[str],
        typer.Option(
            help="For --by-score: suite that takes the defaults. Runs have its objective, and"
            " learning rates come from files with this objective."
        ),
    ] = None,
    others: Annotated[
        Optional[list[str]],
        typer.Option(help="Tuned settings for the methods that the files lack, by name or file."),
    ] = None,
    data_dir: options.DataDir = None,
    results: options.Results = options.RESULTS,
    workers: options.Workers = None,
    plugin: options.Plugins = None,
) -> None:
    """Derive defaults for other data from the settings that were tuned on several data sets."""
    from bench.method.registry import find_methods
    from bench.runs.schedule import default_workers
    from bench.runs.tuned import find_tuned, write_tuned
    from bench.tune.defaults import derive

    files, methods, losses = [find_tuned(one) for one in names], find_methods(plugin or ()), None
    rule = "those that differ least from the others"
    if suite and (rates or not by_score):
        raise BenchError("--suite needs --by-score, and decides about rates without --rates")
    kept: Sequence[int] = range(len(files)) if rates else ()
    if by_score:
        needs_optuna()
        from bench.tune.transfer import Runner

        run = Runner(
            methods,
            results,
            workers or default_workers("cpu"),
            rates,
            suite,
            tuple(dataset or ()),
            data_dir,
            tuple(plugin or ()),
        )
        losses, rule = run.losses(files), "those that lose least on the others"
        if suite:
            rule += f" under the suite {suite}"
            kept = [number for number, one in enumerate(files) if run.rated(one)]
    found = derive(files, methods, kept, losses)
    note = f"of {', '.join(names)}, {rule}"
    if others:
        had = {name for one in found for name in one.when.method}
        lacking = {name: kind for name, kind in methods.items() if name not in had}
        found += derive([find_tuned(one) for one in others], lacking)
        note += f"; methods that these lack: of {', '.join(others)}"
    out_file.unlink(missing_ok=True)
    write_tuned(out_file, {"note": note}, found)
    console.out.say(f"{out_file}: {len(found)} overrides")
