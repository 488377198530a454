"""What is left of a plan, where other processes may work on the same results folder."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from bench.records.store import WORK, Store
from bench.runs.claims import Claims
from bench.runs.execute import Run

_ASK_EVERY = 2.0  # seconds between looks at runs that other processes have
CLAIMS = "claims"


class Backlog:
    """Hands out runs that nobody else does, and takes over the records that others have written.

    A context: the claims on runs last as long as it does.

    Args:
        runs: what is to be done, in this order.
        store: the results folder.
    """

    def __init__(self, runs: Sequence[Run], store: Store) -> None:
        self._store = store
        self._claims = Claims(store.root / WORK / CLAIMS)
        self._waiting, self._elsewhere = deque(runs), list[Run]()
        self._before = {run.spec.id: self._stamp(run) for run in runs}
        self._asked = time.monotonic()

    def __enter__(self) -> Backlog:
        self._claims.__enter__()
        self._claims.sweep()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._claims.__exit__(kind, error, trace)

    def __bool__(self) -> bool:
        return bool(self._waiting or self._elsewhere)

    def next(self) -> tuple[Run, dict[str, Any] | None] | None:
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
            if not self._claims.take(run.spec.id):
                self._elsewhere.append(run)
                continue
            record = self._written(run)
            if record is not None:
                self.close(run)
            return run, record
        return None

    def again(self, run: Run) -> None:
        """Puts a run back at the front; it stays claimed."""
        self._waiting.appendleft(run)

    def close(self, run: Run) -> None:
        """Ends a claim, once the run has a record."""
        self._claims.release(run.spec.id)

    def _written(self, run: Run) -> dict[str, Any] | None:
        record = self._store.read(run.spec.canonical(), run.spec.id)
        if record is None:
            return None
        # A failed record that was there from the start is what the user wants to try again.
        new = self._stamp(run) != self._before[run.spec.id]
        return record if new or record["status"] in ("ok", "infeasible") else None

    def _stamp(self, run: Run) -> tuple[int, int] | None:
        try:
            found = self._store.path(run.spec.canonical(), run.spec.id).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino
