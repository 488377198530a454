"""`bench list`, `bench check`, `bench new`: what there is, and methods of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from bench.cli import console, options
from bench.cli.app import app
from bench.errors import BenchError, did_you_mean


@app.command("list", epilog="Example:  bench list methods")
def list_(
    what: Annotated[
        str, typer.Argument(help="methods, datasets, suites, backbones or tuned")
    ] = "methods",
    plugin: options.Plugins = None,
) -> None:
    """List what there is."""
    if what not in _LISTINGS:
        raise BenchError(f"{what!r} cannot be listed; {did_you_mean(what, _LISTINGS)}")
    for line in _LISTINGS[what](plugin or ()):
        console.out.say(line)


def _methods(plugins: Sequence[Path]) -> Iterator[str]:
    from bench.method.registry import find_methods

    for name, kind in find_methods(plugins).items():
        yield f"{name:12} {kind.role:9} {kind.title}  {kind.paper}"
        for key, knob in kind.Config.model_fields.items():
            yield f"    {name}.{key} = {knob.default!r}"


def _datasets(_: Sequence[Path]) -> Iterator[str]:
    from bench.data import list_cards

    for card in list_cards():
        yield f"{card.name:16} {card.title}  {card.note}".rstrip()


def _suites(_: Sequence[Path]) -> Iterator[str]:
    from bench.runs.suite import list_suites

    for name, found in list_suites().items():
        taken = f"  (tuned = {', '.join(found.tuned)})" if found.tuned else ""
        yield f"{name:12} {found.title}{taken}"


def _backbones(_: Sequence[Path]) -> Iterator[str]:
    from bench.backbones.registry import find_backbones

    for name, backbone in find_backbones().items():
        yield f"{name:12} {backbone.title}"


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
            mark = Text("pass", "green") if item.passed else Text("FAIL", "red")
            detail = "" if item.passed else f": {item.detail}"
            console.out.print(mark.append(f"  {kind.name}: {item.name}{detail}", "default"))
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
    console.out.say(f"{path}\nTry it: bench check {path}")
    console.out.say(f"Run it: bench leaderboard --plugin {path}")
