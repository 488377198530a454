"""What commands show while they work."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.cli.console import printable
from bench.records.schema import Record


def run_name(spec: dict[str, Any], label: str | None) -> str:
    """How progress and messages name a run."""
    bits = spec["method"]["config"].get("bits")
    parts = (
        spec["method"]["name"],
        "as published" if spec["method"].get("form") else "",
        f"{bits} bits" if bits else "",
        label or "",
        spec["backbone"]["name"],
        f"seed {spec['seed']}",
    )
    return printable(" ".join(part for part in parts if part and part != "none"))


def duration(seconds: float) -> str:
    """1:02:03, or 2:03 below an hour."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def in_words(seconds: float) -> str:
    """An estimate: 40 s, 26 min or 17 h 5 min, because 17:05 could be minutes or hours."""
    if seconds < 59.5:
        return f"{round(seconds)} s"
    hours, minute = divmod(round(seconds / 60), 60)
    return f"{hours} h {minute} min" if hours else f"{minute} min"


class Live:
    """Progress of a board: one bar for all runs, one line for each worker.

    Without a terminal it prints one line for each finished run instead.
    """

    def __init__(self, console: Console, total: int, names: dict[str, str]) -> None:
        self._console, self._total = console, total
        self._names = names
        self._done, self._spent = 0, 0.0
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
        """Take one message of the pool."""
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
            part = 0.8 * content["epoch"] / content["epochs"]
            self._share[worker] = part * self.weight(content["id"])
        elif kind == "done":
            self._done += 1
            self._spent += self.weight(content["id"])
            self._share.pop(worker, None)
            self._console.print(self._line(name, content["record"]), soft_wrap=True)
            self._bar.update(line, description="idle", note="", completed=0)
        finished = self._spent + sum(self._share.values())
        left = (time.monotonic() - self._began) * (self.whole() / max(finished, 1e-9) - 1)
        note = f"about {in_words(left)} left" if finished > 0.5 else ""
        self._bar.update(self._all, completed=self._done, note=note)

    def weight(self, run: str) -> float:
        """Work of a run, in any unit."""
        return 1.0

    def whole(self) -> float:
        """Work of all runs, in the same unit."""
        return self._total

    def _line(self, name: str, record: Any) -> str:
        assert isinstance(record, Record)
        count = f"[{self._done}/{self._total}] {name}: "
        if record.metrics and record.size and record.timings:
            test, took = record.metrics.test, record.timings.total_s or 0
            return (
                f"{count}Recall@20 {test['recall@20']:.4f}  NDCG@20 {test['ndcg@20']:.4f}"
                f"  {record.size.bytes:,} bytes  {duration(took)}"
            )
        error = record.error
        why = f": {error.type}: {error.message}" if error else ""
        return f"{count}{record.status}{why}"
