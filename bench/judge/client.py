"""Starting the judge, and asking it from a process that trains."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from multiprocessing.connection import Connection, Pipe
from multiprocessing.context import ForkServerProcess
from multiprocessing.reduction import send_handle
from types import TracebackType

from bench.data import Interactions
from bench.data.transfer import write_split
from bench.errors import BenchError
from bench.judge.forks import Spawned, judge
from bench.judge.model import (
    JudgeDied,
    Submission,
    Verdict,
    receive_verdict,
    send_submission,
)

_GRACE = 5.0  # seconds from the request to end until the process is killed


class Judges:
    """The judge's clean process, for as long as a context lasts.

    Args:
        data: the split with its test part; only the judge gets it.
        plugins: method files.
        device: where rows are looked up and ranked.
        threads: of PyTorch.
    """

    def __init__(
        self, data: Interactions, plugins: Sequence[str], device: str, threads: int
    ) -> None:
        self._told = {
            "plugins": [os.path.realpath(one) for one in plugins],
            "device": device,
            "threads": threads,
        }
        self._folder = tempfile.TemporaryDirectory(prefix="bench-")
        self._data = tempfile.TemporaryFile()  # noqa: SIM115  without a name that others could open
        write_split(data, self._data)
        self._data.flush()
        self._process: ForkServerProcess | Spawned | None = None
        self._control: Connection | None = None

    def __enter__(self) -> Judges:
        self._start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def connect(self) -> Connection:
        """The end of a pipe for a process that trains; close it here once it has been passed on.

        Raises:
            BenchError: the judge cannot be started.
        """
        for _ in range(3):
            if self._process is None or not self._process.is_alive():
                self._start()
            try:
                return self._connect()
            except (OSError, RuntimeError):
                self._end()  # it has ended, although the system may not say so yet
        raise BenchError("the process that judges files ends at once; free memory")

    def _connect(self) -> Connection:
        assert self._control is not None
        assert self._process is not None
        assert self._process.pid is not None
        ours, theirs = Pipe()
        try:
            self._control.send_bytes(json.dumps(self._told).encode())
            for handle in (theirs.fileno(), self._data.fileno()):
                send_handle(self._control, handle, self._process.pid)
        except (OSError, RuntimeError):
            # On macOS `send_handle` waits for an answer, and says by RuntimeError that none came.
            ours.close()
            raise
        finally:
            theirs.close()
        return ours

    def _start(self) -> None:
        self._end()
        self._control, theirs = Pipe()
        with theirs:
            self._process = judge(theirs, self._folder.name)

    def _end(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            self._process.join(_GRACE)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()
            self._process = None

    def close(self) -> None:
        """End the judge."""
        self._end()
        self._data.close()
        self._folder.cleanup()


class Seat:
    """The judge as a process that trains sees it: a function from submissions to verdicts."""

    def __init__(self, link: Connection) -> None:
        self._link = link

    def __call__(self, handed: Submission) -> Verdict:
        """Hand in a file and wait for the verdict.

        Raises:
            Refused: the file was not accepted.
            JudgeDied: the judge has ended.
        """
        try:
            send_submission(self._link, handed)
        except OSError:
            raise JudgeDied("the process that judges files has ended; out of memory?") from None
        return receive_verdict(self._link)
