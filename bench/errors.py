"""Errors that are a user's or a contributor's to mend; the command line prints them as one line."""

from __future__ import annotations

from pathlib import Path


class BenchError(Exception):
    """A mistake in the input, a configuration or a file.

    The message is one line that names the file, line and value where there are such, and the
    remedy. The command line prints it without a traceback and exits with status 2.
    """


class StoreError(BenchError):
    """A file of a results folder that cannot be written: a full disk, a folder without the right.

    No run is to blame, so that none is recorded as failed for it.
    """

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(
            f"{path}: cannot be written: {error.strerror or error}; make room or name another"
            " folder with --results"
        )


class DataError(BenchError):
    """A data set that cannot be used as it is."""


class SpecError(BenchError):
    """A run, suite, budget or method configuration that cannot be resolved."""


class Infeasible(BenchError):
    """No size of a method fits the budget. A result, not a failure: a gap in the curve.

    Attributes:
        minimum: the smallest size that the method can have, in the unit of the budget's
            accounting (bytes or values).
    """

    def __init__(self, minimum: int, unit: str, reason: str = "") -> None:
        self.minimum = minimum
        self.unit = unit
        super().__init__(f"needs at least {minimum:,} {unit}{': ' + reason if reason else ''}")
