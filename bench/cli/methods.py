"""`bench list`, `bench check`, `bench new`: what there is, and methods of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.text import Text

from bench.cli import console, options
from bench.cli.app import EXTEND, command
from bench.errors import BenchError, did_you_mean


@command(
    EXTEND,
    "bench list methods",
    "bench list methods cerp graded",
    "bench list datasets",
    "bench list methods --plugin my_method.py",
    name="list",
)
def list_(
    what: Annotated[
        str, typer.Argument(help="methods, datasets, suites, backbones or tuned")
    ] = "methods",
    names: Annotated[
        Optional[list[str]], typer.Argument(help="Methods to show with their settings.")
    ] = None,
    plugin: options.Plugins = None,
) -> None:
    """List the methods, data sets, suites, backbones or tuned settings."""
    if what not in _LISTINGS:
        raise BenchError(f"{what!r} cannot be listed; {did_you_mean(what, _LISTINGS)}")
    if names and what != "methods":
        raise BenchError(f"{names[0]!r}: only methods are listed by name; leave it out")
    if names:
        return _show(names, plugin or ())
    for line in _LISTINGS[what](plugin or ()):
        console.out.say(line)


def _show(names: Sequence[str], plugins: Sequence[Path]) -> None:
    from bench.cli.show_methods import details
    from bench.method.registry import get_method

    for kind in [get_method(name, plugins) for name in names]:
        for part in details(kind):
            console.out.say(part) if isinstance(part, str) else console.out.print(part)


def _methods(plugins: Sequence[Path]) -> Iterator[str]:
    from bench.cli.catalogue import list_methods
    from bench.cli.show_methods import overview

    return overview(list_methods(plugins))


def _datasets(_: Sequence[Path]) -> Iterator[str]:
    from bench.data import list_cards

    for card in list_cards():
        yield f"{card.name:16} {card.title}  {card.note}".rstrip()


def _suites(_: Sequence[Path]) -> Iterator[str]:
    from bench.runs.suite import list_suites

    suites = list_suites()
    width = max(map(len, suites))
    for name, found in suites.items():
        yield f"{name:{width}}  {found.title}"
        seeds = f"{found.seeds} seed{'s' if found.seeds > 1 else ''}"
        tuned = f"tuned = {', '.join(found.tuned)}" if found.tuned else ""
        parts = (found.dataset or "any data set", ", ".join(found.budgets), seeds, tuned)
        yield "    " + "; ".join(part for part in parts if part)


def _backbones(_: Sequence[Path]) -> Iterator[str]:
    from bench.cli.catalogue import list_backbones

    for name, title in list_backbones().items():
        yield f"{name:12} {title}"


def _tuned(_: Sequence[Path]) -> Iterator[str]:
    from bench.runs.tuned import list_tuned, listing

    for name, settings in list_tuned().items():
        yield from listing(name, settings)


_LISTINGS: dict[str, Callable[[Sequence[Path]], Iterator[str]]] = {
    "methods": _methods,
    "datasets": _datasets,
    "suites": _suites,
    "backbones": _backbones,
    "tuned": _tuned,
}


@command(
    EXTEND,
    "bench check cerp",
    "bench check ./my_method.py",
)
def check(
    method: Annotated[str, typer.Argument(help="Name of a method, or a Python file with methods.")],
) -> None:
    """Run the checks that every method has to pass."""
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
            mark = Text("pass", "green") if item.passed else Text("FAIL", "red")
            detail = "" if item.passed else f": {item.detail}"
            console.out.print(mark.append(f"  {kind.name}: {item.name}{detail}", "default"))
    if failed:
        raise typer.Exit(1)


@command(
    EXTEND,
    "bench new pophash",
    "(It writes pophash.py.)",
)
def new(
    name: Annotated[
        str, typer.Argument(help="Name of the new method: small letters, digits and _.")
    ],
    folder: Annotated[Path, typer.Option(help="Folder for the file.")] = Path(),
) -> None:
    """Write a file with a method of your own to start from."""
    from bench.method.template import new_method

    path = new_method(name, folder)
    console.out.say(f"{path}\nTry it: bench check {path}")
    console.out.say(f"Run it: bench leaderboard --plugin {path}")
