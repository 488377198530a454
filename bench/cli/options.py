"""Options that several commands have."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Optional

import typer


def _device(context: typer.Context, name: str) -> str:
    """Refuse a device that is not there, before anything is loaded; completion does not ask."""
    if name != "cpu" and not context.resilient_parsing:
        from bench.engine.devices import check_device

        check_device(name)
    return name


_BUDGET = "What may be stored: a share of the full table (5%), values (128k) or bytes (256KB)."

# typer reads annotations at run time, where Python 3.10 needs Optional.
SuiteName = Annotated[
    Optional[str],
    typer.Option("--suite", help="Suite: a named set of runs, or a TOML file with one."),
]
Dataset = Annotated[
    Optional[str],
    typer.Option(
        "--dataset",
        "-d",
        help="Data set: a name (see `bench list datasets`), or your own file or folder.",
    ),
]
DataDir = Annotated[
    Optional[Path],
    typer.Option(
        "--data-dir",
        envvar="BENCH_DATA",
        help="Folder with data sets that are already on this machine.",
    ),
]
Budget = Annotated[Optional[str], typer.Option("--budget", "-b", help=_BUDGET)]
OneBudget = Annotated[str, typer.Option("--budget", "-b", help=_BUDGET)]
Budgets = Annotated[Optional[list[str]], typer.Option("--budget", "-b", help=_BUDGET)]
Methods = Annotated[
    Optional[list[str]],
    typer.Option("--method", "-m", help="Only this method; repeat it for more."),
]
Backbone = Annotated[
    Optional[str],
    typer.Option(
        "--backbone",
        help="Recommendation model that uses the embeddings (see `bench list backbones`).",
    ),
]
Backbones = Annotated[
    Optional[list[str]],
    typer.Option(
        "--backbone", help="Recommendation model that uses the embeddings; repeat it for more."
    ),
]
Results = Annotated[Path, typer.Option("--results", help="Folder with the records of runs.")]
Reports = Annotated[Path, typer.Option("--reports", help="Folder that the report is written to.")]
Settings = Annotated[
    Optional[list[str]],
    typer.Option("--set", help="A setting as KEY=VALUE, such as training.lr=0.01 or cerp.gamma=0."),
]
Plugins = Annotated[
    Optional[list[Path]], typer.Option("--plugin", help="Python file with a method of your own.")
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        help="Where to train: cpu, cuda, or cuda:1 for the second card.",
        callback=_device,
    ),
]
Bits = Annotated[
    Optional[list[int]],
    typer.Option(
        "--bits", help="Precision of stored values: 32, 16, 8, 6, 4, 3, 2, 1; more than one: each."
    ),
]


class Form(str, Enum):
    """Where a method's settings come from."""

    tuned = "tuned"
    published = "published"


MethodForm = Annotated[
    Form,
    typer.Option(
        "--form",
        help="tuned: with the settings of the suite; published: with the knobs of the paper.",
    ),
]
Refit = Annotated[
    bool,
    typer.Option("--refit", help="Train again on training and validation data before testing."),
]
Accounting = Annotated[
    Optional[str],
    typer.Option(
        "--accounting", help="What a budget limits: bytes of the stored file, or stored values."
    ),
]
Tuned = Annotated[
    Optional[str],
    typer.Option(
        "--tuned",
        help="Tuned settings: a name (see `bench list tuned`), or a file that `bench tune` wrote.",
    ),
]
Workers = Annotated[
    Optional[int],
    typer.Option("--workers", help="Runs at the same time; one for each core if not given.", min=1),
]
Cluster = Annotated[
    Optional[str],
    typer.Option(
        "--cluster",
        help="Run on a dask cluster: address or file of its scheduler, or `local`.",
    ),
]
Threads = Annotated[int, typer.Option("--threads", help="Processor threads of each run.", min=1)]
TimeLimit = Annotated[
    Optional[float],
    typer.Option("--time-limit", help="Seconds that a run may take; a longer one fails.", min=1),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON in place of tables.")]

RESULTS, REPORTS = Path("results/local"), Path("reports/local")
