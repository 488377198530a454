"""Work with progress on the terminal, which Ctrl-C ends with exit status 130."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import typer

from bench.cli import console

if TYPE_CHECKING:
    from bench.cli.terminal import Live
    from bench.runs.plan import Planned

_Live = TypeVar("_Live", bound="Live")
_SECONDS = 10.0  # between lines of progress where there is no terminal


@contextmanager
def launch(live: _Live) -> Iterator[_Live]:
    """Show progress while work goes on; what has ended before an interruption is kept."""
    try:
        with live:
            yield live
    except KeyboardInterrupt:
        console.err.say("Interrupted. What was finished is kept; the same command continues.")
        raise typer.Exit(130) from None


def names(planned: Iterable[Planned]) -> dict[str, str]:
    """How progress names runs, by id."""
    from bench.cli.terminal import run_name

    return {p.run.spec.id: run_name(p.run.spec.canonical(), p.run.label) for p in planned}


@contextmanager
def steps() -> Iterator[Callable[[int, int, str], None]]:
    """Progress on standard error, told of units done, units in all and what comes next.

    A terminal shows a bar. Elsewhere a line is written every ten seconds at most.
    """
    from time import monotonic

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    err = console.err
    said = TextColumn("{task.description}", markup=False)
    columns = (BarColumn(bar_width=24), MofNCompleteColumn(), said)
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task, said_at = bar.add_task("", total=1), monotonic()

        def tell(done: int, total: int, what: str) -> None:
            nonlocal said_at
            bar.update(task, completed=done, total=total, description=what)
            if not err.is_terminal and monotonic() - said_at >= _SECONDS:
                said_at = monotonic()
                err.say(f"{done}/{total} {what}")

        yield tell
