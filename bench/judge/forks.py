"""A process that has imported PyTorch and compiled all loops, from which others are forked.

The judge and the processes that train are forked from it, so that this is done once, and while the
command plans its runs. It never gets data or code of plugins, and its environment does not say
where data sets are.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

PATHS = ("BENCH_DATA", "BENCH_CACHE")
"""Variables of the environment that say where data sets are."""


_PRELOAD = ["bench.judge.preload"]
_MAIN = (
    "import os, sys; sys.path[:] = sys.argv[3:];"
    " from multiprocessing.connection import Connection; import bench.judge.preload;"
    " from bench.judge.server import main;"
    " main(Connection(int(sys.argv[1])), sys.argv[2], dict(os.environ))"
)


def forks() -> ForkServerContext:
    """Start the process unless it runs; return the context that starts processes from it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOAD)
    with undisturbed():
        try:
            forkserver.ensure_running()
        except ChildProcessError:  # this process was forked, and the other belongs to its parent
            forkserver._forkserver.__init__()  # type: ignore[misc]
            context.set_forkserver_preload(_PRELOAD)
            forkserver.ensure_running()
    return context


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Processes started within inherit that Ctrl-C is blocked, and no paths of data sets.

    Ctrl-C and SIGTERM take effect at the end: a process whose start is broken off prints a
    traceback.
    """
    from multiprocessing import resource_tracker

    # Its first start unblocks SIGINT, which would undo what follows.
    resource_tracker.ensure_running()
    pressed: list[int] = []
    # Only this thread is blocked. Another one may take the signal, and this one would handle it.
    deferred = threading.current_thread() is threading.main_thread()
    handlers = {}
    if deferred:
        for one in (signal.SIGINT, signal.SIGTERM):
            handlers[one] = signal.signal(one, lambda number, _: pressed.append(number))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    hidden = {name: os.environ.pop(name) for name in PATHS if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for one, handler in handlers.items():
            signal.signal(one, handler or signal.SIG_DFL)
        if pressed:
            signal.raise_signal(pressed[0])


def environment() -> dict[str, str]:
    """The environment of this process, without paths of data sets."""
    return {name: value for name, value in os.environ.items() if name not in PATHS}


def judge(pipe: Connection, folder: str) -> ForkServerProcess | Spawned:
    """Start the judge's clean process, which serves a pipe; see `bench.judge.server.main`."""
    from bench.judge.server import main

    with undisturbed():
        if multiprocessing.current_process().daemon:  # one of dask: it cannot have forked ones
            return Spawned(pipe, folder)
        process = forks().Process(target=main, args=(pipe, folder, environment()), daemon=True)
        process.start()
        return process


class Spawned:
    """The judge's clean process as a new Python; with the methods of a forked process.

    Args:
        pipe: that it serves.
        folder: that it works in.
    """

    def __init__(self, pipe: Connection, folder: str) -> None:
        words = [sys.executable, "-c", _MAIN, str(pipe.fileno()), folder]
        self._process = subprocess.Popen(
            [*words, *(one or str(Path.cwd()) for one in sys.path)],
            pass_fds=(pipe.fileno(),),
            stdin=subprocess.DEVNULL,
        )
        self.pid = self._process.pid

    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has ended, or until the time has passed."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout)

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
