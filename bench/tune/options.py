"""The options of a tuning. Nothing slow is imported here: the command line reads them first."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from bench.errors import BenchError

SEED = 1000
"""Seed of a tuning; leaderboards use small ones."""

FOLDER = Path("tuned")
"""Where files of tuned settings go unless the user names another place."""


@dataclass(frozen=True)
class Options:
    """The options of a tuning and of its workers.

    Attributes:
        trials: of each method at each budget.
        start: tuned settings that the search tries first; empty for the defaults of such data.
        seed: of the runs.
        objective: tune the objective first.
        out: file of the best settings; None: named after data set and backbone.
        results, workers, cluster, threads, device, time_limit: as the options of that name.
    """

    trials: int
    start: tuple[str, ...]
    seed: int
    objective: bool
    out: Path | None
    results: Path
    workers: int
    cluster: str | None
    threads: int
    device: str
    time_limit: float | None

    @classmethod
    def of_board(
        cls,
        trials: int,
        results: Path,
        workers: int,
        cluster: str | None,
        threads: int,
        device: str,
        time_limit: float | None,
    ) -> Options:
        """The options of a tuning before a board; the rest have their defaults."""
        shared = results, workers, cluster, threads, device, time_limit
        return cls(trials, (), SEED, False, None, *shared)


def needs_optuna() -> None:
    """Refuse to tune without optuna."""
    if find_spec("optuna") is None:
        raise BenchError("tuning needs optuna: pip install 'compact-embedding-benchmark[tune]'")
