"""The command line. Thin: it reads options, calls the library and prints."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from rich.console import Console

from bench.engine.malloc import keep_freed_memory
from bench.errors import BenchError

app = typer.Typer(
    name="bench",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Compact embeddings for recommenders, compared under identical, measured memory budgets.",
    epilog="Start with: bench leaderboard --dry-run",
)
out, err = Console(), Console(stderr=True)

# typer reads annotations at run time, where Python 3.10 needs Optional.
Suite_ = Annotated[Optional[str], typer.Option("--suite", help="Suite name or TOML file.")]
Dataset = Annotated[
    Optional[str],
    typer.Option("--dataset", "-d", help="Card name, or a file or folder of your own."),
]
DataDir = Annotated[
    Optional[Path],
    typer.Option("--data-dir", envvar="BENCH_DATA", help="Folder to look in before downloading."),
]
Results = Annotated[Path, typer.Option("--results", help="Folder of run records.")]
Reports = Annotated[Path, typer.Option("--reports", help="Folder of the report.")]
Settings = Annotated[
    Optional[list[str]],
    typer.Option("--set", help="KEY=VALUE: training.lr=0.01, cerp.gamma=0, mf.similarity=dot."),
]
Plugins = Annotated[
    Optional[list[Path]], typer.Option("--plugin", help="File with a method of your own.")
]
Device = Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1, ...")]
Refit = Annotated[
    bool, typer.Option("--refit", help="Train again on train + validation before testing.")
]
Accounting = Annotated[
    Optional[str], typer.Option("--accounting", help="What budgets bind: bytes or values.")
]
Tuned = Annotated[
    Optional[str], typer.Option("--tuned", help="Tuned settings: a name, or a file of bench tune.")
]
_RESULTS, _REPORTS = Path("results/local"), Path("reports/local")


@app.command(
    epilog="Examples:  bench leaderboard   |   bench leaderboard -d gowalla --budget 10% --seeds 1"
    "   |   bench leaderboard -d ./my-data --method cerp --method dims --dry-run"
)
def leaderboard(
    suite: Suite_ = None,
    dataset: Dataset = None,
    budget: Annotated[
        Optional[list[str]], typer.Option("--budget", "-b", help="5%, 128k (values) or 256KB.")
    ] = None,
    method: Annotated[
        Optional[list[str]], typer.Option("--method", "-m", help="Only these methods.")
    ] = None,
    backbone: Annotated[
        Optional[list[str]], typer.Option("--backbone", help="Only these backbones.")
    ] = None,
    seeds: Annotated[Optional[int], typer.Option(help="How many seeds, from 0.", min=1)] = None,
    accounting: Accounting = None,
    refit: Refit = False,
    settings: Settings = None,
    tuned: Tuned = None,
    plugin: Plugins = None,
    data_dir: DataDir = None,
    results: Results = _RESULTS,
    reports: Reports = _REPORTS,
    workers: Annotated[
        Optional[int], typer.Option(help="Runs at a time; all cores if not given.", min=1)
    ] = None,
    cluster: Annotated[
        Optional[str],
        typer.Option(help="Run on dask: address or file of a scheduler, or `local`."),
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads of each run.", min=1)] = 1,
    device: Device = "cpu",
    time_limit: Annotated[
        Optional[float], typer.Option(help="Seconds a run may take; longer ones fail.")
    ] = None,
    retry_failed: Annotated[bool, typer.Option(help="Run failed runs again.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan, train nothing.")
    ] = False,
) -> None:
    """Train every method under every budget, and render the board. Does only what is missing."""
    from bench.cli import terminal
    from bench.records.store import Store
    from bench.runs import carry_out as board
    from bench.runs.pool import Job

    chosen = _suite(suite, dataset, settings, refit, accounting, tuned)
    changes: dict[str, Any] = {}
    if budget:
        changes["budgets"] = tuple(budget)
    if method:
        changes["methods"] = tuple(method)
    if backbone:
        changes["backbones"] = tuple(backbone)
    if seeds:
        changes["seeds"] = seeds
    chosen = chosen.model_copy(update=changes)
    data, methods, planned = _plan(
        chosen, suite, dataset, settings, refit, accounting, plugin, data_dir
    )
    store = Store(results)
    done = board.finished(planned, store, retry_failed)
    out.print(_about(data))
    out.print(terminal.plan_table(planned, done))
    many = workers or board.default_workers(device)
    if dry_run:
        _estimate(planned, done, data, methods, store.root, many, threads, device)
        return
    job = Job(
        dataset=_source(chosen, dataset),
        data_dir=str(data_dir) if data_dir else None,
        results=str(results),
        plugins=tuple(str(path) for path in plugin or ()),
        device=device,
        threads=threads,
        parallel=many > 1,
    )
    names = {
        one.run.spec.id: terminal.run_name(one.run.spec.canonical(), one.run.label)
        for one in planned
    }
    todo = sum(one.run.spec.id not in done and not one.infeasible for one in planned)
    try:
        with terminal.Live(out, todo, names) as live:
            board.carry_out(
                planned, done, data, methods, store, job, many, live, time_limit, cluster
            )
    except KeyboardInterrupt:
        err.print("Interrupted. What was finished is kept; the same command continues.")
        raise typer.Exit(130) from None
    _report(results, reports, data.split)
    counts = board.tally(planned, store)
    for record in counts.failed:
        name = terminal.run_name(record["spec"], (record["budget"] or {}).get("label"))
        err.print(f"failed: {name}: {record['error']['type']}: {record['error']['message']}")
    if counts.failed:
        err.print("Their tracebacks are in their records; --retry-failed runs them again.")
        raise typer.Exit(1)


@app.command(epilog="Example:  bench run -d gowalla -m cerp -b 128k --seed 2020")
def run(
    method: Annotated[str, typer.Option("--method", "-m", help="Which method.")],
    suite: Suite_ = None,
    dataset: Dataset = None,
    budget: Annotated[
        Optional[str], typer.Option("--budget", "-b", help="5%, 128k (values) or 256KB.")
    ] = None,
    backbone: Annotated[Optional[str], typer.Option(help="Which backbone.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the run.", min=0)] = 0,
    accounting: Accounting = None,
    refit: Refit = False,
    settings: Settings = None,
    tuned: Tuned = None,
    plugin: Plugins = None,
    data_dir: DataDir = None,
    results: Results = _RESULTS,
    threads: Annotated[int, typer.Option(help="Threads of torch.", min=1)] = 1,
    device: Device = "cpu",
    again: Annotated[bool, typer.Option("--again", help="Run even if there is a record.")] = False,
) -> None:
    """Train one method under one budget, in this process, and print its record's headline."""
    import json

    import torch

    from bench.cli import terminal
    from bench.records.store import Store
    from bench.runs.carry_out import claimed, finished, record_path
    from bench.runs.execute import execute

    chosen = _suite(suite, dataset, settings, refit, accounting, tuned)
    changes: dict[str, Any] = {"methods": (method,), "seeds": seed + 1}
    if budget:
        changes["budgets"] = (budget,)
    if backbone:
        changes["backbones"] = (backbone,)
    chosen = chosen.model_copy(update=changes)
    data, methods, planned = _plan(
        chosen, suite, dataset, settings, refit, accounting, plugin, data_dir
    )
    wanted = [
        one
        for one in planned
        if one.run.spec.method.name == method
        and (one.run.spec.seed == seed or one.run.spec.training is None)
    ]
    if len(wanted) > 1:
        raise BenchError(
            f"that is {len(wanted)} runs; name one --budget and one --backbone, or use leaderboard"
        )
    one = wanted[0]
    store = Store(results)
    out.print(_about(data))
    out.print(json.dumps(one.run.spec.canonical(), sort_keys=True), highlight=False, soft_wrap=True)
    if one.infeasible:
        raise BenchError(f"{method} under {one.run.label}: infeasible: {one.infeasible}")
    if again or one.run.spec.id not in finished(wanted, store, retry_failed=True):
        keep_freed_memory()
        torch.set_num_threads(threads)
        names = {one.run.spec.id: terminal.run_name(one.run.spec.canonical(), one.run.label)}
        identity = {"id": one.run.spec.id, "worker": 0}
        try:
            with claimed(store, one.run), terminal.Live(out, 1, names) as live:
                live("start", dict(identity))
                record = execute(
                    one.run,
                    data,
                    methods,
                    store,
                    device,
                    report=lambda e: live("epoch", e | identity),
                )
                live("done", {"record": record, **identity})
        except KeyboardInterrupt:
            err.print("Interrupted; the same command continues.")
            raise typer.Exit(130) from None
        if record["status"] != "ok":
            err.print(record["error"]["traceback"], highlight=False)
            raise typer.Exit(1)
    out.print(str(record_path(store, one.run)), highlight=False)


