"""What `bench tune` shows on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.cli.grid import Column, Grid, number
from bench.cli.terminal import Live, duration

if TYPE_CHECKING:
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


def spaces(tunings: Sequence[Tuning]) -> Grid:
    """What is searched for each method, and from where."""
    grid = Grid(
        "Search spaces",
        (Column("method"), Column("setting"), Column("start"), Column("space", wraps=True)),
    )
    for one in tunings:
        for name, space in one.space.items() or [("", "nothing to tune")]:
            grid.add(one.kind.name, name, str(one.start.get(name, "")), str(space))
    return grid


def outcomes(found: Sequence[Outcome]) -> Grid:
    """Trials of each method by their outcome, the score of the defaults and of the best."""
    grid = Grid(
        "Validation NDCG@20; no test data was read",
        (Column("method"), Column("trials", wraps=True), number("defaults"), number("best")),
    )
    for one in found:
        scores = one.default, one.tuned.valid if one.tuned else None
        shown = ("" if score is None else f"{score:.4f}" for score in scores)
        trials = ", ".join(f"{count} {what}" for what, count in one.counts.items() if count)
        grid.add(one.method, trials, *shown)
    return grid


def chosen(one: Outcome) -> str:
    """The best settings of a method with their id, and where all trials are, in one line."""
    if one.tuned is None:
        return f"{one.method}: no trial was completed; {one.path}"
    return f"{one.method} {one.tuned.id_for(one.method)}: {one.tuned.settings()}  ({one.path})"
