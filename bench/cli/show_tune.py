"""What `bench tune` shows on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table

from bench.cli.terminal import Live, duration
from bench.tune.search import Outcome, Tuning


class Trials(Live):
    """Progress of a study; a line for each finished trial."""

    def _line(self, name: str, record: dict[str, Any]) -> str:
        count = f"[{self._done}/{self._total}] {name}: {record['status']}"
        if record["status"] == "complete":
            return (
                f"{count}  valid NDCG@20 {record['value']:.4f}  {record['size']['bytes']:,} bytes"
                f"  {duration(record['seconds'])}"
            )
        if record["status"] == "pruned":
            return (
                f"{count} after {len(record['curve'])} evaluations  best {max(record['curve']):.4f}"
            )
        return f"{count}: {record['error']}"


def spaces(tunings: Sequence[Tuning]) -> Table:
    """What is searched for each method, and from where."""
    table = Table(title="Search spaces", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("method", "setting", "start", "space"):
        table.add_column(name)
    for one in tunings:
        for name, space in one.space.items() or [("", "nothing to tune")]:
            table.add_row(one.kind.name, name, str(one.start.get(name, "")), str(space))
    return table


def outcomes(found: Sequence[Outcome]) -> Table:
    """Trials planned and what became of them, the score of the defaults and of the best."""
    table = Table(
        title="Validation NDCG@20; no test data was read", title_justify="left", box=box.SIMPLE_HEAD
    )
    for name in ("method", "trials", "defaults", "best"):
        table.add_column(name, no_wrap=name != "trials")
    for one in found:
        scores = one.default, one.tuned.valid if one.tuned else None
        shown = ("" if score is None else f"{score:.4f}" for score in scores)
        trials = ", ".join(f"{count} {what}" for what, count in one.counts.items() if count)
        table.add_row(one.method, trials, *shown)
    return table


def chosen(one: Outcome) -> str:
    """The best settings of a method with their id, and where all trials are, in one line."""
    if one.tuned is None:
        return f"{one.method}: no trial was completed; {one.path}"
    return f"{one.method} {one.tuned.id_for(one.method)}: {one.tuned.settings()}  ({one.path})"
