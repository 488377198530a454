"""Leases: each run is executed by one process when several share a results folder.

A lease is a file that states the process that wrote it. An exclusive create makes it, so that one
process only can have it, also on a network file system. A lease is valid while its process runs.
The kernel tells this of a process of the same machine. A process of another machine touches a
heartbeat file every few seconds. An observer checks whether the time of this file has changed since
the last reading, and measures the interval with its own monotonic clock. It never compares the time
with a clock, because clocks may differ and may go backwards.

Two processes can still hold the same run, for example after one was frozen for minutes. The run is
then executed twice and nothing is lost: both processes write equal, complete records.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path
from types import TracebackType

from bench.errors import StoreError
from bench.processes import current_process, parse_process_id

_HEARTBEAT = 10.0  # seconds between heartbeats
# Seconds without a heartbeat until a process of another machine counts as dead. Network file
# systems show changes up to a minute late.
_TIMEOUT = 150.0
_GRACE = 5.0  # seconds that a heartbeat may take, on a network file system that hangs


class Leases:
    """The leases of this process in one folder; a context manager that releases all of them.

    Args:
        folder: folder of the leases; created when needed.
        interval: seconds between heartbeats.
        timeout: seconds without a heartbeat until a process of another machine counts as dead.
    """

    def __init__(
        self, folder: Path, interval: float = _HEARTBEAT, timeout: float = _TIMEOUT
    ) -> None:
        self.folder, self._timeout, self._interval = folder, timeout, interval
        self.me = current_process()
        self._held: set[str] = set()
        self._seen: dict[str, tuple[tuple[str, tuple[int, ...]], float]] = {}
        self._stop = threading.Event()
        self._heart: threading.Thread | None = None
        self._heartbeat_file = folder / f"{self.me}.alive"

    def __enter__(self) -> Leases:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._heartbeat_file.touch()
        except OSError as error:
            raise StoreError(self.folder, error) from error
        self._heart = threading.Thread(target=self._send_heartbeats, daemon=True)
        self._heart.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._heart is not None:
            self._heart.join(_GRACE)  # a heartbeat after this would leave a file
        for run in tuple(self._held):
            self.release(run)
        with contextlib.suppress(OSError):
            self._heartbeat_file.unlink()
        with contextlib.suppress(OSError):
            self.folder.rmdir()  # fails if other processes have leases

    def take(self, run: str) -> bool:
        """Lease a run; False if a running process has it.

        Raises:
            StoreError: the folder cannot be written.
        """
        if run in self._held:
            return True
        path = self._path(run)
        for _ in range(2):
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
            except FileExistsError:
                if not self._expired(path) or not self._remove_expired(path):
                    return False
                continue
            except OSError as error:
                raise StoreError(path, error) from error
            try:
                os.write(handle, str(self.me).encode())
            except OSError as error:
                path.unlink(missing_ok=True)
                raise StoreError(path, error) from error
            finally:
                os.close(handle)
            self._held.add(run)
            return True
        return False

    def release(self, run: str) -> None:
        """Release a lease; a lease that another process has taken over stays."""
        self._held.discard(run)
        path = self._path(run)
        if _text(path) == str(self.me):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove the files of dead processes of this machine."""
        for path in self.folder.glob("*.run"):
            writer = parse_process_id(_text(path))
            if writer is not None and writer.is_dead():
                self._remove_expired(path)
        for path in self.folder.glob("*.alive"):
            writer = parse_process_id(path.stem)
            if writer is not None and writer.is_dead():
                path.unlink(missing_ok=True)

    def _path(self, run: str) -> Path:
        return self.folder / f"{run}.run"

    def _send_heartbeats(self) -> None:
        while not self._stop.wait(self._interval):
            with contextlib.suppress(OSError):  # the folder may be reachable again later
                self._heartbeat_file.touch()

    def _expired(self, path: Path) -> bool:
        """Whether the process of a lease has ended or its heartbeat has timed out."""
        text = _text(path)
        writer = parse_process_id(text)
        if writer is not None and writer.is_local():
            return writer.is_dead()
        # Of another machine, not yet written, or unreadable: only a changing file shows a process.
        sign = path if writer is None else self.folder / f"{writer}.alive"
        now, state = time.monotonic(), (text, _state(sign))
        known = self._seen.get(str(path))
        if known is None or known[0] != state:
            self._seen[str(path)] = (state, now)
            return False
        return now - known[1] > self._timeout

    def _remove_expired(self, path: Path) -> bool:
        """Remove an expired lease, unless another process has just taken it over."""
        before = _text(path)
        aside = path.with_name(f"{path.name}.{self.me}.old")
        try:
            path.rename(aside)
        except OSError:
            return False
        if _text(aside) == before:
            aside.unlink(missing_ok=True)
            return True
        with contextlib.suppress(OSError):  # another process has just written it: put it back
            os.link(aside, path)
        aside.unlink(missing_ok=True)
        return False


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _state(path: Path) -> tuple[int, ...]:
    """Time and size of a file, () without one.

    The file is opened, because a network file system then asks its server.
    """
    try:
        with path.open("rb") as stream:
            found = os.fstat(stream.fileno())
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size
