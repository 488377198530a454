"""What is left of a plan, where other processes may work on the same results folder."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from types import TracebackType

from bench.records.schema import Record
from bench.records.store import WORK, Store
from bench.runs.leases import Leases
from bench.runs.spec import Run

_ASK_EVERY = 2.0  # seconds between looks at runs that other processes have
LEASES = "leases"


class Worklist:
    """Hands out runs that nobody else does, and takes over the records that others have written.

    A context: the leases on runs last as long as it does.

    Args:
        runs: what is to be done, in this order.
        store: the results folder.
    """

    def __init__(self, runs: Sequence[Run], store: Store) -> None:
        self._store = store
        self._leases = Leases(store.root / WORK / LEASES)
        self._waiting, self._elsewhere = deque(runs), list[Run]()
        self._before = {run.spec.id: self._stamp(run) for run in runs}
        self._asked = time.monotonic()

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
        return bool(self._waiting or self._elsewhere)

    def next(self) -> tuple[Run, Record | None] | None:
        """A run to do, or one with the record that another process has written meanwhile.

        Returns:
            None while other processes do all that is left.

        Raises:
            StoreError: the results folder cannot be written.
        """
        now = time.monotonic()
        if not self._waiting and self._elsewhere and now - self._asked > _ASK_EVERY:
            self._waiting.extend(self._elsewhere)
            self._elsewhere.clear()
            self._asked = now
        while self._waiting:
            run = self._waiting.popleft()
            if not self._leases.take(run.spec.id):
                self._elsewhere.append(run)
                continue
            record = self._written(run)
            if record is not None:
                self.close(run)
            return run, record
        return None

    def again(self, run: Run) -> None:
        """Puts a run back at the front; it stays leased."""
        self._waiting.appendleft(run)

    def close(self, run: Run) -> None:
        """Ends a lease, once the run has a record."""
        self._leases.release(run.spec.id)

    def _written(self, run: Run) -> Record | None:
        record = self._store.read(run.spec, run.spec.id)
        if record is None:
            return None
        # A failed record that was there from the start is what the user wants to try again.
        new = self._stamp(run) != self._before[run.spec.id]
        return record if new or record.status in ("ok", "infeasible") else None

    def _stamp(self, run: Run) -> tuple[int, int] | None:
        try:
            stat = self._store.path(run.spec, run.spec.id).stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_ino
