"""Checks of size: plans fit their budgets, and the stored file has the size that was planned."""

from __future__ import annotations

from collections.abc import Iterator

from bench.budget import VALUE_BYTES, Budget
from bench.check.subject import Finding, Subject, packed_arrays, require, show
from bench.errors import Infeasible
from bench.method import Table
from bench.method.file import write_file
from bench.method.size import describe

SHAPES = ((31, 20, 8), (60, 41, 64), (997, 1004, 64), (300, 213, 12))  # users, items, dim
SHARES = (0.02, 0.05, 0.1, 0.2, 0.5)  # of the full table


def _cases(subject: Subject) -> Iterator[tuple[Table, str]]:
    """Yield tables of several shapes, each with several budgets under both accountings."""
    for users, items, dim in SHAPES:
        full = (users + items) * dim
        for accounting in subject.accountings:
            unit = VALUE_BYTES if accounting == "bytes" else 1
            for share in SHARES if subject.kind.budgeted else SHARES[:1]:
                budget = Budget(int(share * full * unit), accounting)
                label = f"{users} + {items} ids, dim {dim}"
                if subject.kind.budgeted:
                    label += f", budget {budget.cap:,} {accounting}"
                yield subject.table(users, items, dim, budget), label


def plan(subject: Subject) -> str:
    """Check that every plan fits its budget and is kept when planned again."""
    kind, fits, gaps = subject.kind, 0, 0
    for table, label in _cases(subject):
        try:
            config = subject.plan(table)
        except Infeasible:
            gaps += 1
            continue
        require(isinstance(config, kind.Config), f"{label}: plan returned {config!r}, not a Config")
        if table.budget is not None:
            size = kind.file_size(table, config)
            require(
                size.within(table.budget),
                f"{label}: plan chose {config}, which needs {size.of(table.budget):,}; choose the"
                " largest knob that fits with `cls.solve` or `bench.method.size.largest`",
            )
        again = kind.plan(table, config)
        require(
            again == config,
            f"{label}: planning the planned {config} again gives {again}; keep knobs that are set",
        )
        fits += 1
    require(fits > 0, "plan says Infeasible for every shape and budget from 2 to 50 %")
    return f"{fits} plans within their budgets, {gaps} infeasible"


def minimum(subject: Subject) -> str:
    """Check that the minimum of an infeasible plan is exact."""
    kind = subject.kind
    if not kind.budgeted:
        return "no budget binds it"
    checked = 0
    for table, label in _cases(subject):
        shape = table.users, table.items, table.dim
        for cap in (table.cap.cap, 1):
            tight = Budget(cap, table.cap.accounting)
            try:
                subject.plan(subject.table(*shape, tight))
                continue
            except Infeasible as error:
                least = error.minimum
                require(
                    error.unit == tight.accounting,
                    f"{label}: Infeasible counts {error.unit!r}; pass the budget's accounting",
                )
            require(
                least > cap,
                f"{label}: Infeasible at {cap:,} with a minimum of {least:,}, which would fit",
            )
            enough = Budget(least, tight.accounting)
            try:
                subject.plan(subject.table(*shape, enough))
            except Infeasible as error:
                raise Finding(
                    f"{label}: the minimum was said to be {least:,}, but with just that plan asks"
                    f" for {error.minimum:,}; report the size of the smallest knob"
                ) from error
            under = Budget(least - 1, tight.accounting)
            try:
                subject.plan(subject.table(*shape, under))
            except Infeasible:
                checked += 1
                continue
            raise Finding(
                f"{label}: the minimum was said to be {least:,}, but plan also manages with one"
                " less; report the size of the smallest knob"
            )
    return f"{checked} minima are exact"


def packed_size(subject: Subject) -> str:
    """Check that `arrays` predicts what `pack` returns, and the bytes of its file."""
    checked = 0
    for table, label in _cases(subject):
        try:
            config = subject.plan(table)
        except Infeasible:
            continue
        if table.ids * table.dim > 50_000 and checked % 3:
            checked += 1  # large tables take their time: every third budget
            continue
        promised = subject.kind.file_arrays(table, config)
        method = subject.settled(table, config)
        packed = packed_arrays(method)
        found = describe(packed)
        require(
            found == dict(promised),
            f"{label}: `arrays` promises {show(promised)}, `pack` returns {show(found)}; they"
            " must agree after all phases",
        )
        measured = len(write_file(method))
        computed = subject.kind.file_size(table, config).bytes
        require(
            measured == computed,
            f"{label}: the stored file has {measured:,} bytes, {computed:,} were planned",
        )
        checked += 1
    return f"{checked} packed states have exactly the planned arrays and bytes"
