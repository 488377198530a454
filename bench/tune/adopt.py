"""Settings of other data sets compete with those that a search found.

`python -m bench.tune.adopt gowalla-mf amazon-cds-mf` runs the settings of the second file on the
data set of the first one, for every method and budget that both have. Where their mean validation
NDCG@20 over the seeds of the tuning is higher, they replace those in the first file. With the same
file twice, the settings of each budget compete at the next smaller one; with --smaller too, those
of the smaller one at the larger one. A search ends with both. Test data take no part. Runs that
ended are not run again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise, product
from pathlib import Path
from typing import Any

from bench import paths
from bench.budget import share_of
from bench.errors import BenchError
from bench.method.registry import find_methods
from bench.runs.schedule import default_workers
from bench.runs.tuned import Found, Tuned, TunedFile, find_tuned, write_tuned
from bench.tune.transfer import Cell, Runner, Transfer
from bench.tune.untuned import Measured, summary, table


def adopt(
    tuned: TunedFile, cells: Mapping[Cell, Tuned], name: str, found: Transfer
) -> tuple[Found, ...]:
    """Return the overrides of `tuned` with the better settings of each cell.

    Args:
        tuned: what a search found.
        cells: the cells of `tuned`.
        name: that of the other settings.
        found: those settings, and their scores on the data of `tuned`.

    The trials of each row stay those of its search; the passes of the runs of `found` are added.
    """
    changed = {
        cells[cell].origin.when: _better(cells[cell].origin, name, other, found.measured.get(cell))
        for cell, other in found.settings.items()
    }
    return tuple(changed.get(one.when, one) for one in tuned.override)


def _better(one: Found, name: str, other: Tuned, score: Measured | None) -> Found:
    """Return the override with the better of two settings; without a score they are equal."""
    changes: dict[str, Any] = {"compared": (*one.compared, f"{name}@{other.id}")}
    if score is not None:
        if "passes" in one.trials:
            changes["trials"] = one.trials | {"passes": one.trials["passes"] + score.passes}
        if score.untuned is not None and score.untuned > score.tuned:
            changes |= {"set": dict(other.settings), "valid": round(score.untuned, 6)}
    return one.model_copy(update=changes)


def not_compared(
    cells: Mapping[Cell, Tuned], others: Mapping[Cell, Tuned], source: TunedFile, name: str
) -> TunedFile:
    """Return what `source`, with the cells `others`, has that has not yet competed in `cells`."""
    past = {
        cell
        for cell in cells.keys() & others.keys()
        if f"{name}@{others[cell].id}" in cells[cell].origin.compared
    }
    kept = tuple(
        one
        for one in source.override
        if not past.intersection(product(one.when.method, one.when.budget or ("",)))
    )
    return source.model_copy(update={"override": kept})


def of_other_budgets(tuned: TunedFile, smaller: bool) -> TunedFile:
    """Return the settings of each budget in percent as those of the next one.

    Args:
        tuned: what a search found.
        smaller: the settings are those of the smaller budget of two; otherwise of the larger one.
    """
    labels = {label for one in tuned.override for label in one.when.budget if share_of(label)}
    order = sorted(labels, key=lambda label: share_of(label) or 0.0, reverse=not smaller)
    following = dict(pairwise(order))
    moved = [
        one.model_copy(update={"when": one.when.model_copy(update={"budget": (label,)})})
        for one in tuned.override
        if len(one.when.budget) == 1 and (label := following.get(one.when.budget[0]))
    ]
    return TunedFile(study=tuned.study, override=tuple(moved))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run, write the file and print the scores; a user's mistake is one line and exit status 2."""
    given = argparse.ArgumentParser(prog="python -m bench.tune.adopt", description=__doc__)
    given.formatter_class = argparse.RawDescriptionHelpFormatter
    given.add_argument("tuned", help="tuned settings, by name or file; the file is changed")
    given.add_argument("source", help="tuned settings of another data set, by name or file")
    given.add_argument(
        "-d", "--data", action="append", default=[], help="the data set where it is a file"
    )
    given.add_argument(
        "--smaller",
        action="store_true",
        help="with the same file twice: settings of smaller budgets compete at larger ones",
    )
    given.add_argument(
        "--suite", help="suite that the search had, if it was not the one for such data"
    )
    given.add_argument("--data-dir", type=Path, help="folder with data sets (or BENCH_DATA)")
    given.add_argument(
        "--results", type=Path, default=Path("results/local"), help="folder of the logs"
    )
    given.add_argument(
        "--workers", type=int, default=default_workers("cpu"), help="runs at the same time"
    )
    options = given.parse_args(arguments)
    try:
        tuned, source = find_tuned(options.tuned), find_tuned(options.source)
        if options.source == options.tuned:
            source = of_other_budgets(tuned, options.smaller)
        elif options.smaller:
            raise BenchError("--smaller needs the same file twice")
        run = Runner(
            find_methods(),
            options.results,
            options.workers,
            base=options.suite,
            files=options.data,
            data_dir=options.data_dir,
        )
        cells = run.cells(tuned)
        source = not_compared(cells, run.cells(source), source, options.source)
        found = run(tuned, source)
        path = paths.folder("tuned") / f"{options.tuned}.toml"
        path = path if path.is_file() else Path(options.tuned)
        write_tuned(path, tuned.study, adopt(tuned, cells, options.source, found))
    except BenchError as error:
        given.exit(2, f"error: {error}\n")
    scores = list(found.measured.values())
    sys.stdout.write(f"{table(scores)}\n\n{summary(scores)}\n" if scores else "nothing to run\n")


if __name__ == "__main__":
    main()
