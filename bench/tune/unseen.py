"""What people lose who do not tune, by seeds that took no part in a choice.

`python -m bench.tune.unseen results/NAME other/NAME` compares the records of two leaderboards on
one split: the first with tuned settings, the second with defaults. Each score is a mean over the
seeds that both have. `bench.tune.untuned` compares by the seeds of the tuning. Tuned settings were
chosen because they are good with those, so their scores are a little too high there.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import inf
from pathlib import Path
from statistics import fmean

from bench.budget import share_of
from bench.errors import BenchError
from bench.records.scan import scan
from bench.records.schema import PROTOCOL, Record
from bench.tune.untuned import Measured, summary, table

Scores = Mapping[tuple[str, str], Mapping[int, float]]
"""NDCG@20 by method and budget, then by seed."""


def scores(records: Iterable[Record], part: str) -> Scores:
    """Return NDCG@20 of the runs of one leaderboard in their tuned form, budgets in bytes.

    Args:
        records: of one split and one backbone.
        part: `test` or `valid`.

    Raises:
        BenchError: a method has two runs with the same budget and seed, so that the records are
            not those of one leaderboard.
    """
    found: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for record in records:
        spec, metrics = record.spec, record.metrics
        if record.status != "ok" or metrics is None or spec.protocol != PROTOCOL:
            continue
        budget = record.budget
        if spec.method.form is not None or (budget and budget.accounting != "bytes"):
            continue
        cell = spec.method.name, budget.label if budget else ""
        runs = found[cell]
        if spec.seed in runs:
            raise BenchError(
                f"{spec.dataset.split}: two records of {' '.join(cell).strip()}, seed {spec.seed};"
                " give a folder with the records of one leaderboard"
            )
        runs[spec.seed] = float(getattr(metrics, part)["ndcg@20"])
    return found


def compare(tuned: Scores, defaults: Scores) -> list[Measured]:
    """Return both means of each method and budget that have a seed in common."""
    compared = []
    for cell in sorted(tuned.keys() & defaults.keys(), key=_order):
        one, other = tuned[cell], defaults[cell]
        seeds = sorted(one.keys() & other.keys())
        if seeds:
            means = [fmean(runs[seed] for seed in seeds) for runs in (one, other)]
            compared.append(Measured(*cell, tuned=means[0], untuned=means[1]))
    return compared


def _order(cell: tuple[str, str]) -> tuple[str, float, str]:
    """By method, then from the smallest budget; budgets that are no shares come last."""
    method, label = cell
    return method, share_of(label) or inf, label


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table of test and of validation scores; a mistake is one line, exit status 2."""
    given = argparse.ArgumentParser(prog="python -m bench.tune.unseen", description=__doc__)
    given.formatter_class = argparse.RawDescriptionHelpFormatter
    given.add_argument("tuned", type=Path, help="records with tuned settings: a folder of a split")
    given.add_argument("defaults", type=Path, help="records with defaults, on the same split")
    given.add_argument("--backbone", default="mf", help="backbone of the runs (default: mf)")
    options = given.parse_args(arguments)
    tables = []
    try:
        if options.tuned.name != options.defaults.name:
            raise BenchError(f"{options.tuned} and {options.defaults} are not of one split")
        sides = [read(one, options.backbone) for one in (options.tuned, options.defaults)]
        for part, title in (("test", "Test"), ("valid", "Validation")):
            found = compare(*(scores(records, part) for records in sides))
            tables.append(f"{title} NDCG@20\n\n{table(found)}\n\n{summary(found)}\n")
    except BenchError as error:
        given.exit(2, f"error: {error}\n")
    sys.stdout.write("\n".join(tables))


def read(folder: Path, backbone: str) -> list[Record]:
    """Return the records of a split and a backbone.

    Raises:
        BenchError: there are none.
    """
    records = [
        one
        for one in scan(folder.parent).records
        if (one.spec.dataset.split, one.spec.backbone.name) == (folder.name, backbone)
    ]
    if not records:
        raise BenchError(f"{folder}: no records of {backbone}")
    return records


if __name__ == "__main__":
    main()
