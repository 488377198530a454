"""Names of methods for readers, with their form where both forms are shown together."""

from __future__ import annotations

from collections.abc import Sequence

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
