"""What a command shows on the terminal while it works and when it ends."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench.board.model import Group, Row
from bench.runs.plan import Planned
from bench.speed.estimate import Estimate
from bench.studies.thresholds import Look


def run_name(spec: dict[str, Any], label: str | None) -> str:
    """How progress and messages name a run."""
    parts = (spec["method"]["name"], label or "", spec["backbone"]["name"], f"seed {spec['seed']}")
    return " ".join(part for part in parts if part and part != "none")


def duration(seconds: float) -> str:
    """1:02:03, or 2:03 below an hour."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


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
        f"Estimate: {duration(found.seconds)} for {found.runs} runs, {workers} at a time, on this "
        f"machine with nothing else to do ({duration(found.work)} of work), if {epochs}."
    )
    if found.untimed:
        text += f" Not timed, and taken to cost as others do: {', '.join(found.untimed)}."
    return text


def plan_table(planned: Sequence[Planned], done: set[str]) -> Table:
    """The runs of a plan with their sizes, one line for all seeds."""
    caps = {one.run.spec.budget.accounting for one in planned if one.run.spec.budget}
    title = f"Plan; budgets cap {' and '.join(sorted(caps))}" if caps else "Plan"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("backbone", "method", "budget"):
        table.add_column(name)
    for name in ("cap", "values", "bytes", "used", "runs", "to do"):
        table.add_column(name, justify="right")
    rows: dict[tuple[Any, ...], list[Planned]] = {}
    for one in planned:
        spec = one.run.spec
        rows.setdefault((spec.backbone.name, spec.method.name, one.run.label), []).append(one)
    for (backbone, method, label), members in rows.items():
        first = members[0]
        cap = first.run.spec.budget
        size = "", "", ""
        if first.infeasible:
            size = "", "", f"infeasible: {first.infeasible}"
        elif first.bytes is not None and first.values is not None:
            used = first.bytes if cap and cap.accounting == "bytes" else first.values
            size = f"{first.values:,}", f"{first.bytes:,}", f"{used / cap.cap:.1%}" if cap else ""
        left = sum(one.run.spec.id not in done for one in members)
        table.add_row(
            backbone,
            method,
            label or "",
            f"{cap.cap:,}" if cap else "",
            *size,
            str(len(members)),
            str(left),
        )
    return table


class Live:
    """Progress of a board: one bar for all runs, one line for each worker.

    Without a terminal it prints one line for each finished run instead.
    """

    def __init__(self, console: Console, total: int, names: dict[str, str]) -> None:
        self._console, self._names, self._total = console, names, total
        self._done = 0
        self._began = time.monotonic()
        self._share: dict[int, float] = {}
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._all = self._bar.add_task("all runs", total=total, note="")
        self._lines: dict[int, Any] = {}

    def __enter__(self) -> Live:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, kind: str, content: dict[str, Any]) -> None:
        """Takes one message of the pool."""
        worker, name = content.get("worker", 0), self._names.get(content.get("id", ""), "")
        if worker not in self._lines:
            self._lines[worker] = self._bar.add_task("", total=1, note="")
        line = self._lines[worker]
        if kind == "start":
            self._bar.reset(line, description=name, total=1, note="")
        elif kind == "epoch":
            score = f"ndcg@20 {content['ndcg@20']:.4f}" if "ndcg@20" in content else ""
            if "live" in content:
                score = f"{content['live']:,} entries kept"
            self._bar.update(
                line,
                completed=content["epoch"],
                total=content["epochs"],
                note=f"{content['phase']}  loss {content['loss']:.4f}  {score}",
            )
            self._share[worker] = 0.8 * content["epoch"] / content["epochs"]
        elif kind == "done":
            self._done += 1
            self._share.pop(worker, None)
            self._console.print(self._line(name, content["record"]), soft_wrap=True)
            self._bar.update(line, description="idle", note="", completed=0)
        finished = self._done + sum(self._share.values())
        left = (time.monotonic() - self._began) * (self._total / max(finished, 1e-9) - 1)
        note = f"about {duration(left)} left" if finished > 0.5 else ""
        self._bar.update(self._all, completed=self._done, note=note)

    def _line(self, name: str, record: dict[str, Any]) -> str:
        count = f"[{self._done}/{self._total}] {name}: "
        if record["status"] == "ok":
            test = record["metrics"]["test"]
            return (
                f"{count}Recall@20 {test['recall@20']:.4f}  NDCG@20 {test['ndcg@20']:.4f}"
                f"  {record['size']['bytes']:,} bytes  {duration(record['timings']['total_s'])}"
            )
        error = record["error"]
        return f"{count}{record['status']}: {error['type']}: {error['message']}"


def summary(group: Group) -> Table:
    """The leaderboards of one data set and backbone: what a board says in one table."""
    title = f"{group.dataset}{' (' + group.note + ')' if group.note else ''}, {group.backbone}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("budget", "rank", "method"):
        table.add_column(name)
    for name in ("values", "bytes", "Recall@20", "NDCG@20", "seeds"):
        table.add_column(name, justify="right")

    def add(budget: str, rank: str, row: Row) -> None:
        numbers = [row.mean(key) for key in ("values", "bytes", "recall@20", "ndcg@20")]
        shown = [
            "" if n is None else f"{n:,.0f}" if i < 2 else f"{n:.4f}" for i, n in enumerate(numbers)
        ]
        table.add_row(budget, rank, row.label, *shown, str(len(row.seeds)))

    if group.ceiling:
        add("none", "", group.ceiling)
    for row in group.references:
        add("none", "", row)
    for board in group.boards:
        table.add_section()
        for entry in board.entries:
            add(board.label, str(entry.rank or ""), entry.row)
    return table


_EMPTY = ("empty users", "empty items", "columns in common")


def thresholds(looks: Mapping[bool, Sequence[Look]]) -> Table:
    """Thresholds after each epoch of a search with (True) and without (False) their decay."""
    table = Table(title="Thresholds in the search", box=None)
    for name in ("decay", "epoch", "threshold", "95 % / 5 %", "kept", "of the largest", *_EMPTY):
        table.add_column(name, justify="left" if name == "decay" else "right")
    for decay, rows in looks.items():
        for one in rows:
            table.add_row(
                "yes" if decay else "no",
                str(one.epoch),
                f"{one.threshold:.2e}",
                f"{one.spread:.3f}",
                f"{one.kept:.1%}",
                f"{one.overlap:.1%}",
                f"{one.empty_users:.1%}",
                f"{one.empty_items:.1%}",
                f"{one.common:.1f}",
            )
    return table
