"""Times look-ups of `compact_lookup` beside a float32 array: python -m bench.speed.readers."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

import compact_lookup
from bench.budget import VALUE_BYTES, Budget
from bench.check.subject import Subject
from bench.errors import Infeasible, SpecError
from bench.method import Method
from bench.method.file import write_file
from bench.method.registry import find_methods

_USERS, _ITEMS, _DIM = 29_858, 40_981, 64  # Gowalla's
_BATCH, _CALLS, _REPEATS = 1024, 200, 3
_SHARES = (0.02, 0.05, 0.1)
_PRECISIONS = (32, 16, 8, 6, 4, 3, 2, 1)


@dataclass(frozen=True)
class Reading:
    """Times of one table, each the median of some repeats.

    Attributes:
        label: method and bits.
        share: its size as a share of the full table.
        micros: median time of a look-up of 1,024 random ids.
        ratio: median ratio to the same look-up in a float32 array.
    """

    label: str
    share: float
    micros: float
    ratio: float


def readings(names: Sequence[str] = (), calls: int = _CALLS) -> Iterator[Reading]:
    """Time tables with random values at Gowalla's shape, in every precision.

    Args:
        names: of methods; all if there are none.
        calls: look-ups of each, in each repeat.
    """
    kinds = find_methods()
    for name in names or sorted(kinds):
        own = kinds[name].Config.own_precision
        for bits in (None, *_PRECISIONS[1:]) if own else _PRECISIONS:  # those that it has
            for share in _SHARES:
                method = _made(kinds[name], share, bits)
                if method is not None:
                    label = f"`{name}`" + (f", {bits} bits" if bits else "")
                    repeats = np.array([_timed(method, calls) for _ in range(_REPEATS)])
                    yield Reading(label, share, *np.median(repeats, axis=0).tolist())


def _made(kind: type[Method], share: float, bits: int | None) -> Method | None:
    """A method of about this size; None where there is none."""
    ids = _USERS + _ITEMS
    budget = Budget(int(share * ids * _DIM * VALUE_BYTES))
    subject = Subject(kind)
    table = subject.table(_USERS, _ITEMS, _DIM, budget)
    wanted: dict[str, Any] = {"bits": bits} if bits else {}
    try:
        return subject.settled(table, kind.plan(table, kind.Config(**wanted)))
    except (Infeasible, SpecError, ValueError):
        return None


def _timed(method: Method, calls: int) -> tuple[float, float]:
    """Microseconds and the ratio, from calls that take turns."""
    generator = np.random.default_rng(0)
    full = generator.normal(size=(_USERS + _ITEMS, _DIM)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "table.safetensors"
        file.write_bytes(write_file(method))
        table = compact_lookup.load(file)
    times = []
    for ids in generator.integers(0, _USERS + _ITEMS, (calls, _BATCH)):
        began = time.process_time_ns()
        full[ids]
        between = time.process_time_ns()
        table.rows(ids)
        times.append((between - began, time.process_time_ns() - between))
    array, own = np.array(times, np.float64).T
    return float(np.median(own) / 1000), float(np.median(own) / np.median(array))


def main() -> None:
    """Print a table in Markdown, with a row for each method and precision."""
    out = sys.stdout.write
    shares = ", ".join(f"{100 * share:.0f}" for share in _SHARES)
    out(f"| table | µs at {shares} % | times the array |\n| --- | --- | --- |\n")
    for label, group in groupby(readings(sys.argv[1:]), key=lambda one: one.label):
        found = list(group)
        micros = "; ".join(f"{one.micros:,.0f}" for one in found)
        out(f"| {label} | {micros} | {', '.join(f'{one.ratio:.1f}' for one in found)} |\n")


if __name__ == "__main__":
    main()
