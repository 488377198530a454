"""`bench speed`, `bench verify`: timing, and comparing with published numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from bench.cli import console, options
from bench.cli.app import MEASURE, command
from bench.cli.launch import launch, names, steps
from bench.errors import BenchError, did_you_mean
from bench.runs.request import Request, about, existing

if TYPE_CHECKING:
    from bench.verify.references import Reference


@command(
    MEASURE,
    "bench speed -d gowalla",
    "bench speed -d ml-100k -m cerp -m full --backbone lightgcn",
    "bench speed -d gowalla --against recbole --json",
)
def speed(
    suite: options.SuiteName = None,
    dataset: options.Dataset = None,
    backbone: options.Backbones = None,
    method: options.Methods = None,
    budget: options.OneBudget = "10%",
    against: Annotated[
        Optional[str], typer.Option(help="Another program to compare with: recbole.")
    ] = None,
    n_steps: Annotated[
        int, typer.Option("--steps", help="Training steps of each method in a round.", min=1)
    ] = 10,
    rounds: Annotated[
        int, typer.Option(help="Rounds of measurements; the table shows medians.", min=1)
    ] = 5,
    minutes: Annotated[
        float,
        typer.Option(help="With --against: leave out rounds that would end later.", min=0),
    ] = 4.0,
    as_json: options.AsJson = False,
    settings: options.Settings = None,
    plugin: options.Plugins = None,
    data_dir: options.DataDir = None,
    threads: options.Threads = 1,
    device: options.Device = "cpu",
) -> None:
    """Time training and ranking of each method, and compare with the least time that they need."""
    import json
    import time

    import torch

    from bench.cli.show_speed import (
        against_left_out,
        against_table,
        explain,
        ranking_table,
        training_table,
    )
    from bench.engine.malloc import keep_freed_memory
    from bench.runs.settings import shared_training
    from bench.speed.measure import BASELINE, Effort, measure
    from bench.speed.versus import against_recbole

    if against not in (None, "recbole"):
        raise BenchError(f"--against {against}: there is recbole only")
    deadline = time.monotonic() + 60 * minutes
    asked = Request(suite, dataset, settings or (), plugins=plugin or (), data_dir=data_dir)
    chosen = asked.resolved(
        budgets=(budget,), seeds=1, methods=tuple(method or ()), backbones=tuple(backbone or ())
    )
    plan = asked.plan(chosen)
    data = plan.data
    keep_freed_memory()
    torch.set_num_threads(threads)
    effort = Effort(n_steps, rounds)
    if not as_json:
        console.out.say(about(data))
    runs = list(plan.runs)
    if against and not method:
        full = {name for name, kind in plan.methods.items() if kind.role == BASELINE}
        runs = [one for one in runs if one.run.spec.method.name in full]
        console.err.say(f"With --against {against} only the full table is timed; -m adds methods.")
    with steps() as tell:
        result = measure(runs, data, plan.methods, effort, device, tell)
        if against:
            result["against"] = against_recbole(
                data, plan.methods, chosen.dim, shared_training(chosen), effort, deadline, tell
            )
    if as_json:
        typer.echo(json.dumps(result, indent=1))
        return
    console.out.print(training_table(result))
    console.out.print(ranking_table(result))
    console.out.say(explain(result))
    if against:
        console.out.print(against_table(result["against"]))
        console.out.say(against_left_out(result["against"]))


@command(
    MEASURE,
    "bench verify --checks",
    "bench verify --read --results results",
    "bench verify --reference MF-BPR",
)
def verify(
    reference: Annotated[
        Optional[list[str]],
        typer.Option("--reference", help="Only this reference run; repeat it for more."),
    ] = None,
    file: Annotated[
        Optional[Path], typer.Option("--file", help="TOML file with other published numbers.")
    ] = None,
    read: Annotated[
        bool, typer.Option("--read", help="Run nothing; compare the existing records.")
    ] = False,
    checks: Annotated[
        bool,
        typer.Option(
            "--checks", help="Only compare the program with other computations; this takes seconds."
        ),
    ] = False,
    data_dir: options.DataDir = None,
    results: options.Results = options.RESULTS,
    workers: Annotated[int, typer.Option(help="Runs at the same time.", min=1)] = 1,
    threads: options.Threads = 1,
    device: options.Device = "cpu",
) -> None:
    """Compare reference runs with published numbers, and the program with other computations."""
    from bench import paths
    from bench.cli.show_verify import comparison
    from bench.records.scan import scan
    from bench.verify.references import compare

    if checks or not read:
        _cross_checks()
        if checks and not read:
            return
    wanted = _references(file or paths.folder("verify") / "published.toml", reference)
    for one in wanted if not read else ():
        _run_reference(one, data_dir, results, workers, threads, device)
    lines = compare(wanted, scan(existing(results)).records)
    console.out.print(*comparison(lines))
    if any(line.failed for line in lines):
        raise typer.Exit(1)


def _cross_checks() -> None:
    """Compare the engine with other computations; end with status 1 if they differ."""
    from bench.cli.show_verify import checks_table
    from bench.verify.checks import run_checks

    found = run_checks()
    console.out.print(checks_table(found))
    if any(one.failed for one in found):
        raise typer.Exit(1)


def _references(path: Path, names: list[str] | None) -> tuple[Reference, ...]:
    """The reference runs of a file, or those of these names."""
    from bench.verify.references import read_references

    found = read_references(path)
    unknown = set(names or ()) - {one.name for one in found}
    if unknown:
        name = min(unknown)
        said = did_you_mean(name, (one.name for one in found))
        raise BenchError(f"{path}: there is no reference {name!r}; {said}")
    return tuple(one for one in found if not names or one.name in names)


def _run_reference(
    reference: Reference,
    data_dir: Path | None,
    results: Path,
    workers: int,
    threads: int,
    device: str,
) -> None:
    """Run what is missing of a reference run."""
    from bench.cli.terminal import Live
    from bench.records.store import Store
    from bench.runs import schedule
    from bench.runs.settings import shared_training

    chosen = reference.resolved()
    asked = Request(reference.suite, refit=shared_training(chosen).refit, data_dir=data_dir)
    plan = asked.plan(chosen)
    console.out.say(f"{reference.name}: {about(plan.data)}")
    mine = [one for one in plan.runs if one.run.spec.method.name == reference.method]
    store = Store(results)
    done = schedule.finished(mine, store)
    job = asked.job(results, device, threads, workers)
    with launch(Live(console.out, len(mine) - len(done), names(mine))) as live:
        schedule.run_missing(mine, done, plan.data, plan.methods, store, job, workers, live)
