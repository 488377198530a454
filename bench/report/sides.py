"""What tables of sides have in common, whether the sides are backbones or data sets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tabulate import tabulate

from bench.board.quantities import quantity
from bench.board.shares import Kept, Side, Sides
from bench.report.tables import to_csv

HEAD = (
    "dataset", "split", "protocol", "backbone", "budget", "cap", "accounting", "role", "method",
    "title", "row", "seeds", "complete", "bytes", "values", "backbone_values", "ndcg@20",
    "ndcg_kept", "ndcg_kept_low", "ndcg_kept_high", "recall@20", "recall_kept", "below_reference",
)  # fmt: skip
"""The columns of the data."""


def lines(one: Sides) -> Iterator[tuple[object, ...]]:
    """Yield a line of `HEAD` for every ceiling, reference and row; shares are in percent."""
    for side in one.sides:
        top, board = side.ceiling, side.board
        whole = Kept(top, top.title, ("", 0), "", True, 100.0, 100.0, 100.0, 100.0, False)
        for kept in (whole, *side.references, *side.kept):
            row, budget = kept.row, kept.row.first.budget
            yield (
                board.dataset, board.split, side.protocol_hash, board.backbone, kept.budget,
                budget.cap if budget else None, budget.accounting if budget else "", row.role,
                row.method, kept.title, row.key, len(row.seeds), kept.complete, row.mean("bytes"),
                row.mean("values"), row.mean("backbone_values"), row.mean("ndcg@20"), kept.ndcg,
                kept.low, kept.high, row.mean("recall@20"), kept.recall, kept.below_reference,
            )  # fmt: skip


def csv(one: Sides) -> str:
    """Return the rows of all sides as CSV."""
    return to_csv(HEAD, lines(one))


def signs(kept: Kept) -> str:
    """Return the signs of a row: ‡ not better than the reference, * seeds missing."""
    return ("‡" if kept.below_reference else "") + ("" if kept.complete else "*")


def shared_references(sides: Sequence[Side]) -> Iterator[tuple[str, list[Kept]]]:
    """Yield title and shares of each reference that every side has."""
    columns = [{one.row.method: one for one in side.references} for side in sides]
    for method, first in columns[0].items():
        if all(method in column for column in columns):
            yield first.title, [column[method] for column in columns]


CEILING = ("ndcg@20", "recall@20", "bytes", "backbone_values")
"""What is said of the full table of each side."""


def ceilings(sides: Iterable[Side], what: str) -> tuple[list[str], list[list[str]]]:
    """Return head and rows of the table of full tables.

    Args:
        sides: the sides.
        what: heading of the column of their names.
    """
    return (
        [what, *(quantity(key).heading for key in CEILING)],
        [
            [side.name, *(quantity(key).text(side.ceiling.mean(key)) for key in CEILING)]
            for side in sides
        ],
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a markdown table whose first column is text."""
    return tabulate(
        [[cell.replace("|", "\\|") for cell in row] for row in rows],
        headers=[cell.replace("|", "\\|") for cell in head],
        tablefmt="pipe",
        colalign=["left", *["right"] * (len(head) - 1)],
        disable_numparse=True,
    )
