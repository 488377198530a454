"""`bench studies`, `bench thresholds`: what settings do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.text import Text

from bench.cli import console, options
from bench.cli.app import MEASURE, command
from bench.errors import BenchError
from bench.runs.request import Request, about, existing


@command(
    MEASURE,
    "bench studies results/studies",
)
def studies(
    folder: Annotated[Path, typer.Argument(help="A folder with records of runs.")],
) -> None:
    """Print the settings that were tried and their validation scores, as Markdown."""
    from bench.records.scan import scan
    from bench.studies.tried import render_studies

    found = scan(existing(folder))
    for one in found.rejected:
        console.err.say(f"left out {one.path}: {one.reason}", style="yellow")
    text = render_studies(found.records)
    if not text:
        raise BenchError(f"{folder}: no two runs of one method and budget to compare")
    typer.echo(text)


@command(
    MEASURE,
    "bench thresholds -m pep",
    "bench thresholds -d gowalla -m cerp -b 5%",
)
def thresholds(
    method: Annotated[
        str, typer.Option("--method", "-m", help="A method that prunes by learned thresholds.")
    ],
    budget: options.OneBudget = "10%",
    suite: options.SuiteName = None,
    dataset: options.Dataset = None,
    settings: options.Settings = None,
    plugin: options.Plugins = None,
    data_dir: options.DataDir = None,
    as_json: options.AsJson = False,
    figure: Annotated[
        Optional[Path],
        typer.Option("--figure", help="Also draw a figure into this PNG or SVG file."),
    ] = None,
) -> None:
    """Search with and without weight decay on the thresholds, to see what moves them."""
    import json
    from dataclasses import asdict

    import torch

    from bench.cli.show_thresholds import thresholds as table
    from bench.studies.thresholds import examine

    asked = Request(suite, dataset, settings or (), plugins=plugin or (), data_dir=data_dir)
    plan = asked.plan(asked.resolved(methods=(method,), budgets=(budget,), seeds=1))
    run, data, kind = plan.runs[-1].run, plan.data, plan.methods[method]
    if not as_json:
        console.out.say(about(data))
    torch.set_num_threads(1)  # small steps; more threads would wait for each other
    looks = {}
    for decay in (True, False):
        with console.err.status(Text(f"{method}: search {'with' if decay else 'without'} decay")):
            looks[decay] = examine(run, data, kind, decay)
    if figure is not None:
        from bench.studies.threshold_figure import draw

        draw(looks, f"{kind.title} at {budget} of {data.title}", figure)
    if as_json:
        rows = [asdict(one) | {"decay": decay} for decay, all_ in looks.items() for one in all_]
        typer.echo(json.dumps(rows, indent=1))
        return
    console.out.print(table(looks))
