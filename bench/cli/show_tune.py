"""What `bench tune` shows on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console

from bench.cli.grid import Column, Grid, number
from bench.cli.show_methods import tried
from bench.cli.terminal import Live, duration

if TYPE_CHECKING:
    from bench.tune.cell import Subject
    from bench.tune.search import Outcome


class Trials(Live):
    """Progress of a tuning; a line for each finished trial.

    Args:
        console: where it is shown.
        names: names of the runs, which end with the stage, by id.
        left: returns the number of missing trials by stage.
        work: work of a trial by stage.
    """

    def __init__(
        self,
        console: Console,
        names: dict[str, str],
        left: Callable[[], dict[str, int]],
        work: dict[str, float],
    ) -> None:
        super().__init__(console, sum(left().values()), names)
        self._left, self._work = left, work

    def __call__(self, kind: str, content: dict[str, Any]) -> None:
        """Take one message of the pool; the number of missing trials may have changed."""
        self._total = self._done + sum(self._left().values()) + (kind == "done")
        self._bar.update(self._all, total=self._total)
        super().__call__(kind, content)

    def weight(self, run: str) -> float:
        """Work of a trial, by the stage in its name."""
        return self._work.get(self._names.get(run, "").rpartition(" ")[2], 1.0)

    def whole(self) -> float:
        """Work of all trials."""
        missing = self._left()
        return self._spent + sum(self._work[stage] * many for stage, many in missing.items())

    def _line(self, name: str, record: dict[str, Any]) -> str:
        count = f"[{self._done}/{self._total}] {name}: "
        if record["status"] == "complete":
            return (
                f"{count}valid NDCG@20 {record['value']:.4f}  {record['size']['bytes']:,} bytes"
                f"  {duration(record['seconds'])}"
            )
        return f"{count}{record['status']}: {record['error']}"


def spaces(subjects: Sequence[Subject]) -> Grid:
    """What is searched for each method."""
    grid = Grid("Search spaces", (Column("method"), Column("setting"), Column("space", wraps=True)))
    for one in subjects:
        name = " ".join((*one.when.method, *one.when.form)) or "all methods"
        for setting, space in one.space.items():
            grid.add(name, setting, tried(space))
    return grid


def outcomes(found: Sequence[Outcome]) -> Grid:
    """Trials of each method and budget by their outcome, the score of the start and of the best."""
    grid = Grid(
        "Validation NDCG@20; no test data was read",
        (
            Column("method"),
            Column("budget"),
            Column("trials", wraps=True, leaves=2),
            number("passes", leaves=1),
            number("start, one seed"),
            number("best, two seeds"),
            Column("settings", wraps=True, leaves=3),
        ),
    )
    for one in found:
        best = one.found
        counts = {what: many for what, many in one.counts.items() if what != "passes"}
        scores = (best.default, best.valid) if best else (None, None)
        grid.add(
            " ".join((*one.when.method, *one.when.form)) or "all methods",
            " ".join(one.when.budget),
            ", ".join(f"{many} {what}" for what, many in counts.items() if many),
            f"{one.counts['passes']:,}",
            *("" if score is None else f"{score:.4f}" for score in scores),
            "  ".join(f"{k}={'none' if v is None else v}" for k, v in best.set.items())
            if best
            else "none",
        )
    return grid
