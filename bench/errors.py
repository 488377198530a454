"""Errors that are a user's or a contributor's to fix; the command line prints them as one line."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
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
            " folder"
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


class Unreachable(BenchError):
    """Training came to no size that fits the budget. A result, too: a gap in the curve."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name, after `there is no method 'crep'; `.

    Returns:
        `did you mean 'cerp'? there are cerp, dims, full`, or without the question where no known
        name is close.
    """
    names = [str(one) for one in known]
    close = get_close_matches(name, names, n=1)
    question = f"did you mean {close[0]!r}? " if close else ""
    return f"{question}there are {', '.join(names)}" if names else "there are none"
