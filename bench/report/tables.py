"""Tables of a board: columns declared once, written as markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass

import pandas as pd
from tabulate import tabulate

from bench.board import Board, Boards, Entry, Leaderboard
from bench.board.quantities import HEADLINE, QUANTITIES, quantity
from bench.board.stats import Comparison

MARKS = {
    "★": "better than the control of the same size by more than noise (p < 0.05)",
    "†": "not better than the control by more than noise",
    "‡": "its mean is not better than that of the reference ranking",
    "↗": "still improving: half as many passes again gain more than 1 % on validation data; where "
    "that was not measured, its best pass is the last one and the last fifth gained more than 1 %",
}
"""Signs beside a method, and what they mean."""

_TEX_KEYS = ("bytes", HEADLINE, "recall@20", "share")
_TEX_BOLD = (HEADLINE, "recall@20")
_TEX_PAGE = 45  # rows, of which some take several lines
_TEX_MARKS = {
    "★": r"$^{\star}$",
    "†": r"$^{\dagger}$",
    "‡": r"$^{\ddagger}$",
    "↗": r"$^{\nearrow}$",
}
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
    text: Callable[[Board, Entry], str]
    numeric: bool = True


def marks(entry: Entry) -> str:
    """Return the signs of an entry."""
    found = {True: "★", False: "†", None: ""}[entry.beats_control]
    found += "‡" if entry.below_reference else ""
    return found + ("↗" if entry.row.improving else "")


def interval(low: float | None, high: float | None, form: str = ".4f") -> str:
    """Return an interval as text; empty where it is missing."""
    if low is None or high is None:
        return ""
    return f"{low:{form}}–{high:{form}}"


def versus(comparison: Comparison | None) -> str:
    """Return a difference as text, with its corrected p-value if it was tested."""
    if comparison is None:
        return ""
    p = comparison.corrected
    if p is None:
        return f"{comparison.difference:+.4f}"
    return f"{comparison.difference:+.4f} ({p_text(p)})"


def p_text(p: float) -> str:
    """Return a p-value as text."""
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"


def _mean(key: str) -> Column:
    q = quantity(key)
    return Column(key, q.heading, lambda board, entry: q.text(board.number(entry.row, key)))


def _sd(key: str) -> Column:
    def text(board: Board, entry: Entry) -> str:
        number = entry.row.numbers.get(key)
        return quantity(key).text(number.sd if number else None)

    return Column(f"{key}_sd", "sd", text)


def _interval(key: str) -> Column:
    def text(board: Board, entry: Entry) -> str:
        number = entry.row.numbers.get(key)
        return interval(number.low, number.high) if number else ""

    return Column(f"{key}_interval", "95 % interval", text)


def leaderboard_columns(leaderboard: Leaderboard) -> tuple[Column, ...]:
    """Return the columns of a leaderboard of one budget."""
    control = leaderboard.control.label if leaderboard.control else "control"
    counted = any(entry.row.mean("trials") is not None for entry in leaderboard.entries)
    return (
        Column("rank", "Rank", lambda board, entry: str(entry.rank or "")),
        Column("method", "Method", lambda board, entry: f"{entry.row.label}{marks(entry)}", False),
        Column("outcome", "Structure", lambda board, entry: entry.row.first.method.outcome, False),
        _mean(HEADLINE),
        _interval(HEADLINE),
        _sd(HEADLINE),
        _mean("recall@20"),
        Column("seeds", "Seeds", lambda board, entry: str(len(entry.row.seeds))),
        *([_mean("trials")] if counted else []),
        _mean("values"),
        _mean("bytes"),
        _mean("compression"),
        _mean("share"),
        _mean("passes"),
        _mean("train_s"),
        Column("against_best", "Δ to best", lambda board, entry: versus(entry.against_best)),
        Column(
            "against_control",
            f"Δ to {control}",
            lambda board, entry: versus(entry.against_control),
        ),
    )


def wide_columns() -> tuple[Column, ...]:
    """Return the columns of the table of everything else that was measured."""
    shown = {HEADLINE, "recall@20", "values", "bytes", "compression", "share", "passes", "train_s"}
    return (
        Column("method", "Method", lambda board, entry: entry.row.label, False),
        *(_mean(q.key) for q in QUANTITIES if q.key not in shown),
    )


def markdown(board: Board, entries: Iterable[Entry], columns: Sequence[Column]) -> str:
    """Return a markdown table; columns that are empty throughout are left out."""
    rows = [[column.text(board, entry) for column in columns] for entry in entries]
    keep = [i for i, c in enumerate(columns) if c.key == "method" or any(row[i] for row in rows)]
    return tabulate(
        [[row[i].replace("|", "\\|") for i in keep] for row in rows],
        headers=[columns[i].heading for i in keep],
        tablefmt="pipe",
        colalign=["right" if columns[i].numeric else "left" for i in keep],
        disable_numparse=True,
    )


def board_csv(board: Board) -> str:
    """Return every row of a board as CSV: means as they are, with sd, interval and n."""
    head = [
        "dataset", "split", "backbone", "passport", "budget", "cap", "accounting", "rank",
        "method", "title", "role", "row", "seeds", "reason", "marks",
        "best_difference", "best_low", "best_high", "best_p", "best_p_tukey",
        "control_difference", "control_low", "control_high", "control_p", "control_p_holm",
    ]  # fmt: skip
    for q in QUANTITIES:
        head += [q.key, f"{q.key}_sd", f"{q.key}_low", f"{q.key}_high", f"{q.key}_n"]
    rows = []
    for leaderboard, entry in board.rows():
        row = entry.row
        line: list[object] = [
            board.dataset, board.split, board.backbone, board.protocol_hash,
            leaderboard.label if leaderboard else "", leaderboard.cap if leaderboard else None,
            leaderboard.accounting if leaderboard else "", entry.rank,
            row.method, row.label, row.role, row.key, len(row.seeds), entry.reason, marks(entry),
        ]  # fmt: skip
        for c in (entry.against_best, entry.against_control):
            line += [c.difference, c.low, c.high, c.p, c.corrected] if c else [None] * 5
        for q in QUANTITIES:
            number = row.numbers.get(q.key)
            if number is None:
                line += [board.number(row, q.key), None, None, None, None]
            else:
                line += [number.mean, number.sd, number.low, number.high, number.n]
        rows.append(line)
    return to_csv(head, rows)


def runs_csv(boards: Boards) -> str:
    """Return the tidy frame, one row per run, as CSV."""
    frame: pd.DataFrame = boards.frame.map(harmless)
    return frame.to_csv(index=False, lineterminator="\n")


def harmless(value: object) -> object:
    """Return a cell that no spreadsheet takes for a formula; numbers stay numbers."""
    dangerous = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{value}" if dangerous else value


def to_csv(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return CSV text; missing numbers are empty, others have ten significant digits."""

    def cell(value: object) -> object:
        value = harmless(value)
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


