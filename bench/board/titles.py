"""Names of methods for readers, with their form where both forms are shown together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.records.protocol import agrees, protocol_of
from bench.records.schema import Record

FORMS = {"published": " (as published)", "tuned": " (tuned)"}
"""What is said of a method's form where there are both."""


def titles(records: Sequence[Record]) -> dict[str, str]:
    """Return the title of each run's method by run id, with its form where one is published."""
    both = {r.method.name for r in records if r.spec.method.form}
    return {
        r.id: r.method.title
        + ("" if r.method.name not in both else FORMS[r.spec.method.form or "tuned"])
        for r in records
    }


def shortest(labels: set[str]) -> str:
    """Return the label of a budget; a share says more than a number of bytes."""
    return min(labels, key=lambda s: ("%" not in s, len(s), s), default="")


def budget_label(records: Sequence[Record], protocol: Mapping[str, Any]) -> str:
    """Return the label of a budget; empty without one.

    Other protocols may have tables of another size, whose shares are others. So the good runs under
    the protocol of the board name the budget, and all runs only where there are none.

    Args:
        records: the runs of the budget.
        protocol: of the board.
    """
    same = [r for r in records if r.status == "ok" and _same_table(r, protocol)]
    return shortest({r.budget.label for r in same or records if r.budget})


def _same_table(record: Record, protocol: Mapping[str, Any]) -> bool:
    """Return whether a run agrees with a protocol, in the number of dimensions too.

    Controls may have another number, and so another full table.
    """
    same_dim = record.spec.dim == protocol.get("dim", record.spec.dim)
    return same_dim and agrees(protocol_of(record), protocol)
