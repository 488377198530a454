"""Every method in float32 and at its best precision: `python -m bench.studies.field FOLDER SPLIT`.

Runs of one seed under matrix factorisation, of the newest revision that has a precision. Validation
chooses among the precisions of a method, as on a board.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tabulate import tabulate

from bench.method.registry import find_methods
from bench.records.scan import scan
from bench.records.schema import PROTOCOL, Record

FLOAT = 32


def compared(records: Iterable[Record], split: str, seed: int = 0) -> Iterator[Record]:
    """Yield the runs that the table is of: those with budgets of bytes, with tuned settings."""
    for record in records:
        spec = record.spec
        if (
            record.status == "ok"
            and (spec.dataset.split, spec.backbone.name, spec.seed) == (split, "mf", seed)
            and spec.protocol == PROTOCOL
            and spec.method.form is None
            and record.budget is not None
            and record.budget.accounting == "bytes"
        ):
            yield record


def newest(records: Iterable[Record]) -> dict[tuple[str, str], dict[int, Record]]:
    """Return the run of each precision, by method and budget."""
    found: dict[tuple[str, str], dict[int, Record]] = defaultdict(dict)
    for record in records:
        assert record.budget is not None
        bits = record.spec.method.config.get("bits") or FLOAT
        place = found[record.spec.method.name, record.budget.label]
        if bits not in place or _age(place[bits]) < _age(record):
            place[bits] = record
    return found


def _age(record: Record) -> tuple[int, str]:
    return record.spec.method.revision, record.finished or ""


def seconds(record: Record) -> str:
    """Return the time of the training, a teacher's with it; a star: on a processor."""
    total = sum(one.seconds for one in record.phases)
    return f"{total:,.0f} s" + (" \\*" if record.env.get("device") == "cpu" else "")


def table(records: Iterable[Record], split: str, budgets: Sequence[str]) -> str:
    """Return the table as Markdown, methods by their best row at the middle budget."""
    found, kinds = newest(compared(records, split)), find_methods()
    rows = []
    for name in {method for method, _ in found}:
        own = name in kinds and kinds[name].Config.own_precision
        cells: list[str] = []
        order = 0.0
        for number, budget in enumerate(budgets):
            runs = found.get((name, budget), {})
            if not runs:
                cells += [""] * 4
                continue
            bits, best = max(runs.items(), key=lambda one: _score(one[1], "valid"))
            plain = "" if own or FLOAT not in runs else _shown(runs[FLOAT])
            cells += [plain, _shown(best), "own" if own else str(bits), seconds(best)]
            if number == len(budgets) // 2:
                order = _score(best, "test")
        rows.append((-order, name, cells))
    parts = ("float32", "best", "bits", "time")
    heads = [f"{budget}: {part}" for budget in budgets for part in parts]
    lines = [[f"`{name}`", *cells] for _, name, cells in sorted(rows)]
    align = ("left", *["right"] * len(heads))
    return str(
        tabulate(lines, ["method", *heads], tablefmt="pipe", disable_numparse=True, colalign=align)
    )


def _score(record: Record, part: str) -> float:
    metrics = record.metrics
    assert metrics is not None
    return float(getattr(metrics, part)["ndcg@20"])


def _shown(record: Record) -> str:
    return f"{_score(record, 'test'):.4f}".lstrip("0")


def main() -> None:
    """Print the table of the folder and split that the command line names."""
    given = argparse.ArgumentParser("python -m bench.studies.field", description=__doc__)
    given.add_argument("folder", type=Path, help="results folder")
    given.add_argument("split", help="as its folder is called, for example gowalla-v10-s0")
    given.add_argument("budget", nargs="*", default=("2%", "5%", "10%"), help="for example 5%%")
    options = given.parse_args()
    found = scan(options.folder).records
    sys.stdout.write(table(found, options.split, options.budget) + "\n")


if __name__ == "__main__":
    main()
