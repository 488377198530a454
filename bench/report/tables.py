"""Tables of a board: columns declared once, written as markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import pandas as pd
from tabulate import tabulate

from bench.board import Board, Entry, Group, Leaderboard
from bench.board.quantities import HEADLINE, QUANTITIES, quantity
from bench.board.stats import Comparison

MARKS = {
    "★": "significantly better than every other ranked row (p < 0.05)",
    "†": "does not beat a control of the same size (p < 0.05 needed)",
    "‡": "not better than the reference ranking",
}
"""Signs beside a method, and what they mean."""

_TEX_MARKS = {"★": r"$^{\star}$", "†": r"$^{\dagger}$", "‡": r"$^{\ddagger}$"}
_TEX_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "×": r"$\times$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "µ": r"$\mu$", "Δ": r"$\Delta$",
    "−": r"$-$", "–": "--", "≤": r"$\le$",
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """A column of a leaderboard.

    Attributes:
        key: its name.
        heading: what stands above it.
        text: what stands in it; empty where nothing was measured.
        numeric: right-aligned.
    """

    key: str
    heading: str
    text: Callable[[Group, Entry], str]
    numeric: bool = True


def marks(entry: Entry) -> str:
    """Return the signs of an entry."""
    return (
        ("★" if entry.best else "")
        + ("†" if entry.unbeaten else "")
        + ("‡" if entry.below_reference else "")
    )


def interval(low: float | None, high: float | None, form: str = ".4f") -> str:
    """Return an interval as text; empty where it is missing."""
    if low is None or high is None:
        return ""
    return f"{low:{form}}–{high:{form}}"


def versus(comparison: Comparison | None, *, known: bool) -> str:
    """Return a difference and its corrected p-value as text.

    Args:
        comparison: the comparison; None where there is none.
        known: there is something to compare with, so that None means "could not be tested".
    """
    if comparison is None:
        return "n/a" if known else ""
    p = comparison.corrected
    text = f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"
    return f"{comparison.difference:+.4f} ({text})"


def _mean(key: str) -> Column:
    q = quantity(key)
    return Column(key, q.heading, lambda group, entry: q.text(group.number(entry.row, key)))


def _sd(key: str) -> Column:
    def text(group: Group, entry: Entry) -> str:
        number = entry.row.numbers.get(key)
        return quantity(key).text(number.sd if number else None)

    return Column(f"{key}_sd", "sd", text)


def _interval(key: str) -> Column:
    def text(group: Group, entry: Entry) -> str:
        number = entry.row.numbers.get(key)
        return interval(number.low, number.high) if number else ""

    return Column(f"{key}_interval", "95 % interval", text)


def leaderboard_columns(board: Leaderboard) -> tuple[Column, ...]:
    """Return the columns of a leaderboard of one budget."""

    def best(group: Group, entry: Entry) -> str:
        return versus(entry.against_best, known=entry.rank not in (None, 1))

    def control(group: Group, entry: Entry) -> str:
        is_control = entry.row.label == board.control
        known = bool(board.control) and entry.rank is not None and not is_control
        return versus(entry.against_control, known=known)

    return (
        Column("rank", "Rank", lambda group, entry: str(entry.rank or "")),
        Column("method", "Method", lambda group, entry: f"{entry.row.label}{marks(entry)}", False),
        _mean(HEADLINE),
        _interval(HEADLINE),
        _sd(HEADLINE),
        _mean("recall@20"),
        Column("seeds", "Seeds", lambda group, entry: str(len(entry.row.seeds))),
        _mean("values"),
        _mean("bytes"),
        _mean("compression"),
        _mean("share"),
        Column("against_best", "Δ to best", best),
        Column("against_control", "Δ to control", control),
    )


def wide_columns() -> tuple[Column, ...]:
    """Return the columns of the table of everything else that was measured."""
    shown = {HEADLINE, "recall@20", "values", "bytes", "compression", "share"}
    return (
        Column("method", "Method", lambda group, entry: entry.row.label, False),
        *(_mean(q.key) for q in QUANTITIES if q.key not in shown),
    )


def markdown(group: Group, entries: Iterable[Entry], columns: Sequence[Column]) -> str:
    """Return a markdown table; columns that are empty throughout are left out."""
    rows = [[column.text(group, entry) for column in columns] for entry in entries]
    keep = [i for i, c in enumerate(columns) if c.key == "method" or any(row[i] for row in rows)]
    return tabulate(
        [[row[i].replace("|", "\\|") for i in keep] for row in rows],
        headers=[columns[i].heading for i in keep],
        tablefmt="pipe",
        colalign=["right" if columns[i].numeric else "left" for i in keep],
        disable_numparse=True,
    )


def group_csv(group: Group) -> str:
    """Return every row of a group as CSV: means as they are, with sd, interval and n."""
    head = [
        "dataset", "split", "backbone", "passport", "budget", "cap", "accounting", "rank",
        "method", "title", "role", "row", "seeds", "reason", "marks",
        "best_difference", "best_low", "best_high", "best_p", "best_p_holm",
        "control_difference", "control_low", "control_high", "control_p", "control_p_holm",
    ]  # fmt: skip
    for q in QUANTITIES:
        head += [q.key, f"{q.key}_sd", f"{q.key}_low", f"{q.key}_high", f"{q.key}_n"]
    rows = []
    for board, entry in group.rows():
        row = entry.row
        line: list[object] = [
            group.dataset, group.split, group.backbone, group.passport_hash,
            board.label if board else "", board.cap if board else None,
            board.accounting if board else "", entry.rank,
            row.method, row.label, row.role, row.key, len(row.seeds), entry.reason, marks(entry),
        ]  # fmt: skip
        for c in (entry.against_best, entry.against_control):
            line += [c.difference, c.low, c.high, c.p, c.corrected] if c else [None] * 5
        for q in QUANTITIES:
            number = row.numbers.get(q.key)
            if number is None:
                line += [group.number(row, q.key), None, None, None, None]
            else:
                line += [number.mean, number.sd, number.low, number.high, number.n]
        rows.append(line)
    return to_csv(head, rows)


def runs_csv(board: Board) -> str:
    """Return the tidy frame, one row per run, as CSV."""
    frame: pd.DataFrame = board.frame
    return frame.to_csv(index=False, lineterminator="\n")


def to_csv(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return CSV text; missing numbers are empty, others have ten significant digits."""

    def cell(value: object) -> object:
        if isinstance(value, float):
            return format(value, ".10g") if math.isfinite(value) else ""
        return "" if value is None else value

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([cell(value) for value in row] for row in rows)
    return out.getvalue()


