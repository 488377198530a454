"""The processes of the judge: a clean one that waits, and two for each process that trains.

    clean process ── forks ── ranker (has the data) ── forks ── reader (never had the data)
                                                                  └─ forks one process for each file

The clean process is forked from that of `bench.judge.forks`, which has imported PyTorch and this
program, and has loaded the compiled loops. It never gets data or code of methods. A reader
imports the program's own methods once. It imports plugins in a process of its own for each file, so
that nothing survives between runs. Every process ends when the one that it serves has closed its
end of the pipe.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import tempfile
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe, wait
from multiprocessing.reduction import recv_handle
from pathlib import Path
from typing import Any

import torch

import bench.engine.deploy
import bench.engine.objectives
import bench.method  # noqa: F401
from bench.data.transfer import unpack_split
from bench.engine.malloc import keep_freed_memory
from bench.judge.guard import guard_reading
from bench.judge.model import (
    JudgeDied,
    Refused,
    Submission,
    receive_reading,
    receive_submission,
    send_reading,
    send_refusal,
    send_submission,
    send_verdict,
)
from bench.judge.ranking import Ranker
from bench.judge.reading import read, refusal
from bench.method.registry import find_methods, own_methods

_KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")


def main(control: Connection, folder: str, outside: dict[str, str]) -> None:
    """Serve until the other end of the control pipe is closed.

    Args:
        control: the pipe.
        folder: an empty folder to work in.
        outside: the environment of the command.
    """
    os.setsid()  # a session of its own, so that Ctrl-C reaches the caller alone
    torch.set_num_threads(1)  # threads would not survive a fork
    try:
        os.chdir(folder)
    except FileNotFoundError:
        return  # the command has ended since, with its files
    environment = {name: outside[name] for name in _KEPT if name in outside}
    os.environ.clear()
    os.environ.update(environment, HOME=folder, TMPDIR=folder)
    tempfile.tempdir = folder  # Python would try it by writing, which a reader may not
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel removes ended children
    with control as pipe:
        while True:
            try:
                told = json.loads(pipe.recv_bytes())
                link, data = recv_handle(pipe), recv_handle(pipe)
            except (EOFError, OSError):
                return
            _forked(lambda: _rank(pipe, Connection(link), data, told))  # noqa: B023
            os.close(link)
            os.close(data)


def _forked(work: Callable[[], None]) -> int:
    """Do something in a forked process, which then ends."""
    child = os.fork()
    if child:
        return child
    try:
        work()
    except BaseException:
        os._exit(1)
    os._exit(0)


def _rank(control: Connection, link: Connection, data: int, told: dict[str, Any]) -> None:
    """Main function of a ranker."""
    control.close()
    ours, theirs = Pipe()
    alive, mine = Pipe(duplex=False)  # nothing is sent; the other end sees when this one has gone
    _forked(lambda: _serve_reader(theirs, alive, (link, ours, mine), data, told))
    theirs.close()
    alive.close()
    keep_freed_memory()
    torch.set_num_threads(told["threads"])
    ranker = Ranker(unpack_split(_content(data)), told["device"])
    while True:
        try:
            handed = receive_submission(link)
        except (EOFError, OSError):
            return
        try:
            if handed.spec.training is None:
                send_verdict(link, ranker.popularity(handed))
                continue
            with contextlib.suppress(OSError):
                send_submission(ours, handed)
            if link in wait([link, ours]):
                return  # the process that trains has ended
            found = receive_reading(ours)
            send_verdict(link, ranker(handed, found))
        except (Refused, JudgeDied) as error:
            if isinstance(error, JudgeDied):
                return
            send_refusal(link, error)
        except OSError:
            return
        except Exception as error:
            send_refusal(link, refusal(error))


def _content(handle: int) -> bytes:
    """All of a file, whatever others have read of it."""
    parts, start = io.BytesIO(), 0
    while part := os.pread(handle, 1 << 24, start):
        parts.write(part)
        start += len(part)
    os.close(handle)
    return parts.getvalue()


def _serve_reader(
    pipe: Connection,
    alive: Connection,
    others: tuple[Connection, ...],
    data: int,
    told: dict[str, Any],
) -> None:
    """Main function of a reader."""
    for other in others:
        other.close()
    os.close(data)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    own_methods()  # each process for a file has them then
    while True:
        try:
            handed = receive_submission(pipe)
        except (EOFError, OSError):
            return
        child = _forked(lambda: _read_one(pipe, alive, handed, told))  # noqa: B023
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == -signal.SIGKILL:
            return  # no fault of the method's: the run is tried again, by another judge
        if status:
            ending = f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"
            message = f"reading the file of {handed.spec.method.name} ended with {ending}"
            send_refusal(pipe, Refused("ReadingDied", message, message))


def _read_one(
    pipe: Connection, alive: Connection, handed: Submission, told: dict[str, Any]
) -> None:
    """Read one file, with the code of its method imported anew."""
    threading.Thread(target=_exit_with, args=(alive,), daemon=True).start()
    plugins = [Path(one) for one in told["plugins"]]
    torch.set_num_threads(told["threads"])
    guard_reading(told["plugins"])
    try:
        found = read(handed, find_methods(plugins), told["device"])
    except Refused as error:
        send_refusal(pipe, error)
    except Exception as error:
        send_refusal(pipe, refusal(error))
    else:
        send_reading(pipe, found)


def _exit_with(ranker: Connection) -> None:
    """Exit once the ranker has ended, so that a method that hangs does not stay."""
    ranker.poll(None)
    os._exit(1)
