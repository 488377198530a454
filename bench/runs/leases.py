"""Which process does which run, where several work on one results folder.

A lease is a file that names its owner, made with an exclusive create, which also network file
systems give to one only. A lease holds as long as its owner lives. On the same machine the kernel
says so; a process elsewhere is known by its heartbeat, the time of a file that it touches every
few seconds. An observer compares this time with what it read before, by its own monotonic clock,
and never with a clock: clocks may differ, and may go backwards.

Should two processes hold one run all the same (one was frozen for minutes, say), work is done twice
and nothing is lost: they write equal records, each of them whole.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path
from types import TracebackType

from bench.errors import StoreError
from bench.processes import Owner, myself, read_owner

_BEAT = 10.0  # seconds between signs of life
# Seconds without one before an owner elsewhere is taken for dead. Network file systems show changes
# up to a minute late.
_PATIENCE = 150.0


class Leases:
    """The leases of this process in one folder; a context that gives them all back.

    Args:
        folder: where leases lie; created when needed.
        beat: seconds between signs of life.
        patience: seconds without one until an owner on another machine counts as dead.
    """

    def __init__(self, folder: Path, beat: float = _BEAT, patience: float = _PATIENCE) -> None:
        self.folder, self._patience, self._every = folder, patience, beat
        self.me = myself()
        self._held: set[str] = set()
        self._seen: dict[str, tuple[tuple[str, tuple[int, ...]], float]] = {}
        self._stop = threading.Event()
        self._life = folder / f"{self.me}.alive"

    def __enter__(self) -> Leases:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._life.touch()
        except OSError as error:
            raise StoreError(self.folder, error) from error
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for run in tuple(self._held):
            self.release(run)
        with contextlib.suppress(OSError):
            self._life.unlink()
        with contextlib.suppress(OSError):
            self.folder.rmdir()  # only if nobody else is here

    def take(self, run: str) -> bool:
        """Leases a run; False if a process that lives has it.

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
                if not self._lapsed(path) or not self._clear(path):
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
        """Gives a lease back; one that another process has taken over stays."""
        self._held.discard(run)
        path = self._path(run)
        if _text(path) == str(self.me):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def holder(self, run: str) -> Owner | None:
        """Who has a run, whether it lives or not."""
        return read_owner(_text(self._path(run)))

    def sweep(self) -> None:
        """Removes what owners that are known to be dead have left."""
        for path in self.folder.glob("*.run"):
            owner = read_owner(_text(path))
            if owner is not None and owner.dead():
                self._clear(path)
        for path in self.folder.glob("*.alive"):
            owner = read_owner(path.stem)
            if owner is not None and owner.dead():
                path.unlink(missing_ok=True)

    def _path(self, run: str) -> Path:
        return self.folder / f"{run}.run"

    def _beat(self) -> None:
        while not self._stop.wait(self._every):
            with contextlib.suppress(OSError):  # a folder out of reach may come back
                self._life.touch()

    def _lapsed(self, path: Path) -> bool:
        """Whether the owner of a lease is gone."""
        text = _text(path)
        owner = read_owner(text)
        if owner is not None and owner.here():
            return owner.dead()
        # Elsewhere, or not yet written, or unreadable: whoever it is must give a sign of life.
        sign = path if owner is None else self.folder / f"{owner}.alive"
        now, state = time.monotonic(), (text, _state(sign))
        known = self._seen.get(str(path))
        if known is None or known[0] != state:
            self._seen[str(path)] = (state, now)
            return False
        return now - known[1] > self._patience

    def _clear(self, path: Path) -> bool:
        """Removes a lease that has lapsed, unless another process has just taken it over."""
        before = _text(path)
        aside = path.with_name(f"{path.name}.{self.me}.old")
        try:
            path.rename(aside)
        except OSError:
            return False
        if _text(aside) == before:
            aside.unlink(missing_ok=True)
            return True
        with contextlib.suppress(OSError):  # it is somebody's: give it back
            os.link(aside, path)
        aside.unlink(missing_ok=True)
        return False


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _state(path: Path) -> tuple[int, ...]:
    """What changes with every sign of life; opened, so that a network file system asks anew."""
    try:
        with path.open("rb") as stream:
            found = os.fstat(stream.fileno())
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size
