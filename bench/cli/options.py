"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer


def _device(name: str) -> str:
    """Refuses a device that is not there, before anything is loaded."""
    if name != "cpu":
        from bench.engine.devices import check_device

        check_device(name)
    return name


# typer reads annotations at run time, where Python 3.10 needs Optional.
SuiteName = Annotated[Optional[str], typer.Option("--suite", help="Suite name or TOML file.")]
Dataset = Annotated[
    Optional[str],
    typer.Option("--dataset", "-d", help="Card name, or a file or folder of your own."),
]
DataDir = Annotated[
    Optional[Path],
    typer.Option("--data-dir", envvar="BENCH_DATA", help="Folder to look in before downloading."),
]
Budget = Annotated[
    Optional[str], typer.Option("--budget", "-b", help="5%, 128k (values) or 256KB.")
]
OneBudget = Annotated[str, typer.Option("--budget", "-b", help="5%, 128k (values) or 256KB.")]
Budgets = Annotated[
    Optional[list[str]], typer.Option("--budget", "-b", help="5%, 128k (values) or 256KB.")
]
Methods = Annotated[Optional[list[str]], typer.Option("--method", "-m", help="Only these methods.")]
Backbone = Annotated[Optional[str], typer.Option("--backbone", help="Which backbone.")]
Backbones = Annotated[Optional[list[str]], typer.Option("--backbone", help="Only these backbones.")]
Results = Annotated[Path, typer.Option("--results", help="Folder of run records.")]
Reports = Annotated[Path, typer.Option("--reports", help="Folder of the report.")]
Settings = Annotated[
    Optional[list[str]],
    typer.Option("--set", help="KEY=VALUE: training.lr=0.01, cerp.gamma=0, mf.similarity=dot."),
]
Plugins = Annotated[
    Optional[list[Path]], typer.Option("--plugin", help="File with a method of your own.")
]
Device = Annotated[
    str,
    typer.Option("--device", help="cpu, cuda, or cuda:1: the second card.", callback=_device),
]
Bits = Annotated[
    Optional[list[int]],
    typer.Option(
        "--bits", help="Precision of stored values: 32, 16, 8, 6, 4, 3, 2, 1; more than one: each."
    ),
]
Refit = Annotated[
    bool, typer.Option("--refit", help="Train again on train + validation before testing.")
]
Accounting = Annotated[
    Optional[str], typer.Option("--accounting", help="What budgets bind: bytes or values.")
]
Tuned = Annotated[
    Optional[str], typer.Option("--tuned", help="Tuned settings: a name, or a file of bench tune.")
]
Workers = Annotated[
    Optional[int], typer.Option("--workers", help="Runs at a time; all cores if not given.", min=1)
]
Threads = Annotated[int, typer.Option("--threads", help="Threads of each run.", min=1)]
TimeLimit = Annotated[
    Optional[float],
    typer.Option("--time-limit", help="Seconds a run may take; longer ones fail."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]

RESULTS, REPORTS = Path("results/local"), Path("reports/local")
