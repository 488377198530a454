"""The open runs of a plan; other processes may work on the same results folder."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from types import TracebackType

from bench.records import per_user
from bench.records.schema import Record
from bench.records.store import WORK, Store
from bench.runs.environment import replaceable
from bench.runs.leases import Leases
from bench.runs.spec import Run

_INTERVAL = 2.0  # seconds between checks of runs that other processes have leased
LEASES = "leases"


class Worklist:
    """Hands out runs that no other process executes, and the records that others have written.

    A context manager: it releases its leases at its end.

    Args:
        runs: the runs, in the order in which they are handed out.
        store: the results folder.
        again: execute also runs that have a record; only one that is written from now on counts.
    """

    def __init__(self, runs: Sequence[Run], store: Store, again: bool = False) -> None:
        self._store, self._again = store, again
        self._leases = Leases(store.root / WORK / LEASES)
        self._waiting, self._leased_elsewhere = deque[Run](), list[Run]()
        self._stamps: dict[str, tuple[int, int] | None] = {}
        self.add(runs)
        self._checked = time.monotonic()

    def __enter__(self) -> Worklist:
        self._leases.__enter__()
        self._leases.sweep()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leases.__exit__(kind, error, trace)

    def __bool__(self) -> bool:
        return bool(self._waiting or self._leased_elsewhere)

    def add(self, runs: Sequence[Run]) -> None:
        """Put runs behind the others."""
        self._waiting.extend(runs)
        self._stamps |= {run.spec.id: self._stamp(run) for run in runs}

    def next(self) -> tuple[Run, Record | None] | None:
        """The next run to execute; or a run and the record that another process has written for it.

        Returns:
            None while other processes execute all remaining runs.

        Raises:
            StoreError: the results folder cannot be written.
        """
        now = time.monotonic()
        if not self._waiting and self._leased_elsewhere and now - self._checked > _INTERVAL:
            self._waiting.extend(self._leased_elsewhere)
            self._leased_elsewhere.clear()
            self._checked = now
        while self._waiting:
            run = self._waiting.popleft()
            if not self._leases.take(run.spec.id):
                self._leased_elsewhere.append(run)
                continue
            record = self._written(run)
            if record is not None:
                self.close(run)
            return run, record
        return None

    def put_back(self, run: Run) -> None:
        """Put a run back at the front; its lease stays."""
        self._waiting.appendleft(run)

    def close(self, run: Run) -> None:
        """Release the lease of a run that has a record."""
        self._leases.release(run.spec.id)

    def _written(self, run: Run) -> Record | None:
        record = self._store.read(run.spec, run.spec.id)
        if record is None:
            return None
        if self._stamp(run) != self._stamps[run.spec.id]:
            return record
        # A failed record from before the start does not count: the user wants to repeat the run.
        done = not self._again and record.status != "failed" and usable(record, self._store)
        return record if done else None

    def _stamp(self, run: Run) -> tuple[int, int] | None:
        try:
            stat = self._store.path(run.spec, run.spec.id).stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_ino


def usable(record: Record, store: Store) -> bool:
    """Whether a report can use a record: its arrays are there, and its code can be found."""
    try:
        whole = record.status != "ok" or per_user.read(store.root, record) is not None
    except (OSError, ValueError):  # damaged
        return False
    return whole and not replaceable(record)
