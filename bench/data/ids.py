"""Whether the ids of LightGCN text are contiguous, and how many there are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.data.lightgcn import line_with
from bench.data.raw import RawPart
from bench.errors import DataError

# A sample of a larger data set leaves a few item ids unused; ids of some other kind leave most. An
# unused id costs a row of the embedding table and so distorts what a budget means.
_UNUSED_PERCENT = 1


def count_users(parts: Sequence[RawPart]) -> int:
    """Count the users.

    Raises:
        DataError: an id below the largest has no line in any part.
    """
    used = _unique([part.listed for part in parts])
    gap = _first_gap(used)
    if gap is not None:
        raise _refusal(parts, gap, users=True)
    return int(used.size)


def count_items(parts: Sequence[RawPart], declared: int | None) -> tuple[int, int]:
    """Count the items, and those of their ids that no part uses.

    Args:
        parts: all parts of the data set.
        declared: number of items according to the card, if it says so.

    Raises:
        DataError: an id is beyond the declared number, or, where none is declared, more than 1 %
            of the ids are unused.
    """
    used = _unique([part.items for part in parts])
    found = int(used[-1]) + 1 if used.size else 0
    if declared is None:
        unused = found - used.size
        gap = _first_gap(used)
        if gap is not None and unused * 100 > found * _UNUSED_PERCENT:
            raise _refusal(parts, gap, users=False)
        return found, unused
    if found > declared:
        path, line, item = _locate(parts, declared, users=False)
        raise DataError(
            f"{path}, line {line}: item id {item}, but the card has {declared:,} items (ids 0 to"
            f" {declared - 1}); fetch the file again or correct the card"
        )
    return declared, declared - int(used.size)


def _unique(ids: Sequence[NDArray[np.integer]]) -> NDArray[np.int64]:
    together = np.concatenate(ids)
    largest = int(together.max(initial=0))
    if largest > 4 * together.size + 1000:
        # Counting would need memory for ids that are not there.
        return np.unique(together)
    return np.flatnonzero(np.bincount(together)).astype(np.int64)


def _first_gap(used: NDArray[np.int64]) -> int | None:
    missing = np.flatnonzero(used != np.arange(used.size))
    return int(missing[0]) if missing.size else None


def _locate(parts: Sequence[RawPart], lowest: int, users: bool) -> tuple[str, int, int]:
    for part in parts:
        ids = part.listed if users else part.items
        if ids.size and int(ids.max()) >= lowest:
            return str(part.path), *line_with(part.path, lowest, users)
    raise ValueError(f"no id from {lowest} on")


def _refusal(parts: Sequence[RawPart], gap: int, users: bool) -> DataError:
    path, line, above = _locate(parts, gap, users)
    kind = "user" if users else "item"
    state = "" if users else ", state the number of items in dataset.toml under [counts]"
    return DataError(
        f"{path}, line {line}: {kind} id {above} is there, but {kind} id {gap} is nowhere; ids must"
        f" be 0, 1, 2, ...: renumber them{state}, or write a .inter or .csv file, where ids may be"
        " anything"
    )
