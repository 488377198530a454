"""What `bench leaderboard --dry-run` shows: the runs of a plan, and how long they take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.cli.grid import Column, Grid, number
from bench.cli.terminal import in_words

if TYPE_CHECKING:
    from bench.runs.plan import Planned
    from bench.speed.estimate import Estimate


def estimate(found: Estimate | None, workers: int) -> str:
    """How long a plan takes, in words."""
    if found is None:
        return "Nothing is left to run."
    epochs = (
        f"phases that validation ends run {found.epochs:.0%} of their epochs, as in earlier records"
        if found.from_records
        else "no run is ended early by its validation score"
    )
    text = (
        f"Estimate: {in_words(found.seconds)} for {found.runs} runs, {workers} at a time, on this "
        f"machine with nothing else to do ({in_words(found.work)} of work), if {epochs}."
    )
    if found.untimed:
        text += f" Not timed, and taken to cost as others do: {', '.join(found.untimed)}."
    return text


def plan_table(planned: Sequence[Planned], done: set[str]) -> Grid:
    """The runs of a plan with their sizes, one line for all seeds."""
    limits = {one.run.spec.budget.accounting for one in planned if one.run.spec.budget}
    grid = Grid(
        f"Plan; budgets limit {' and '.join(sorted(limits))}" if limits else "Plan",
        (
            Column("backbone", leaves=2),
            Column("method"),
            Column("form", leaves=2),
            Column("budget"),
            Column("bits", leaves=2),
            number("limit", leaves=3),
            number("values", leaves=4),
            number("bytes"),
            number("used", leaves=1),
            number("runs"),
            number("to do"),
            Column("note", wraps=True),
        ),
    )
    rows: dict[tuple[Any, ...], list[Planned]] = {}
    for one in planned:
        spec = one.run.spec
        bits = spec.method.config.get("bits") or ""
        form = spec.method.form or ""
        key = spec.backbone.name, spec.method.name, form, one.run.label, bits
        rows.setdefault(key, []).append(one)
    for (backbone, method, form, label, bits), members in rows.items():
        first = members[0]
        limit = first.run.spec.budget
        size = "", "", ""
        if first.bytes is not None and first.values is not None:
            used = first.bytes if limit and limit.accounting == "bytes" else first.values
            share = f"{used / limit.cap:.1%}" if limit else ""
            size = f"{first.values:,}", f"{first.bytes:,}", share
        left = sum(one.run.spec.id not in done for one in members)
        grid.add(
            backbone,
            method,
            form,
            label or "",
            str(bits),
            f"{limit.cap:,}" if limit else "",
            *size,
            str(len(members)),
            str(left),
            f"infeasible: {first.infeasible}" if first.infeasible else "",
        )
    return grid.without_empty("note").without_empty("bits").without_empty("form")
