"""`bench export`: the table of a run as a folder for a service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from bench.cli import console, options
from bench.cli.app import READ, command
from bench.errors import BenchError
from bench.runs.request import existing

if TYPE_CHECKING:
    from bench.export import Table
    from bench.export.find import Data
    from bench.method import Method
    from bench.records.schema import Record


@command(
    READ,
    "bench export 1f0c6be7a2d4 --to my-table --results results",
    "bench export --best --max-bytes 2MB -d gowalla --to my-table --results results",
)
def export(
    to: Annotated[Path, typer.Option(help="Folder to write.")],
    run: Annotated[
        Optional[str], typer.Argument(help="Id of a run, or the first digits of it.")
    ] = None,
    best: Annotated[
        bool, typer.Option("--best", help="The run that `bench choose` recommends.")
    ] = False,
    max_bytes: Annotated[
        Optional[str], typer.Option(help="With --best: bytes that the table may take, as 2MB.")
    ] = None,
    dataset: options.Dataset = None,
    backbone: options.Backbone = None,
    results: options.Results = options.RESULTS,
    refit_all: Annotated[
        bool,
        typer.Option(
            "--refit-all", help="Train again on all interactions, test data too, for a service."
        ),
    ] = False,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Also write the look-up as an ONNX graph.")
    ] = False,
    plugin: options.Plugins = None,
    data_dir: options.DataDir = None,
    threads: options.Threads = 1,
    device: options.Device = "cpu",
    force: Annotated[bool, typer.Option("--force", help="Overwrite an exported folder.")] = False,
) -> None:
    """Write the table of a run as a folder that `compact_lookup` reads without PyTorch."""
    from bench.data import is_own
    from bench.export.card import Card
    from bench.export.find import kept_file, load_data
    from bench.export.folder import GRAPH, check_target, write_folder
    from bench.export.onnx import check_onnx, onnx_file
    from bench.files import write_atomic
    from bench.method.registry import find_methods
    from compact_lookup.table import RECOMMENDS

    check_target(to, force)
    if onnx:
        check_onnx()
    record = _wanted(run, best, max_bytes, dataset, backbone, existing(results))
    # With --best a name chooses among the records, and a path says where the data are, too.
    given = dataset if dataset and (not best or is_own(dataset)) else None
    data = load_data(record, given, plugin or (), data_dir)
    methods = find_methods(data.plugins)
    if record.method.name not in methods:
        raise BenchError(
            f"the run {record.id} is of the method {record.method.name!r}, which"
            f" {', '.join(map(str, data.plugins)) or 'the program'} does not have; give its file"
            " with --plugin"
        )
    kept = None if refit_all else kept_file(results, record)
    table = _table(record, data, methods, kept, refit_all, device, threads)
    kind = methods[record.spec.method.name]
    graph = onnx_file(table.content, kind) if onnx else None
    sizes = write_folder(to, record, table, data, kind, Card(results, kept is not None))
    console.out.say(
        f"{to}: {record.method.title}, {sizes.table:,} bytes, and {sizes.ids:,} bytes of own ids"
    )
    if graph is not None:
        write_atomic(to / GRAPH, lambda stream: stream.write(graph))
        console.out.say(f"{to / GRAPH}: {len(graph):,} bytes, with decoded values")
    if not sizes.read:
        console.err.say(
            f"compact_lookup has no reader for {kind.name}: docs/export.md says how to write one"
        )
    if (backbone := record.spec.backbone.name) not in RECOMMENDS:
        console.err.say(
            f"the folder has rows, but `recommend` cannot score by them alone under {backbone}"
        )


def _wanted(
    run: str | None,
    best: bool,
    max_bytes: str | None,
    dataset: str | None,
    backbone: str | None,
    results: Path,
) -> Record:
    """The run that is meant."""
    from bench.budget import parse_bytes
    from bench.data import name_of
    from bench.export.find import best_run, find_run

    if best == (run is not None):
        raise BenchError("name a run, or give --best with --max-bytes, not both")
    if run is not None:
        return find_run(results, run)
    if max_bytes is None:
        raise BenchError("--best needs --max-bytes, such as 256KB")
    name = name_of(dataset) if dataset else None
    return best_run(results, parse_bytes(max_bytes, "--max-bytes"), name, backbone)


def _table(
    record: Record,
    data: Data,
    methods: dict[str, type[Method]],
    kept: Path | None,
    everything: bool,
    device: str,
    threads: int,
) -> Table:
    """The kept file of a run, or the table trained again."""
    import torch

    from bench.cli.launch import launch
    from bench.cli.terminal import Live, run_name
    from bench.engine.malloc import keep_freed_memory
    from bench.export import Table, train_again

    if kept is not None:
        console.out.say(f"{kept}: the file that the run measured")
        return Table(kept.read_bytes(), data.split, None)
    why = "because its file was not kept"
    if record.file is not None:
        why = "because the file that it measured is gone or has changed"
    if everything:
        why = "on all interactions"
    console.out.say(f"training the run {record.id} again, {why}")
    keep_freed_memory()
    torch.set_num_threads(threads)
    label = record.budget.label if record.budget else None
    with launch(
        Live(console.out, 1, {record.id: run_name(record.spec.canonical(), label)})
    ) as live:
        who = {"id": record.id, "worker": 0}
        live("start", dict(who))
        table = train_again(
            record, data.split, methods, device, lambda e: live("epoch", e | who), everything
        )
    if table.test is not None:
        found = "  ".join(f"{k} {table.test[k]:.4f}" for k in ("recall@20", "ndcg@20"))
        console.out.say(f"test data: {found}")
    return table