@app.command(
    epilog="Example:  bench tune -d gowalla -m cerp -m pep -b 10% --trials 12 --own lr"
    " --out tuned/gowalla.toml"
)
def tune(
    method: Annotated[list[str], typer.Option("--method", "-m", help="Which methods.")],
    budget: Annotated[str, typer.Option("--budget", "-b", help="5%, 128k (values) or 256KB.")],
    trials: Annotated[int, typer.Option(help="Trials of each method.", min=1)] = 12,
    own: Annotated[
        Optional[list[str]],
        typer.Option("--own", help="Training setting that each method tunes for itself: lr, l2."),
    ] = None,
    out_file: Annotated[
        Optional[Path], typer.Option("--out", help="TOML file for the best settings.")
    ] = None,
    suite: Suite_ = None,
    dataset: Dataset = None,
    backbone: Annotated[Optional[str], typer.Option(help="Which backbone.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the runs; no board's.", min=0)] = 1000,
    accounting: Accounting = None,
    settings: Settings = None,
    plugin: Plugins = None,
    data_dir: DataDir = None,
    results: Results = _RESULTS,
    workers: Annotated[
        Optional[int], typer.Option(help="Trials at a time; all cores if not given.", min=1)
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads of each trial.", min=1)] = 1,
    device: Device = "cpu",
    time_limit: Annotated[
        Optional[float], typer.Option(help="Seconds a trial may take; longer ones fail.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what is searched, train nothing.")
    ] = False,
) -> None:
    """Search each method's knobs by validation NDCG@20, with the same number of trials for all."""
    from importlib.util import find_spec

    if find_spec("optuna") is None:
        raise BenchError("tuning needs optuna: pip install 'compact-embedding-benchmark[tune]'")
    from bench.cli.show_tune import Trials, outcomes, spaces
    from bench.cli.show_tune import chosen as chosen_settings
    from bench.data import load
    from bench.method.registry import find_methods
    from bench.runs.carry_out import default_workers
    from bench.runs.pool import Job
    from bench.runs.tuned import check_tuned, write_tuned
    from bench.tune.search import FOLDER, Terms, Tuning
    from bench.tune.search import tune as search

    chosen = _suite(suite, dataset, settings, False, accounting)
    if backbone:
        chosen = chosen.model_copy(update={"backbones": (backbone,)})
    data = load(_source(chosen, dataset), data_dir=data_dir)
    known = find_methods(plugin or ())
    for name in method:
        if name not in known:
            raise BenchError(f"there is no method {name!r}; there are {', '.join(known)}")
    kinds = [known[name] for name in dict.fromkeys(method)]
    terms = Terms(chosen, budget, trials, tuple(own or ()), seed)
    if out_file is not None:
        check_tuned(out_file, terms.conditions(data), [kind.name for kind in kinds])
    out.print(_about(data))
    out.print(spaces([Tuning(terms, kind, data, results / FOLDER) for kind in kinds]))
    if dry_run:
        return
    many = workers or default_workers(device)
    job = Job(
        dataset=_source(chosen, dataset),
        data_dir=str(data_dir) if data_dir else None,
        results=str(results),
        plugins=tuple(str(path) for path in plugin or ()),
        device=device,
        threads=threads,
        parallel=many > 1,
    )
    try:
        names: dict[str, str] = {}
        with Trials(out, trials * len(kinds), names) as live:
            found = search(terms, kinds, data, results, job, many, live, names, time_limit)
    except KeyboardInterrupt:
        err.print("Interrupted. What was finished is kept; the same command continues.")
        raise typer.Exit(130) from None
    out.print(outcomes(found))
    for one in found:
        out.print(chosen_settings(one), highlight=False, markup=False, soft_wrap=True)
    best = {one.method: one.tuned for one in found if one.tuned is not None}
    if out_file is not None and best:
        write_tuned(out_file, terms.conditions(data), best)
        out.print(f"{out_file}; boards take it with --tuned {out_file}", highlight=False)
    if len(best) < len(found):
        raise typer.Exit(1)


@app.command(
    epilog="Examples:  bench verify --checks   |   bench verify --read --results results   |   "
    "bench verify --reference MF-BPR"
)
def verify(
    reference: Annotated[
        Optional[list[str]], typer.Option("--reference", help="Only these reference runs.")
    ] = None,
    file: Annotated[
        Optional[Path], typer.Option("--file", help="Published numbers of your own, as TOML.")
    ] = None,
    read: Annotated[
        bool, typer.Option("--read", help="Run nothing; compare the records that there are.")
    ] = False,
    checks: Annotated[
        bool, typer.Option("--checks", help="Only the cross-checks, which take seconds.")
    ] = False,
    data_dir: DataDir = None,
    results: Results = _RESULTS,
    workers: Annotated[int, typer.Option(help="Runs at a time.", min=1)] = 1,
    threads: Annotated[int, typer.Option(help="Threads of each run.", min=1)] = 1,
    device: Device = "cpu",
) -> None:
    """Compare reference runs with published numbers, and the engine with other computations."""
    from bench import paths
    from bench.cli.show_verify import checks_table, comparison
    from bench.records.scan import scan
    from bench.verify.references import compare, read_references

    if checks or not read:
        from bench.verify.checks import run_checks

        found = run_checks()
        out.print(checks_table(found))
        if any(one.failed for one in found):
            raise typer.Exit(1)
        if checks and not read:
            return
    path = file or paths.folder("verify") / "published.toml"
    wanted = read_references(path)
    if reference:
        unknown = set(reference) - {one.name for one in wanted}
        if unknown:
            known = ", ".join(one.name for one in wanted)
            raise BenchError(f"{path}: there is no reference {min(unknown)!r}; there are {known}")
        wanted = tuple(one for one in wanted if one.name in reference)
    for one in wanted if not read else ():
        chosen = one.resolved()
        data, methods, planned = _plan(
            chosen, one.suite, None, None, chosen.training.refit, None, None, data_dir
        )
        out.print(f"{one.name}: {_about(data)}")
        mine = [each for each in planned if each.run.spec.method.name == one.method]
        source = _source(chosen, None)
        _carry_out(mine, data, methods, results, data_dir, source, workers, threads, device)
    lines = compare(wanted, scan(_there(results)).records)
    out.print(*comparison(lines))
    if any(line.failed for line in lines):
        raise typer.Exit(1)


@app.command(epilog="Example:  bench report --results results --reports reports")
def report(results: Results = _RESULTS, reports: Reports = _REPORTS) -> None:
    """Render the board from the records, without running anything."""
    _report(results, reports)


@app.command(epilog="Example:  bench status --results results/local")
def status(results: Results = _RESULTS) -> None:
    """Say what a results folder holds, and what is wrong with it."""
    from collections import Counter

    from bench.records.scan import scan

    found = scan(_there(results))
    counts = Counter((r.spec.dataset.split, r.spec.backbone.name, r.status) for r in found.records)
    for (split, backbone, state), count in sorted(counts.items()):
        out.print(f"{split}  {backbone}  {state}: {count}", highlight=False)
    for bad in found.rejected:
        err.print(f"left out: {bad.path}: {bad.reason}", highlight=False)
    unfinished = sorted((results / ".work").glob("*.safetensors"))
    if unfinished:
        runs = {path.name.partition(".")[0] for path in unfinished}
        out.print(f"unfinished runs with a checkpoint: {len(runs)}")


@app.command(epilog="Example:  bench choose --max-bytes 256KB --results results")
def choose(
    max_bytes: Annotated[str, typer.Option(help="What the embeddings may take, such as 256KB.")],
    max_latency: Annotated[
        Optional[float], typer.Option(help="Microseconds that one row may take to rebuild.")
    ] = None,
    backbone: Annotated[Optional[str], typer.Option(help="Only this backbone.")] = None,
    dataset: Annotated[
        Optional[str], typer.Option("--dataset", "-d", help="Only this one.")
    ] = None,
    results: Results = _RESULTS,
) -> None:
    """Recommend a method for a size, from the records, with the uncertainty."""
    from bench.board import load
    from bench.board.choose import choose as chosen
    from bench.board.choose import render_choice
    from bench.budget import parse_budget

    if "%" in max_bytes:
        raise BenchError(f"--max-bytes {max_bytes}: give an amount, such as 256KB")
    cap = int(max_bytes) if max_bytes.isdigit() else parse_budget(max_bytes, 1, 1).cap
    advice = chosen(load(_there(results)), cap, max_latency, backbone, dataset)
    out.print(render_choice(advice), highlight=False, markup=False, soft_wrap=True)


@app.command(epilog="Example:  bench diff HEAD~1 results   (exit status 1 if a row got worse)")
def diff(
    before: Annotated[str, typer.Argument(help="A results folder or a git revision.")],
    after: Annotated[str, typer.Argument(help="Another one.")],
    results: Results = Path("results"),
) -> None:
    """List the rows that moved by more than noise between two sets of records."""
    from bench.board.diff import diff as compared
    from bench.board.diff import opened, render_diff

    with opened(before, results) as one, opened(after, results) as other:
        found = compared(one, other)
    out.print(render_diff(found), highlight=False, markup=False, soft_wrap=True)
    if found.worse:
        raise typer.Exit(1)


@app.command(epilog="Example:  bench studies results/studies")
def studies(
    folder: Annotated[Path, typer.Argument(help="A folder of run records.")],
) -> None:
    """Print what settings were tried and what validation data say, as Markdown."""
    from bench.records.scan import scan
    from bench.studies.tried import render_studies

    found = scan(_there(folder))
    for one in found.rejected:
        err.print(f"left out {one.path}: {one.reason}", style="yellow", soft_wrap=True)
    text = render_studies(found.records)
    if not text:
        raise BenchError(f"{folder}: no two runs of one method and budget to compare")
    typer.echo(text)


@app.command("list", epilog="Example:  bench list methods")
def list_(
    what: Annotated[
        str, typer.Argument(help="methods, datasets, suites, backbones or tuned")
    ] = "methods",
    plugin: Plugins = None,
) -> None:
    """List what there is."""
    if what == "methods":
        from bench.method.registry import find_methods

        for name, kind in find_methods(plugin or ()).items():
            out.print(f"{name:12} {kind.role:9} {kind.title}  {kind.paper}", highlight=False)
            for key, knob in kind.Config.model_fields.items():
                out.print(f"    {name}.{key} = {knob.default!r}", highlight=False, style="dim")
    elif what == "datasets":
        from bench.data import list_cards

        for card in list_cards():
            out.print(
                f"{card.name:16} {card.title}  {card.note}".rstrip(),
                highlight=False,
                soft_wrap=True,
            )
    elif what == "suites":
        from bench.runs.suite import list_suites

        for name, found in list_suites().items():
            taken = f"  (tuned = {found.tuned})" if found.tuned else ""
            out.print(f"{name:12} {found.title}{taken}", highlight=False)
    elif what == "backbones":
        from bench.backbones.registry import find_backbones

        for name, backbone in find_backbones().items():
            out.print(f"{name:12} {backbone.title}", highlight=False)
    elif what == "tuned":
        from bench.runs.tuned import list_tuned, listing

        for name, settings in list_tuned().items():
            for line in listing(name, settings):
                out.print(line, highlight=False, markup=False, soft_wrap=True)
    else:
        raise BenchError(
            f"{what!r} cannot be listed; choose methods, datasets, suites, backbones or tuned"
        )


@app.command(epilog="Examples:  bench check cerp   |   bench check ./my_method.py")
def check(
    method: Annotated[str, typer.Argument(help="Name of a method, or a file that defines some.")],
) -> None:
    """Run the conformance checks that every method has to pass."""
    from bench.check import check_method
    from bench.method.registry import find_methods, get_method

    if method.endswith(".py"):
        known = find_methods()
        kinds = [k for n, k in find_methods([Path(method)]).items() if known.get(n) is not k]
    else:
        kinds = [get_method(method)]
    failed = 0
    for kind in kinds:
        for item in check_method(kind):
            failed += not item.passed
            mark = "[green]pass[/]" if item.passed else "[red]FAIL[/]"
            out.print(
                f"{mark}  {kind.name}: {item.name}" + ("" if item.passed else f": {item.detail}")
            )
    if failed:
        raise typer.Exit(1)


@app.command(epilog="Example:  bench new pophash   (writes pophash.py)")
def new(
    name: Annotated[str, typer.Argument(help="Name of the method.")],
    folder: Annotated[Path, typer.Option(help="Where to put the file.")] = Path(),
) -> None:
    """Start a method of your own from the template."""
    from bench.method.template import new_method

    path = new_method(name, folder)
    out.print(f"{path}\nTry it: bench check {path}\nRun it: bench leaderboard --plugin {path}")


@app.command(
    epilog="Examples:  bench speed -d gowalla   |   bench speed -d ml-100k -m cerp -m full"
    " --backbone lightgcn   |   bench speed -d gowalla --against recbole --json"
)
def speed(
    suite: Suite_ = None,
    dataset: Dataset = None,
    backbone: Annotated[
        Optional[list[str]], typer.Option("--backbone", help="Only these backbones.")
    ] = None,
    method: Annotated[
        Optional[list[str]], typer.Option("--method", "-m", help="Only these methods.")
    ] = None,
    budget: Annotated[
        str, typer.Option("--budget", "-b", help="5%, 128k (values) or 256KB.")
    ] = "10%",
    against: Annotated[
        Optional[str], typer.Option(help="Another program to time beside ours: recbole.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Steps of each method in a round.", min=1)] = 10,
    rounds: Annotated[int, typer.Option(help="Rounds; medians are taken.", min=1)] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
    settings: Settings = None,
    plugin: Plugins = None,
    data_dir: DataDir = None,
    threads: Annotated[int, typer.Option(help="Threads of torch.", min=1)] = 1,
    device: Device = "cpu",
) -> None:
    """Time training and ranking of each method, beside floors measured in the same run."""
    import json

    import torch

    from bench.cli.show_speed import against_table, explain, ranking_table, training_table
    from bench.speed.measure import Effort, measure
    from bench.speed.versus import against_recbole

    if against not in (None, "recbole"):
        raise BenchError(f"--against {against}: there is recbole only")
    chosen = _suite(suite, dataset, settings, False, None)
    changes: dict[str, Any] = {"budgets": (budget,), "seeds": 1}
    if method:
        changes["methods"] = tuple(method)
    if backbone:
        changes["backbones"] = tuple(backbone)
    chosen = chosen.model_copy(update=changes)
    data, methods, planned = _plan(chosen, suite, dataset, settings, False, None, plugin, data_dir)
    keep_freed_memory()
    torch.set_num_threads(threads)
    effort = Effort(steps, rounds)
    if not as_json:
        out.print(_about(data))
    with _progress() as tell:
        result = measure(planned, data, methods, effort, device, tell)
        if against:
            result["against"] = against_recbole(
                data, methods, chosen.dim, chosen.training, effort, tell
            )
    if as_json:
        typer.echo(json.dumps(result, indent=1))
        return
    out.print(training_table(result))
    out.print(ranking_table(result))
    out.print(explain(result), highlight=False, soft_wrap=True)
    if against:
        out.print(against_table(result["against"]))


@app.command(
    epilog="Examples:  bench thresholds -m pep   |   bench thresholds -d gowalla -m cerp -b 5%"
)
def thresholds(
    method: Annotated[
        str, typer.Option("--method", "-m", help="A method that prunes by thresholds.")
    ],
    budget: Annotated[
        str, typer.Option("--budget", "-b", help="5%, 128k (values) or 256KB.")
    ] = "10%",
    suite: Suite_ = None,
    dataset: Dataset = None,
    settings: Settings = None,
    plugin: Plugins = None,
    data_dir: DataDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
    figure: Annotated[
        Path | None, typer.Option("--figure", help="Draw it into this PNG or SVG file.")
    ] = None,
) -> None:
    """Search with and without decay on the thresholds, to see what moves them."""
    import json
    from dataclasses import asdict

    import torch

    from bench.cli import terminal
    from bench.studies.thresholds import examine

    chosen = _suite(suite, dataset, settings, False, None)
    changes = {"methods": (method,), "budgets": (budget,), "seeds": 1}
    chosen = chosen.model_copy(update=changes)
    data, methods, planned = _plan(chosen, suite, dataset, settings, False, None, plugin, data_dir)
    run = planned[-1].run
    if not as_json:
        out.print(_about(data))
    torch.set_num_threads(1)  # small steps; more threads would wait for each other
    looks = {}
    for decay in (True, False):
        with err.status(f"{method}: search {'with' if decay else 'without'} decay"):
            looks[decay] = examine(run, data, methods[method], decay)
    if figure is not None:
        from bench.studies.threshold_figure import draw

        draw(looks, f"{methods[method].title} at {budget} of {data.title}", figure)
    if as_json:
        rows = [asdict(one) | {"decay": decay} for decay, all_ in looks.items() for one in all_]
        typer.echo(json.dumps(rows, indent=1))
        return
    out.print(terminal.thresholds(looks))


def _there(results: Path) -> Path:
    if not results.is_dir():
        raise BenchError(f"{results}: no such results folder; `bench leaderboard` makes one")
    return results


def _suite(
    suite: str | None,
    dataset: str | None,
    settings: list[str] | None,
    refit: bool,
    accounting: str | None,
    tuned: str | None = None,
) -> Any:
    """The suite that was asked for: by name, else that of the data set, else the default."""
    from bench.runs.suite import find_suite, list_suites, override

    if suite is None:
        suite = "ml-100k" if dataset is None else dataset if dataset in list_suites() else "default"
    changes = list(settings or [])
    if refit:
        changes.append("training.refit=true")
    if accounting:
        changes.append(f"accounting={accounting}")
    if tuned:
        changes.append(f"tuned={tuned}")
    return override(find_suite(suite), changes)


def _source(chosen: Any, dataset: str | None) -> str:
    source = dataset or chosen.dataset
    if source is None:
        raise BenchError("this suite names no data set; give one with --dataset")
    return str(source)


def _plan(
    chosen: Any,
    suite: str | None,
    dataset: str | None,
    settings: list[str] | None,
    refit: bool,
    accounting: str | None,
    plugin: list[Path] | None,
    data_dir: Path | None,
) -> tuple[Any, Any, Any]:
    """Loads the data and the methods, and plans; also composes the command that repeats a run."""
    from bench.data import load
    from bench.method.registry import find_methods
    from bench.runs.suite import plan

    data = load(_source(chosen, dataset), data_dir=data_dir)
    methods = find_methods(plugin or ())
    command = ["bench", "run"]
    command += ["--suite", suite] if suite else []
    command += ["--dataset", _source(chosen, dataset)]
    command += [part for setting in settings or () for part in ("--set", setting)]
    command += ["--refit"] if refit else []
    command += ["--accounting", accounting] if accounting else []
    command += [part for path in plugin or () for part in ("--plugin", str(path))]
    return data, methods, plan(chosen, data, methods, shlex.join(command))


def _estimate(
    planned: Any,
    done: set[str],
    data: Any,
    methods: Any,
    results: Path,
    workers: int,
    threads: int,
    device: str,
) -> None:
    """Says how long the missing runs of a plan take."""
    import torch

    from bench.cli import terminal
    from bench.records.scan import scan
    from bench.speed.estimate import estimate

    keep_freed_memory()
    torch.set_num_threads(threads)
    with _progress() as tell:
        found = estimate(planned, done, data, methods, scan(results).records, workers, device, tell)
    out.print(terminal.estimate(found, workers), highlight=False, soft_wrap=True)


def _carry_out(
    planned: Any,
    data: Any,
    methods: Any,
    results: Path,
    data_dir: Path | None,
    source: str,
    workers: int,
    threads: int,
    device: str,
) -> None:
    """Runs what is missing of a plan, with progress on the terminal."""
    from bench.cli import terminal
    from bench.records.store import Store
    from bench.runs import carry_out as board
    from bench.runs.pool import Job

    store = Store(results)
    done = board.finished(planned, store)
    job = Job(
        dataset=source,
        data_dir=str(data_dir) if data_dir else None,
        results=str(results),
        plugins=(),
        device=device,
        threads=threads,
        parallel=workers > 1,
    )
    names = {p.run.spec.id: terminal.run_name(p.run.spec.canonical(), p.run.label) for p in planned}
    try:
        with terminal.Live(out, len(planned) - len(done), names) as live:
            board.carry_out(planned, done, data, methods, store, job, workers, live)
    except KeyboardInterrupt:
        err.print("Interrupted. What was finished is kept; the same command continues.")
        raise typer.Exit(130) from None


def _about(data: Any) -> str:
    note = f"  ({data.note})" if data.note else ""
    repairs = "".join(f"; {count:,} {what}" for what, count in data.repairs.items())
    return (
        f"{data.title}{note}: {data.users:,} users, {data.items:,} items, {data.train.nnz:,} train,"
        f" {data.valid.nnz:,} valid, {data.test.nnz:,} test; split {data.split}{repairs}"
    )


@contextmanager
def _progress() -> Iterator[Callable[[int, int, str], None]]:
    """A bar on standard error, told of units done, units in all and what comes next."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (BarColumn(bar_width=24), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=1)

        def tell(done: int, total: int, what: str) -> None:
            bar.update(task, completed=done, total=total, description=what)

        yield tell


def _report(results: Path, reports: Path, split: str | None = None) -> None:
    from bench import report as reporting

    written = reporting.build(results, reports)
    _summary(results, split)
    pages = [path for path in written if path.name in ("index.md", "index.html")]
    out.print(f"{len(written)} files: " + ", ".join(map(str, pages)), highlight=False)


def _summary(results: Path, split: str | None) -> None:
    """The leaderboards as one table on the terminal."""
    from bench.board import load
    from bench.cli.terminal import summary

    for group in load(results).groups:
        if split is None or group.split == split:
            out.print(summary(group))


def main() -> None:
    """Entry point: a user's mistake is one line on standard error and exit status 2."""
    try:
        app()
    except BenchError as error:
        err.print(f"error: {error}", highlight=False, markup=False, soft_wrap=True)
        sys.exit(2)