def latex(board: Board) -> str:
    """Return a board's leaderboards as one LaTeX table that is as wide as the text at most.

    Packages booktabs, amssymb, array and adjustbox; a table that is longer than a page is a
    longtable. Names of methods take several lines where they are long. The best mean of each
    budget is bold.
    """
    rows = [_tex_row(board, entry) for leaderboard, entry in board.rows() if leaderboard is None]
    for leaderboard in board.leaderboards:
        rows += _tex_budget(board, leaderboard)
    long = len(rows) > _TEX_PAGE
    environment = "longtable" if long else "tabular"
    numbers = (entry.row.numbers.get(HEADLINE) for _, entry in board.rows())
    share = 0.3 if any(one and one.sd is not None for one in numbers) else 0.37
    columns = rf">{{\raggedright\hangindent=1em}}p{{{share}\textwidth}}" + "r" * len(_TEX_KEYS)
    packages = "booktabs,amssymb,array," + ("longtable" if long else "adjustbox")
    note = f" {board.note}" if board.note else ""
    lines = [
        f"% Generated from run records; needs \\usepackage{{{packages}}}.",
        r"\begingroup" if long else r"\begin{adjustbox}{max width=\textwidth}",
        r"\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"\begin{{{environment}}}{{@{{}}{columns}@{{}}}}",
        r"\toprule",
        *_tex_head(),
        r"\midrule" + (r"\endhead" if long else ""),
        *rows,
        r"\bottomrule",
        rf"\end{{{environment}}}",
        r"\endgroup" if long else r"\end{adjustbox}",
        f"% {board.name}.{note} Protocol {board.protocol_hash}.",
    ]
    return "\n".join(lines) + "\n"


def _tex_budget(board: Board, leaderboard: Leaderboard) -> list[str]:
    """Return the rows of a budget under its name."""
    label, span = leaderboard.label, len(_TEX_KEYS) + 1
    title = tex(f"Budget {label}" if leaderboard.cap else label.capitalize())
    rows = [r"\midrule", rf"\multicolumn{{{span}}}{{@{{}}l}}{{\emph{{{title}}}}} \\*"]
    entries = leaderboard.entries
    best = {key: max((e.row.mean(key) or 0.0 for e in entries), default=0.0) for key in _TEX_BOLD}
    for entry in entries:
        bold = {key for key in _TEX_BOLD if entry.row.mean(key) == best[key]}
        rows.append(_tex_row(board, entry, bold))
    for gap in leaderboard.gaps:
        if gap.status == "infeasible":
            unit = leaderboard.accounting
            need = f" (needs {gap.minimum:,} {unit})" if gap.minimum is not None else ""
            rows.append(tex(f"{gap.title}{need}") + " &" * len(_TEX_KEYS) + r" \\")
    return rows


def _tex_head() -> list[str]:
    """Return two lines: labels, and units with the better direction."""
    found = [quantity(key) for key in _TEX_KEYS]
    labels = [q.label if q.unit else f"{q.label} {q.arrow}" for q in found]
    units = [f"({q.unit}) {q.arrow}" if q.unit else "" for q in found]
    heads = (["Method", *labels], ["", *units])
    return [" & ".join(tex(cell.rstrip()) for cell in head) + r" \\" for head in heads]


def _tex_row(board: Board, entry: Entry, bold: Set[str] = frozenset()) -> str:
    cells = [tex(entry.row.label) + "".join(_TEX_MARKS[m] for m in marks(entry))]
    for key in _TEX_KEYS:
        number = entry.row.numbers.get(key)
        text = tex(quantity(key).text(board.number(entry.row, key)))
        text = rf"\textbf{{{text}}}" if key in bold else text
        if key in _TEX_BOLD and number and number.sd is not None:
            text += rf"\,{{\scriptsize$\pm${number.sd:.4f}}}"
        cells.append(text)
    return " & ".join(cells) + r" \\"
