"""Compressing given vectors by every method that trains nothing but a table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from bench.budget import Budget
from bench.compress.judge import Judge
from bench.compress.vectors import Vectors
from bench.engine.deploy import look_up
from bench.errors import Infeasible, SpecError
from bench.method import Choice, Method, Table
from bench.method.file import read_file, write_file

Report = Callable[[int, int, str], None]
"""Told of units done, units in all, and what comes next."""


@dataclass(frozen=True)
class Outcome:
    """What a method made of the vectors under a budget.

    Attributes:
        kind: the method.
        budget: the budget as it was asked for.
        detail: knobs that tell it from others of the method.
        content: the file; empty where no size fits.
        metrics: as `Judge` returns them.
        seconds: to compress, write and read back.
        reason: why there is no file.
    """

    kind: type[Method]
    budget: str
    detail: str
    content: bytes = b""
    metrics: Mapping[str, float] | None = None
    seconds: float = 0.0
    reason: str = ""


def candidates(methods: Mapping[str, type[Method]]) -> list[tuple[type[Method], Any]]:
    """Methods that compress a given table without training, once for each precision to choose."""
    found: list[tuple[type[Method], Any]] = []
    for kind in methods.values():
        if set(kind.needs) != {"teacher"} or kind.phases or not kind.budgeted:
            continue
        bits = kind.space.get("bits")
        options = bits.values if isinstance(bits, Choice) else (None,)
        found += [(kind, kind.Config(**({"bits": one} if one else {}))) for one in options]
    return found


def compress(
    vectors: Vectors,
    budgets: Mapping[str, Budget],
    methods: Mapping[str, type[Method]],
    judge: Judge,
    report: Report = lambda done, total, what: None,
) -> list[Outcome]:
    """Compress vectors by every method under every budget.

    Args:
        vectors: the teacher of the methods.
        budgets: by the name that the user gave.
        methods: all known methods.
        judge: compares what comes out.
        report: told before each method.

    Returns:
        By budget; the best one by the rule of the judge first. Test metrics choose nothing.
    """
    tried = candidates(methods)
    teacher = torch.cat([torch.from_numpy(vectors.users), torch.from_numpy(vectors.items)])
    total, found = len(tried) * len(budgets), list[Outcome]()
    for number, (name, budget) in enumerate(budgets.items()):
        table = Table(
            len(vectors.users),
            len(vectors.items),
            vectors.dim,
            budget=budget,
            counts=torch.ones(len(teacher), dtype=torch.int64),
            teacher=teacher,
            backbone={"name": "mf", "config": {"similarity": "dot"}},
        )
        these: list[Outcome] = []
        seen: set[str] = set()
        for at, (kind, config) in enumerate(tried):
            report(number * len(tried) + at, total, f"{name}: {kind.title}")
            these += _one(name, table, kind, config, judge, seen)
        found += sorted(these, key=lambda one: -(one.metrics or {}).get(judge.rule[0], -1.0))
    return found


def _one(
    name: str, table: Table, kind: type[Method], config: Any, judge: Judge, seen: set[str]
) -> Iterator[Outcome]:
    """The outcome of a method, unless the same knobs came out before."""
    began = time.perf_counter()
    try:
        planned = kind.plan(table, config)
    except (Infeasible, SpecError) as error:
        yield Outcome(kind, name, _detail(config), reason=str(error))
        return
    if (knobs := f"{kind.name} {planned.record()}") in seen:
        return
    seen.add(knobs)
    method = kind(table, planned)
    method.reset(torch.Generator().manual_seed(table.seed))
    content = write_file(method)
    packed, read = read_file(kind, content, table.budget)
    rows = look_up(read, packed.header.table, "cpu")
    seconds = time.perf_counter() - began
    yield Outcome(kind, name, _detail(planned), content, judge(rows), seconds)


def _detail(config: Any) -> str:
    """The knobs that size and precision come from, in words."""
    words = []
    for key in ("bits", "width", "columns", "parts", "word_bits"):
        value = getattr(config, key, None)
        if value:
            words.append(f"{value} {key.replace('_', ' ')}")
    return ", ".join(words)


def best(outcomes: Sequence[Outcome], budget: str) -> Outcome | None:
    """The first outcome of a budget that has a file."""
    return next((one for one in outcomes if one.budget == budget and one.content), None)
