"""Work with progress on the terminal, which Ctrl-C and SIGTERM end in an orderly way."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn, TypeVar

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
    arrived: list[int] = []
    try:
        with _noted(arrived), live:
            yield live
    except BaseException as error:
        # A library in whose code a signal arrives may raise something of its own.
        if not arrived and not isinstance(error, KeyboardInterrupt):
            raise
        console.err.say("Interrupted. What was finished is kept; the same command continues.")
        raise typer.Exit(128 + (arrived or [signal.SIGINT])[0]) from None


@contextmanager
def _noted(arrived: list[int]) -> Iterator[None]:
    """Ctrl-C and SIGTERM (`kill`, a batch system) end work alike; which one came is noted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _: object) -> NoReturn:
        arrived.append(number)
        raise KeyboardInterrupt

    ignored = signal.getsignal(signal.SIGINT) == signal.SIG_IGN  # a shell's background job
    wanted = (signal.SIGTERM,) if ignored else (signal.SIGTERM, signal.SIGINT)
    before = {one: signal.signal(one, end) for one in wanted}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler or signal.SIG_DFL)


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
