"""Spreading independent pieces of work over the cores, where that is safe."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterable

_LEAST = 6  # pieces below which starting a process costs more than it saves


def spread(work: Callable[[int], None], count: int) -> None:
    """Do `work(0), ..., work(count - 1)`, by as many processes as there are cores.

    Work is done in this process alone where forking is not safe (another thread could hold a
    lock), not cheap (no Linux: every child would import everything anew) or not worth it.

    Args:
        work: called with the index of a piece; leaves its result in files of its own.
        count: number of pieces.

    Raises:
        RuntimeError: a child process ended before its work was done.
    """
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1
    workers = min(cores, count)
    if workers < 2 or count < _LEAST or threading.active_count() > 1:
        _do(work, range(count))
        return
    context = multiprocessing.get_context("fork")
    shares = [range(worker, count, workers) for worker in range(workers)]
    children = [
        context.Process(target=_do, args=(work, share), daemon=True) for share in shares[1:]
    ]
    with warnings.catch_warnings():
        # Python warns of threads that libraries made; theirs are idle and hold no lock.
        warnings.simplefilter("ignore", DeprecationWarning)
        for child in children:
            child.start()
    _do(work, shares[0])
    for child in children:
        child.join()
        if child.exitcode:
            raise RuntimeError(f"a drawing process ended with status {child.exitcode}")


def _do(work: Callable[[int], None], share: Iterable[int]) -> None:
    for index in share:
        work(index)
