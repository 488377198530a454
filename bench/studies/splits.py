"""Is the test part of a public split a random part? `python -m bench.studies.splits gowalla`.

Validation is cut at random from the published training part. Where the published test part is not
random, a choice by validation data can differ from the order of rows on test data.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from bench.data import CSR, load
from bench.errors import BenchError

EDGES = (0, 10, 100, 1000, 10_000)
"""First ranks of the groups of items; the last group has all others."""
FAR = 4.0
"""Standard deviations of a binomial share. Some rare items are further by chance: compare the test
part with the validation part, which is random."""


def shares(counts: NDArray[np.int64], cut: NDArray[np.int64]) -> list[float]:
    """Return the share of interactions that was cut off, by popularity of the items.

    Args:
        counts: interactions of each item, those that were cut off with them [items].
        cut: interactions of each item that were cut off [items].
    """
    order = np.argsort(-counts, kind="stable")
    pairs = zip(EDGES, (*EDGES[1:], len(order)), strict=True)
    groups = [order[low:high] for low, high in pairs if low < len(order)]
    return [float(cut[group].sum() / max(1, counts[group].sum())) for group in groups]


def far(counts: NDArray[np.int64], cut: NDArray[np.int64]) -> int:
    """Return the number of items whose share is more than `FAR` deviations from the common one.

    Args:
        counts: interactions of each item, those that were cut off with them [items].
        cut: interactions of each item that were cut off [items].
    """
    share = cut.sum() / counts.sum()
    expected, variance = counts * share, counts * share * (1 - share)
    return int((np.abs(cut - expected) > FAR * np.sqrt(variance)).sum())


def rows(train: CSR, valid: CSR, test: CSR) -> Iterator[list[str]]:
    """Yield a row of the table for validation and for test."""
    items = 1 + max(int(part.indices.max()) for part in (train, valid, test))
    trained, validated, tested = (
        np.bincount(part.indices, minlength=items) for part in (train, valid, test)
    )
    for name, counts, cut in (
        ("validation", trained + validated, validated),
        ("test", trained + validated + tested, tested),
    ):
        popular = float(np.average(trained, weights=cut))
        cells = [f"{share:.1%}" for share in shares(counts, cut)]
        cells += ["–"] * (len(EDGES) - len(cells))
        yield [
            name,
            f"{cut.sum() / counts.sum():.1%}",
            *cells,
            f"{popular:.1f}",
            f"{far(counts, cut):,}",
        ]


def table(names: Sequence[str]) -> str:
    """Return the table of data sets as Markdown."""
    found = []
    for name in names:
        data = load(name)
        found += [[name, *row] for row in rows(data.train, data.valid, data.test)]
    firsts = [f"items {low + 1:,} to {high:,}" for low, high in pairwise(EDGES)]
    heads = ["Data", "Part", "Share of all", *firsts, f"items from {EDGES[-1] + 1:,}"]
    heads += ["Mean popularity", f"Items beyond {FAR:g} deviations"]
    return str(tabulate(found, headers=heads, tablefmt="pipe", disable_numparse=True))


def main() -> None:
    """Print the table of the data sets that the command line names."""
    given = argparse.ArgumentParser("python -m bench.studies.splits", description=__doc__)
    given.add_argument("data", nargs="+", help="data sets with a test part of their own")
    options = given.parse_args()
    try:
        sys.stdout.write(table(options.data) + "\n")
    except BenchError as error:
        given.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    main()
