"""`bench compress`: vectors that somebody already has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from bench.cli import console, options
from bench.cli.app import RUN, command
from bench.cli.launch import steps
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.cli.grid import Grid
    from bench.compress import Outcome, Vectors
    from bench.data import Interactions


@command(
    RUN,
    "bench compress vectors.npz --budget 256KB",
    "bench compress users.npy --items items.npy -b 5% -b 10%",
    "bench compress vectors.npz -b 5% -d ./my-data --to my-table",
)
def compress(
    vectors: Annotated[
        Path,
        typer.Argument(
            help="File with arrays `users` and `items` (.npz, .safetensors), .npy file of users, or"
            " checkpoint of RecBole."
        ),
    ],
    budget: options.Budgets = None,
    items: Annotated[
        Optional[Path], typer.Option(help="The .npy file of items, beside that of users.")
    ] = None,
    dataset: options.Dataset = None,
    to: Annotated[Optional[Path], typer.Option(help="Folder for the table that is best.")] = None,
    plugin: options.Plugins = None,
    data_dir: options.DataDir = None,
    threads: options.Threads = 1,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an exported folder.")] = False,
) -> None:
    """Compress given vectors of users and items by every method that needs no training data."""
    import torch

    from bench.budget import parse_budget
    from bench.compress import Judge, read_vectors, write
    from bench.compress import compress as compressed
    from bench.compress.tables import best
    from bench.export.folder import check_target
    from bench.method.registry import find_methods

    if not budget:
        raise BenchError("name the size with --budget, such as 256KB or 5%")
    if to is not None:
        if len(budget) > 1:
            raise BenchError("--to writes one table; name one --budget")
        check_target(to, force)
    torch.set_num_threads(threads)
    found, numbered = read_vectors(vectors, items)
    data = None
    if dataset is not None:
        found, data = _with_data(found, numbered, dataset, data_dir)
    ids = len(found.users) + len(found.items)
    budgets = {one: parse_budget(one, ids, found.dim) for one in budget}
    with steps() as tell:
        tell(0, 1, "ranking with the original vectors")
        judge = Judge(found, data)
        before = judge(torch.cat([torch.from_numpy(a) for a in (found.users, found.items)]))
        outcomes = compressed(found, budgets, find_methods(plugin or ()), judge, tell)
    console.out.print(_table(found, before, outcomes))
    winners = [best(outcomes, name) for name in budgets]
    metric, rule = judge.rule
    for name, one in zip(budgets, winners, strict=True):
        if one and one.metrics:
            titled = ", ".join(filter(None, (one.kind.title, one.detail)))
            console.out.say(f"{name}: {titled} is best: {rule} ({one.metrics[metric]:.4f})")
    if to is not None and (winner := winners[0]):
        sizes = write(to, winner, found)
        console.out.say(
            f"{to}: {winner.kind.title}, {sizes.table:,} bytes, and {sizes.ids:,} bytes of own ids"
        )
    if not all(winners):
        raise typer.Exit(1)


def _with_data(
    vectors: Vectors, numbered: bool, dataset: str, data_dir: Path | None
) -> tuple[Vectors, Interactions]:
    """The vectors in the order of a data set, and the data set."""
    from bench.data import load_labels

    data, users, items = load_labels(dataset, data_dir=data_dir)
    return vectors.of(data, users, items, numbered), data


def _table(vectors: Vectors, before: dict[str, float], outcomes: Sequence[Outcome]) -> Grid:
    """All methods by budget, the best first."""
    from bench.cli.grid import Column, Grid, number

    full = 4 * vectors.dim * (len(vectors.users) + len(vectors.items))
    grid = Grid(
        f"{len(vectors.users):,} users, {len(vectors.items):,} items, {vectors.dim} columns",
        (
            Column("budget"),
            Column("method"),
            Column("settings", leaves=3),
            number("bytes"),
            number("% of full", leaves=2),
            number("top 20 kept"),
            number("valid NDCG@20"),
            number("test NDCG@20"),
            number("test Recall@20", leaves=1),
            number("seconds", leaves=4),
            Column("note", leaves=5, wraps=True),
        ),
    )

    def add(budget: str, title: str, detail: str, size: int, metrics: dict[str, float]) -> None:
        kept = f"{metrics['kept']:.3f}"
        tested = [f"{metrics[key]:.4f}" if key in metrics else "" for key in _TESTED]
        grid.add(budget, title, detail, f"{size:,}", f"{100 * size / full:.1f}", kept, *tested)

    add("none", "Original vectors", "", full, before)
    grid.rows[-1] += ("", "")
    for one in outcomes:
        if grid.rows[-1][0] != one.budget:
            grid.section()
        if one.metrics is None:
            grid.add(one.budget, one.kind.title, one.detail, *[""] * 7, one.reason)
            continue
        add(one.budget, one.kind.title, one.detail, len(one.content), dict(one.metrics))
        grid.rows[-1] += (f"{one.seconds:.1f}", "")
    for name in ("valid NDCG@20", "test NDCG@20", "test Recall@20", "note"):
        grid = grid.without_empty(name)
    return grid


_TESTED = ("valid ndcg@20", "test ndcg@20", "test recall@20")
