"""Settings of other data sets compete with those that a search found.

`python -m bench.tune.adopt gowalla-mf amazon-cds-mf` runs the settings of the second file on the
data set of the first one, for every method and budget that both have. Where their mean validation
NDCG@20 over the seeds of the tuning is higher, they replace those in the first file. With the same
file twice, the settings of each budget compete at the next smaller one; a search tries the other
direction itself. Test data take no part. Runs that ended are not run again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import paths
from bench.budget import share_of
from bench.errors import BenchError
from bench.method.registry import find_methods
from bench.runs.schedule import default_workers
from bench.runs.tuned import COMPARED, TunedFile, find_tuned, write_tuned
from bench.tune.transfer import Runner, Transfer
from bench.tune.untuned import summary, table


def adopt(
    tuned: TunedFile, source: TunedFile, name: str, run: Runner, found: Transfer
) -> TunedFile:
    """Return the file with the better settings of each cell.

    Args:
        tuned: what a search found.
        source: the other settings.
        name: that of `source`.
        run: what ran them.
        found: their scores on the data of `tuned`.

    The trials of each row stay those of its search; the passes of the runs of `found` are added.
    """
    theirs, scores = run.cells(source), {(one.method, one.label): one for one in found.measured}
    rows = {row.origin.when: cell for cell, row in run.cells(tuned).items()}
    changed = []
    for one in tuned.override:
        score = scores.get(rows.get(one.when, ("", "")))
        if score is not None:
            if "passes" in one.trials:
                trials = one.trials | {"passes": one.trials["passes"] + score.passes}
                one = one.model_copy(update={"trials": trials})
            if score.untuned is not None and score.untuned > score.tuned:
                settings = dict(theirs[score.method, score.label].settings)
                new = {"set": settings, "valid": round(score.untuned, 6)}
                one = one.model_copy(update=new)
        changed.append(one)
    known = dict.fromkeys([*tuned.study.get(COMPARED, []), name])
    return TunedFile(study={**tuned.study, COMPARED: list(known)}, override=tuple(changed))


def of_larger_budgets(tuned: TunedFile) -> TunedFile:
    """Return the settings of each budget in percent as those of the next smaller one."""
    labels = {label for one in tuned.override for label in one.when.budget if share_of(label)}
    order = sorted(labels, key=lambda label: share_of(label) or 0.0)
    smaller = dict(zip(order[1:], order[:-1], strict=True))
    moved = [
        one.model_copy(update={"when": one.when.model_copy(update={"budget": (below,)})})
        for one in tuned.override
        if len(one.when.budget) == 1 and (below := smaller.get(one.when.budget[0]))
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
    given.add_argument("--data-dir", type=Path, help="folder with data sets (or BENCH_DATA)")
    given.add_argument(
        "--results", type=Path, default=Path("results/local"), help="folder of the logs"
    )
    given.add_argument(
        "--workers", type=int, default=default_workers("cpu"), help="runs at the same time"
    )
    options = given.parse_args(arguments)
    try:
        tuned, source, name = find_tuned(options.tuned), find_tuned(options.source), options.source
        if options.source == options.tuned:
            source, name = of_larger_budgets(tuned), "larger budgets"
        if name in tuned.study.get(COMPARED, []):
            given.exit(0, f"{options.tuned}: {name} was compared before\n")
        run = Runner(
            find_methods(),
            True,
            options.data,
            options.data_dir,
            options.results,
            options.workers,
        )
        found = run(tuned, source)
        path = paths.folder("tuned") / f"{options.tuned}.toml"
        path = path if path.is_file() else Path(options.tuned)
        after = adopt(tuned, source, name, run, found)
        write_tuned(path, after.study, after.override)
    except BenchError as error:
        given.exit(2, f"error: {error}\n")
    if found.measured:
        sys.stdout.write(f"{table(found.measured)}\n\n{summary(found.measured)}\n")


if __name__ == "__main__":
    main()
