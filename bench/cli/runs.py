"""`bench leaderboard`, `bench run`, `bench status`: running boards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from bench.cli import console, options
from bench.cli.app import READ, RUN, command
from bench.cli.launch import launch, names, steps
from bench.errors import BenchError
from bench.runs.request import Plan, Request, about, existing

if TYPE_CHECKING:
    from bench.api import Single
    from bench.records.store import Store
    from bench.runs.plan import Planned


@command(
    RUN,
    "bench leaderboard",
    "bench leaderboard -d gowalla --budget 10% --seeds 1",
    "bench leaderboard -d ./my-data --method cerp --method dims --dry-run",
)
def leaderboard(
    suite: options.SuiteName = None,
    dataset: options.Dataset = None,
    budget: options.Budgets = None,
    method: options.Methods = None,
    backbone: options.Backbones = None,
    seeds: Annotated[
        Optional[int], typer.Option(help="How many random seeds: 0, 1, ...", min=1)
    ] = None,
    accounting: options.Accounting = None,
    bits: options.Bits = None,
    refit: options.Refit = False,
    settings: options.Settings = None,
    tuned: options.Tuned = None,
    tune: Annotated[
        Optional[int],
        typer.Option(help="Tune first, with so many trials of each method at each budget.", min=1),
    ] = None,
    plugin: options.Plugins = None,
    data_dir: options.DataDir = None,
    results: options.Results = options.RESULTS,
    reports: options.Reports = options.REPORTS,
    workers: options.Workers = None,
    cluster: options.Cluster = None,
    threads: options.Threads = 1,
    device: options.Device = "cpu",
    time_limit: options.TimeLimit = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the file of each run beside its record.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run again what failed before.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print sizes and an estimate of the time; train nothing."),
    ] = False,
) -> None:
    """Train every method under every budget and render the board. Runs only what is missing."""
    from bench.cli.board import show_report
    from bench.cli.show_plan import plan_table
    from bench.cli.terminal import Live
    from bench.cli.tuning import tuned_suite
    from bench.judge.forks import forks
    from bench.records.store import Store
    from bench.report import check_folder
    from bench.runs import schedule
    from bench.runs.plan import left_out
    from bench.tune.options import Options

    if cluster is None and not dry_run:
        forks()  # imports PyTorch while the runs are planned
    asked = Request(
        suite, dataset, settings or (), refit, accounting, tuned, plugin or (), data_dir, bits or ()
    )
    chosen = asked.resolved(
        budgets=tuple(budget or ()),
        methods=tuple(method or ()),
        backbones=tuple(backbone or ()),
        seeds=seeds,
    )
    many = workers or schedule.default_workers(device)
    if tune is not None:
        how = Options.of_board(tune, results, many, cluster, threads, device, time_limit)
        chosen = tuned_suite(asked, chosen, how, dry_run)
    plan = asked.plan(chosen)
    store = Store(results)
    done = schedule.finished(plan.runs, store, retry_failed)
    console.out.say(about(plan.data))
    console.out.print(plan_table(plan.runs, done))
    for line in left_out(chosen, plan.methods):
        console.out.say(line)
    if dry_run:
        _estimate(plan, done, store.root, many, threads, device)
        return
    check_folder(reports)  # before anything is trained
    job = asked.job(results, device, threads, many, keep)
    todo = sum(one.run.spec.id not in done and not one.infeasible for one in plan.runs)
    with launch(Live(console.out, todo, names(plan.runs))) as live:
        schedule.run_missing(
            plan.runs, done, plan.data, plan.methods, store, job, many, live, time_limit, cluster
        )
    show_report(results, reports, plan.data.split)
    _fail_if_any_failed(plan.runs, store)


def _fail_if_any_failed(planned: list[Planned], store: Store) -> None:
    """Name the runs that failed, and end with status 1 if any did."""
    from bench.cli.terminal import run_name
    from bench.runs.schedule import tally

    failed = tally(planned, store).failed
    for record in failed:
        name = run_name(record.spec.canonical(), record.budget.label if record.budget else None)
        assert record.error is not None
        console.err.say(f"failed: {name}: {record.error.type}: {record.error.message}")
    if failed:
        console.err.say("Their tracebacks are in their records; --retry-failed runs them again.")
        raise typer.Exit(1)


def _estimate(
    plan: Plan, done: set[str], results: Path, workers: int, threads: int, device: str
) -> None:
    """Say how long the missing runs of a plan take."""
    import torch

    from bench.cli import show_plan
    from bench.engine.malloc import keep_freed_memory
    from bench.records.scan import scan
    from bench.speed.estimate import estimate

    keep_freed_memory()
    torch.set_num_threads(threads)
    with steps() as tell:
        records = scan(results).records
        found = estimate(plan.runs, done, plan.data, plan.methods, records, workers, device, tell)
    console.out.say(show_plan.estimate(found, workers))


@command(
    RUN,
    "bench run -d gowalla -m cerp -b 128k --seed 2020",
)
def run(
    method: Annotated[
        list[str], typer.Option("--method", "-m", help="Method (see `bench list methods`).")
    ],
    suite: options.SuiteName = None,
    dataset: options.Dataset = None,
    budget: options.Budgets = None,
    backbone: options.Backbone = None,
    seed: Annotated[int, typer.Option(help="Random seed of the run.", min=0)] = 0,
    accounting: options.Accounting = None,
    bits: options.Bits = None,
    form: options.MethodForm = options.Form.tuned,
    refit: options.Refit = False,
    settings: options.Settings = None,
    tuned: options.Tuned = None,
    plugin: options.Plugins = None,
    data_dir: options.DataDir = None,
    results: options.Results = options.RESULTS,
    threads: options.Threads = 1,
    device: options.Device = "cpu",
    again: Annotated[
        bool, typer.Option("--again", help="Run it even if there is a record.")
    ] = False,
) -> None:
    """Train one method under one budget, keep its file, and print where its record is."""
    import json

    from bench.api import single
    from bench.judge.forks import forks

    name, label = _one("--method", method), _one("--budget", budget or ())
    assert name is not None  # the option is required
    forks()  # imports PyTorch while the run is planned
    asked = Request(
        suite, dataset, settings or (), refit, accounting, tuned, plugin or (), data_dir, bits or ()
    )
    one = single(asked, name, label, seed=seed, backbone=backbone, form=form.value, results=results)
    for line in _without_effect(one, label):
        console.err.say(line)
    console.out.say(about(one.plan.data))
    console.out.say(json.dumps(one.planned.run.spec.canonical(), sort_keys=True))
    if again or not one.done:
        _execute(one, device, threads)
    console.out.say(str(one.path))


def _one(option: str, given: Sequence[str]) -> str | None:
    """The value of an option that may be given once; None if it was not."""
    if len(given) > 1:
        raise BenchError(
            f"{option} is given {len(given)} times ({', '.join(given)}), and this is one run;"
            " `bench leaderboard` takes several"
        )
    return given[0] if given else None


def _without_effect(one: Single, budget: str | None) -> Iterator[str]:
    """A line for each option that changes nothing of a run.

    Settings of the full table are those of the training that a method starts from.
    """
    from bench.method.identity import rounds
    from bench.methods.full import Full

    spec = one.planned.run.spec
    method = spec.method.name
    used = {method, Full.name} if spec.teacher else {method}
    if budget and one.planned.run.label is None:
        yield f"--budget {budget} has no effect: {method} has no budget"
    if one.asked.bits and spec.method.form == "published":
        yield f"--bits has no effect: the published form of {method} has the paper's precision"
    elif one.asked.bits and spec.training is None:
        yield f"--bits has no effect: {method} has no values"
    elif one.asked.bits and rounds(one.plan.methods[method]):
        yield f"--bits has no effect: {method} chooses the precision by its own settings"
    for setting in one.asked.settings:
        other = setting.partition("=")[0].partition(".")[0]
        if other in one.plan.methods and other not in used:
            yield f"--set {setting} has no effect: the method is {method}"


def _execute(one: Single, device: str, threads: int) -> None:
    """Carry out one run with progress; end with status 1 if it fails."""
    from bench.cli.terminal import Live

    who = {"id": one.planned.run.spec.id, "worker": 0}
    with launch(Live(console.out, 1, names([one.planned]))) as live:
        live("start", dict(who))
        record = one.execute(device, threads, lambda entry: live("epoch", entry | who))
        live("done", {"record": record, **who})
    if record.error is not None:
        console.err.say(record.error.traceback or record.error.message)
        raise typer.Exit(1)


@command(
    READ,
    "bench status --results results/local",
)
def status(results: options.Results = options.RESULTS) -> None:
    """Count the runs in a results folder, and name the files that cannot be used."""
    from collections import Counter

    from bench.records.scan import scan

    found = scan(existing(results))
    counts = Counter((r.spec.dataset.split, r.spec.backbone.name, r.status) for r in found.records)
    for (split, backbone, state), count in sorted(counts.items()):
        console.out.say(f"{split}  {backbone}  {state}: {count}")
    for bad in found.rejected:
        console.err.say(f"left out: {bad.path}: {bad.reason}")
    # Names with a hyphen are of trained tables that are kept for other runs.
    files = (results / ".work").glob("*.safetensors")
    runs = {path.name.partition(".")[0] for path in files if "-" not in path.name}
    if runs:
        console.out.say(f"unfinished runs with a checkpoint: {len(runs)}")