def tex(text: str) -> str:
    """Return text with the characters that LaTeX would misread escaped."""
    return "".join(_TEX_SPECIAL.get(letter, letter) for letter in text)


def latex(group: Group) -> str:
    """Return a group's leaderboards as one LaTeX table (packages booktabs and amssymb).

    The best mean of each budget is bold.
    """
    keys = ("bytes", "compression", HEADLINE, "recall@20", "share")
    head = " & ".join(["Method", *(tex(quantity(k).heading) for k in keys)])
    lines = [
        "% Generated from run records; needs \\usepackage{booktabs}.",
        r"\begin{tabular}{l" + "r" * len(keys) + "}",
        r"\toprule",
        head + r" \\",
    ]

    def row(entry: Entry, bold: frozenset[str] = frozenset()) -> str:
        cells = [tex(entry.row.label) + "".join(_TEX_MARKS[m] for m in marks(entry))]
        for key in keys:
            text = tex(quantity(key).text(group.number(entry.row, key)))
            number = entry.row.numbers.get(key)
            if key in (HEADLINE, "recall@20") and number and number.sd is not None:
                text = rf"\textbf{{{text}}}" if key in bold else text
                text += rf"\,{{\scriptsize$\pm${number.sd:.4f}}}"
            elif key in bold:
                text = rf"\textbf{{{text}}}"
            cells.append(text)
        return " & ".join(cells) + r" \\"

    top = [entry for board, entry in group.rows() if board is None]
    if top:
        lines += [r"\midrule", *(row(entry) for entry in top)]
    for board in group.boards:
        title = tex(f"Budget {board.label}")
        lines += [r"\midrule", rf"\multicolumn{{{len(keys) + 1}}}{{l}}{{\emph{{{title}}}}} \\"]
        for entry in board.entries:
            bold = frozenset(
                key
                for key in (HEADLINE, "recall@20")
                if entry.row.mean(key) == max(e.row.mean(key) or 0.0 for e in board.entries)
            )
            lines.append(row(entry, bold))
        for gap in board.gaps:
            if gap.status == "infeasible":
                unit = board.accounting
                need = f" (needs {gap.minimum:,} {unit})" if gap.minimum is not None else ""
                empty = " &" * len(keys)
                lines.append(tex(f"{gap.title}{need}") + empty + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    note = f" {group.note}" if group.note else ""
    lines.append(f"% {group.name}.{note} Protocol passport {group.passport_hash}.")
    return "\n".join(lines) + "\n"
