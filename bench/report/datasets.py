"""Data sets side by side: tables and sentences, as markdown, CSV, LaTeX and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench.board import AcrossDatasets, Boards
from bench.board.datasets import LEAST
from bench.board.quantities import quantity
from bench.board.shares import Kept, Place
from bench.board.stats import ALPHA
from bench.report.sides import HEAD, ceilings, lines, shared_references, signs, table
from bench.report.tables import interval, p_text, tex, to_csv

EXPLANATION = (
    "NDCG@20 in percent of what the full table reaches on the same data, with the 95 % interval of "
    "that share. Budgets are shares of the bytes of the full table. Of several rows of a method at "
    "a budget, validation chose one, among the ranked ones if there are any. "
    "‡ not better than the reference ranking; * seeds missing, therefore not ranked."
)
"""How the tables are to be read."""


@dataclass(frozen=True)
class Table:
    """A table of the section.

    Attributes:
        caption: what stands above it.
        head: headings; the first column is text, the others are numbers.
        rows: its cells.
    """

    caption: str
    head: list[str]
    rows: list[list[str]]


def title(one: AcrossDatasets) -> str:
    """Return the heading of the section."""
    return f"Data sets side by side · {one.backbone}"


def about(one: AcrossDatasets) -> str:
    """Return the sentence on what may differ between the data sets and on what is left out."""
    text = "Settings of training may differ between data sets; each board states its own."
    return text + (f" Left out: {', '.join(one.left_out)}." if one.left_out else "")


def notes(one: AcrossDatasets) -> list[tuple[str, str]]:
    """Return name and note of the data sets that have a note."""
    return [(side.name, side.board.note) for side in one.sides if side.board.note]


def tables(one: AcrossDatasets) -> Iterator[Table]:
    """Yield the table of full tables, then one for each budget that several data sets have."""
    yield Table("Full tables", *ceilings(one.sides, "Data set"))
    for place, label in _budgets(one):
        head = ["Kept (%)", *_names(one)]
        yield Table(f"Budget {label} of the bytes", head, _rows(one, place))


def _budgets(one: AcrossDatasets) -> list[tuple[Place, str]]:
    return [
        (place, label)
        for place, label in one.budgets
        if sum(place in side.places for side in one.sides) > 1
    ]


def _rows(one: AcrossDatasets, place: Place) -> list[list[str]]:
    rows = [
        [name, *(cell(side.find(place, method)) for side in one.sides)]
        for method, name in one.methods(place)
    ]
    for name, found in shared_references(one.sides):
        shown = zip(one.sides, found, strict=True)
        rows.append([name, *(cell(kept) if place in s.places else "" for s, kept in shown)])
    return rows


def cell(kept: Kept | None) -> str:
    """Return what a cell of a table says; empty without a run."""
    if kept is None:
        return ""
    ends = interval(kept.low, kept.high, ".1f")
    return quantity("share").text(kept.ndcg) + signs(kept) + (f" ({ends})" if ends else "")


def rank_table(one: AcrossDatasets) -> Table | None:
    """Return the table of average ranks; None without any."""
    if one.ranking is None:
        return None
    rows = [
        [one.titles[name], *(f"{rank:.2f}" for rank in one.ranks[name]), f"{mean:.2f}"]
        for name, mean in zip(one.ranking.names, one.ranking.ranks, strict=True)
    ]
    head = ["Rank ↓", *_names(one), "Average"]
    return Table("Average rank over data sets", head, rows)


def rank_text(one: AcrossDatasets) -> str:
    """Return the sentences on how the ranks were made, and which differ by more than chance."""
    shared = ", ".join(label for _, label in one.shared)
    count = len(one.sides)
    if not shared:
        return f"No average ranks: the {count} data sets have no budget in common."
    if one.ranking is None:
        return (
            f"No average ranks: fewer than two methods have a ranked row on all {count} data sets"
            f" at {shared}."
        )
    text = (
        f"Methods with a ranked row on all {count} data sets at {shared}. The rank on a data set is"
        " the mean over these budgets of the ranks by NDCG@20 among the methods of this table."
    )
    if one.unranked:
        text += f" Without a rank: {'; '.join(one.unranked)}."
    if one.ranking.p is None or one.ranking.critical is None:
        return f"{text} There is no test with fewer than {LEAST} data sets."
    known = f"Friedman's test over {count} data sets gives {p_text(one.ranking.p)}"
    if one.ranking.p >= ALPHA:
        return f"{text} {known}: the ranks do not differ by more than chance."
    return (
        f"{text} {known}: the ranks differ. Two methods differ (Nemenyi, 5 %) when their average"
        f" ranks are {one.ranking.critical:.2f} or more apart."
    )


def section(one: AcrossDatasets, *, figures: bool) -> Iterator[str]:
    """Yield the lines of the section in markdown.

    Args:
        one: what to show.
        figures: refer to the figures beside the page.
    """
    yield f"## {title(one)}"
    yield ""
    yield EXPLANATION
    yield ""
    yield about(one)
    yield ""
    for name, note in notes(one):
        yield f"**Note on {name}:** {note}"
        yield ""
    if figures:
        yield f"![{title(one)}: accuracy kept versus size](figures/{one.slug}.png)"
        yield ""
    for each in tables(one):
        yield f"{each.caption}:"
        yield ""
        yield table(each.head, each.rows)
        yield ""
    yield "### Average rank over data sets"
    yield ""
    ranked = rank_table(one)
    if ranked is not None:
        if figures and one.ranking and one.ranking.critical is not None:
            yield f"![{title(one)}: average ranks](figures/{one.slug}-ranks.png)"
            yield ""
        yield table(ranked.head, ranked.rows)
        yield ""
    yield rank_text(one)
    yield ""


RANK_HEAD = (
    "method", "title", "dataset", "split", "rank", "average_rank", "data_sets", "friedman_p",
    "critical_difference",
)  # fmt: skip


def rank_lines(one: AcrossDatasets) -> Iterator[tuple[object, ...]]:
    """Yield a line of `RANK_HEAD` for every ranked method and data set."""
    if one.ranking is None:
        return
    for name, mean in zip(one.ranking.names, one.ranking.ranks, strict=True):
        for side, rank in zip(one.sides, one.ranks[name], strict=True):
            yield (
                name, one.titles[name], side.name, side.board.split, rank, mean, one.ranking.boards,
                one.ranking.p, one.ranking.critical,
            )  # fmt: skip


def rank_csv(one: AcrossDatasets) -> str:
    """Return the ranks as CSV."""
    return to_csv(RANK_HEAD, rank_lines(one))


def latex(one: AcrossDatasets) -> str:
    """Return a LaTeX table for each budget, as wide as the text at most.

    Packages booktabs, amssymb, array and adjustbox.
    """
    made = ["% Generated from run records; needs \\usepackage{booktabs,amssymb,array,adjustbox}."]
    for place, label in _budgets(one):
        made += [
            r"\begin{adjustbox}{max width=\textwidth}",
            r"\footnotesize\setlength{\tabcolsep}{3pt}",
            r"\begin{tabular}{@{}l" + "r" * len(one.sides) + "@{}}",
            r"\toprule",
            " & ".join(tex(cell) for cell in (f"Kept (%) at {label}", *_names(one))) + r" \\",
            r"\midrule",
        ]
        for row in _rows(one, place):
            cells = (tex(text).replace("‡", r"$^{\ddagger}$") for text in row)
            made.append(" & ".join(cells) + r" \\")
        made += [r"\bottomrule", r"\end{tabular}", r"\end{adjustbox}", ""]
    made += [f"% {name}: {note}" for name, note in notes(one)]
    return "\n".join(made).rstrip() + "\n"


def _names(one: AcrossDatasets) -> list[str]:
    return [side.name for side in one.sides]


def render_json(boards: Boards) -> str:
    """Return the sections of the boards as JSON text."""
    content = {"schema": 1, "backbones": [_content(one) for one in boards.datasets]}
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _content(one: AcrossDatasets) -> dict[str, Any]:
    return {
        "backbone": one.backbone,
        "left_out": list(one.left_out),
        "datasets": [
            {
                "dataset": side.name,
                "split": side.board.split,
                "note": side.board.note,
                "protocol": dict(side.board.protocol),
            }
            for side in one.sides
        ],
        "rows": [dict(zip(HEAD, line, strict=True)) for line in lines(one)],
        "ranking": _ranking(one),
    }


def _ranking(one: AcrossDatasets) -> dict[str, Any] | None:
    if one.ranking is None:
        return None
    names = one.ranking.names
    return {
        "budgets": [label for _, label in one.shared],
        "datasets": one.ranking.boards,
        "friedman_p": one.ranking.p,
        "critical_difference": one.ranking.critical,
        "groups": [list(names[first : last + 1]) for first, last in one.ranking.groups],
        "methods": [
            {
                "method": name,
                "title": one.titles[name],
                "average_rank": mean,
                "ranks": {s.name: r for s, r in zip(one.sides, one.ranks[name], strict=True)},
            }
            for name, mean in zip(names, one.ranking.ranks, strict=True)
        ],
    }
