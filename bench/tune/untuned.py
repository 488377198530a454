"""What people lose who do not tune, on data that the defaults were not derived from.

`python -m bench.tune.untuned ml-100k-mf ml-1m-mf gowalla-mf` derives defaults from the files behind
the first one and runs each method with them, on the data set of the first one, under the suite
`default`. With one file it takes the defaults that the suite has. It prints validation NDCG@20 of
these runs beside that of the tuned settings, both as means over the seeds of the tuning. Test data
take no part. Runs that ended are not run again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from tabulate import tabulate

from bench.data import Interactions, load
from bench.errors import BenchError
from bench.method import Method
from bench.method.registry import find_methods
from bench.records.schema import digest
from bench.runs.plan import Planner, wanted_methods
from bench.runs.request import Request
from bench.runs.schedule import default_workers
from bench.runs.settings import with_tuned
from bench.runs.spec import Run
from bench.runs.suite import Suite
from bench.runs.tuned import Tuned, TunedFile, find_tuned, write_tuned
from bench.tune.defaults import derive
from bench.tune.log import append, read_lines
from bench.tune.search import FOLDER
from bench.tune.workers import Workers


@dataclass(frozen=True)
class Measured:
    """Both scores of a method at a budget.

    Attributes:
        method: its name.
        label: the budget; "" for a method without one.
        tuned: validation NDCG@20 of its tuned settings, mean over seeds.
        untuned: that of the defaults; None if a run failed or the budget cannot be met.
        passes: over the data, of the runs with the defaults.
    """

    method: str
    label: str
    tuned: float
    untuned: float | None
    passes: int = 0

    @property
    def loss(self) -> float | None:
        """Share of the tuned score that is lost; negative if the defaults are better."""
        return None if self.untuned is None else 1 - self.untuned / self.tuned


class Comparison:
    """The runs with defaults, and their outcomes.

    Args:
        tuned: the settings that the defaults are compared with; they name split and seeds.
        suite: the suite with the defaults; its methods are compared.
        methods: all known methods.
        data: the split.
        folder: folder of the log. Scores of the same runs in logs of other comparisons there
            count, too.
        cells: methods with budgets that are compared; None: all of `tuned`.

    Raises:
        BenchError: the data are another split than that of `tuned`.
    """

    def __init__(
        self,
        tuned: TunedFile,
        suite: Suite,
        methods: Mapping[str, type[Method]],
        data: Interactions,
        folder: Path,
        cells: Collection[tuple[str, str]] | None = None,
    ) -> None:
        wanted = tuned.study.get("split")
        if data.split != wanted:
            raise BenchError(f"the settings were tuned on {wanted}, but the data are {data.split}")
        self.runs: dict[str, Run] = {}
        self._cells: list[tuple[Tuned, list[str]]] = []
        self._outcomes: dict[str, Mapping[str, Any]] = {}
        backbone, planner = suite.backbones[0], Planner(suite, data)
        kinds = {kind.name: kind for kind in wanted_methods(suite, methods)}
        for row in tuned.rows():
            kind, label = kinds.get(row.method), row.label or None
            if kind is None or row.form != "tuned" or row.origin.valid is None:
                continue
            if cells is not None and (row.method, row.label) not in cells:
                continue
            planned = [planner.run(kind, backbone, label, seed) for seed in tuned.study["seeds"]]
            ids = [one.run.spec.id for one in planned]
            self._cells.append((row, ids))
            self.runs |= {one.run.spec.id: one.run for one in planned}
            for one in planned:
                if one.infeasible:
                    self._outcomes[one.run.spec.id] = {"value": None}
        self._conditions = {"split": data.split, "runs": sorted(self.runs)}
        self._path = folder / f"untuned-{digest(self._conditions)}.jsonl"
        for log in sorted(folder.glob("untuned-*.jsonl")):
            self._outcomes |= {
                one["run"]: one
                for one in read_lines(log)
                if "run" in one and (log == self._path or one.get("value") is not None)
            }

    def missing(self) -> list[Run]:
        """Return the runs that have no outcome yet."""
        return [run for name, run in self.runs.items() if name not in self._outcomes]

    def take(self, run: str, outcome: Mapping[str, Any]) -> list[Run]:
        """Store the outcome of a run, with its settings; no other run waits for it."""
        spec = self.runs[run].spec
        entry = {
            "run": run,
            "method": spec.method.name,
            "budget": self.runs[run].label,
            "seed": spec.seed,
            "config": spec.method.config,
            "value": None,  # of a run whose worker died
            **outcome,
        }
        entry.pop("traceback", None)
        append(self._path, self._conditions, entry)
        self._outcomes[run] = entry
        return []

    def measured(self) -> list[Measured]:
        """Return the scores of each method at each budget; all runs must have ended."""
        found = []
        for row, ids in self._cells:
            outcomes = [self._outcomes[name] for name in ids]
            scores = [one.get("value") for one in outcomes]
            assert row.origin.valid is not None
            known = [score for score in scores if score is not None]
            mean = fmean(known) if len(known) == len(scores) else None
            passes = sum(one.get("passes") or 0 for one in outcomes)
            found.append(Measured(row.method, row.label, row.origin.valid, mean, passes))
        return found

    def run(self, asked: Request, data: Interactions, results: Path, workers: int) -> None:
        """Run what is missing, with progress on standard error."""

        def tell(kind: str, content: dict[str, Any]) -> None:
            if kind == "done":
                run, outcome = self.runs[content["id"]], content["record"]
                name = " ".join((run.spec.method.name, run.label or "", f"seed {run.spec.seed}"))
                sys.stderr.write(f"{name}: {outcome['error'] or round(outcome['value'], 4)}\n")

        if missing := self.missing():
            sys.stderr.write(f"{data.split}: {len(missing)} runs, validation NDCG@20 of each:\n")
            job = asked.job(results, "cpu", 1, workers)
            with Workers(job, data, workers, tell) as pool:
                pool(missing, self.take)


def log_folder(results: Path, data: Interactions, suite: Suite) -> Path:
    """Folder of the logs of a data set and a backbone."""
    return results / FOLDER / data.split / suite.backbones[0]


def table(found: Iterable[Measured]) -> str:
    """Return the scores as a Markdown table with a line for each method.

    A method without a budget stands in the columns of the first one.
    """
    rows: dict[str, dict[str, Measured]] = {}
    for one in found:
        rows.setdefault(one.method, {})[one.label] = one
    labels = list(dict.fromkeys(label for row in rows.values() for label in row if label)) or [""]
    lines = [
        [
            f"`{name}`",
            *(
                text
                for label in labels
                for text in _cells(row.get(label) or (row.get("") if label == labels[0] else None))
            ),
        ]
        for name, row in rows.items()
    ]
    heads = [text for label in labels for text in (f"{label} tuned", "defaults", "loss")]
    align = ("left", *["right"] * len(heads))
    heads = ["method", *(head.strip() for head in heads)]
    return str(tabulate(lines, heads, tablefmt="pipe", disable_numparse=True, colalign=align))


def _cells(one: Measured | None) -> tuple[str, str, str]:
    if one is None:
        return "", "", ""
    tuned = f"{one.tuned:.4f}".lstrip("0")
    if one.untuned is None or one.loss is None:
        return tuned, "none", ""
    return tuned, f"{one.untuned:.4f}".lstrip("0"), f"{100 * one.loss:.1f} %"


def summary(found: Sequence[Measured]) -> str:
    """Return a sentence on the losses of all cells."""
    losses = [one.loss for one in found if one.loss is not None]
    if not losses:
        return "No run with defaults was completed."
    worst = max(found, key=lambda one: -1.0 if one.loss is None else one.loss)
    few = sum(loss <= 0.05 for loss in losses)
    return (
        f"{few} of {len(found)} lose at most 5 %; mean loss {100 * fmean(losses):.1f} %, largest"
        f" {100 * max(losses):.1f} % ({' '.join((worst.method, worst.label)).strip()})."
    )


def measure(options: argparse.Namespace) -> list[Measured]:
    """Run what is missing, and return the scores.

    Raises:
        BenchError: there is no such file, it names no data set, or the data are another split.
    """
    tuned, methods = find_tuned(options.tuned), find_methods()
    if not {"dataset", "split", "seeds"} <= tuned.study.keys():
        raise BenchError(f"{options.tuned}: it names no data set; give a file of `bench tune`")
    name = options.data or str(tuned.study["dataset"])
    data = load(name, data_dir=options.data_dir)
    asked = Request(options.suite, name, data_dir=options.data_dir)
    suite = asked.resolved(methods=tuple(options.method))
    where = log_folder(options.results, data, suite)
    with tempfile.TemporaryDirectory() as folder:
        if options.source:
            defaults = Path(folder) / "defaults.toml"
            files = [find_tuned(one) for one in options.source]
            rates = range(len(files)) if options.rates else ()
            write_tuned(defaults, {}, derive(files, methods, rates))
            suite = with_tuned(suite, str(defaults))
        one = Comparison(tuned, suite, methods, data, where)
    one.run(asked, data, options.results, options.workers)
    return one.measured()


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table; a mistake of the user is one line and exit status 2."""
    given = argparse.ArgumentParser(prog="python -m bench.tune.untuned", description=__doc__)
    given.formatter_class = argparse.RawDescriptionHelpFormatter
    given.add_argument("tuned", help="tuned settings of the data set, by name or file")
    given.add_argument(
        "source", nargs="*", help="tuned settings that give the defaults; none: those of the suite"
    )
    given.add_argument("-d", "--data", help="the data set where it is a file of your own")
    given.add_argument(
        "-m", "--method", action="append", default=[], help="only this method; repeat it for more"
    )
    given.add_argument("--rates", action="store_true", help="defaults have learning rates")
    given.add_argument("--suite", default="default", help="suite of the runs (default: default)")
    given.add_argument("--data-dir", type=Path, help="folder with data sets (or BENCH_DATA)")
    given.add_argument(
        "--results", type=Path, default=Path("results/local"), help="folder of the log"
    )
    given.add_argument(
        "--workers", type=int, default=default_workers("cpu"), help="runs at the same time"
    )
    try:
        found = measure(given.parse_args(arguments))
    except BenchError as error:
        given.exit(2, f"error: {error}\n")
    sys.stdout.write(f"{table(found)}\n\n{summary(found)}\n")


if __name__ == "__main__":
    main()
