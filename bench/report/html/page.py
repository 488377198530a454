"""The boards as one HTML page that needs nothing but itself."""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jinja2

from bench.board import AcrossDatasets, Board, Boards, Entry, Leaderboard, Row, SideBySide
from bench.board.quantities import CUTOFFS, HEADLINE, QUANTITIES, Quantity, quantity
from bench.board.shares import Place
from bench.board.stats import MARGIN, Comparison
from bench.board.trials import trials_statement
from bench.report import backbones, datasets, markdown, tables
from bench.report.byte_kinds import ARRAY_KINDS, spending
from bench.report.figures.style import DARK, HATCHES, KINDS, SYMBOLS, Style, styles
from bench.report.splits import split_statement

METRICS = (*(f"{m}@{k}" for m in ("ndcg", "recall") for k in CUTOFFS), "coverage@20")
"""What the chart can show."""

SIZES = ("bytes", "values")
_COLUMNS = (HEADLINE, "recall@20", "bytes", "values", "compression", "share")
_PLOTLY = "package_data/plotly.min.js"


def render(boards: Boards) -> str:
    """Return the page.

    Raises:
        FileNotFoundError: the plotly package has no JavaScript.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_own("page.html.j2")).render(
        css=_own("page.css"),
        scripts=[_own(name) for name in ("table.js", "charts.js", "backbones.js", "page.js")],
        plotly=_plotly(),
        data=_embedded(payload(boards)),
        formulas=markdown.FORMULAS,
        methodology=markdown.METHODOLOGY,
        marks=tables.MARKS,
        boards=[
            {
                "title": markdown.title(board),
                "note": board.note,
                "counts": markdown.counts(board),
                "split": f"{split_statement(board)} {markdown.standing(board)}".rstrip(),
                "trials": trials_statement(board),
            }
            for board in boards.boards
        ],
        datasets=[_datasets(one) for one in boards.datasets],
        quantities=QUANTITIES,
        rejected=boards.rejected,
        runs=len(boards.records),
    )


def payload(boards: Boards) -> dict[str, Any]:
    """Return what the page's scripts work on, ready for JSON."""
    looks = styles(
        (entry.row.method, entry.row.role) for board in boards.boards for _, entry in board.rows()
    )
    rows: list[dict[str, Any]] = []
    places: list[dict[str, int]] = [{} for _ in boards.boards]
    shown = [_board(b, number, rows, places[number]) for number, b in enumerate(boards.boards)]
    numbers = {board.slug: number for number, board in enumerate(boards.boards)}
    return {
        "boards": shown,
        "rows": rows,
        "backbones": [_backbones(one, numbers, places) for one in boards.backbones],
        "metrics": METRICS,
        "sizes": SIZES,
        "quantities": [
            _quantity(q)
            for q in sorted(
                QUANTITIES, key=lambda q: _COLUMNS.index(q.key) if q.key in _COLUMNS else 99
            )
        ],
        "styles": {name: _style(style) for name, style in looks.items()},
        # A list: the order is that of the bars.
        "kinds": [
            [kind, {"colour": KINDS.get(kind, "#9A9A9A"), "hatch": HATCHES[kind][:1]}]
            for kind in (*ARRAY_KINDS, "header")
        ],
    }


def _own(name: str) -> str:
    return (files("bench.report.html") / name).read_text(encoding="utf-8")


def _plotly() -> str:
    """Return plotly's JavaScript as base64 of its zlib compression: 1.9 MB instead of 4.8."""
    found = find_spec("plotly")  # not imported: its Python side is not needed
    if found is None or found.origin is None:
        raise FileNotFoundError("plotly is not installed")
    script = (Path(found.origin).parent / _PLOTLY).read_bytes()
    return base64.b64encode(zlib.compress(script, 6)).decode()


def _embedded(value: object) -> str:
    """Return JSON that may stand inside a script element, whatever the records say."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _rounded(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    short = float(f"{value:.7g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short


def _quantity(q: Quantity) -> dict[str, Any]:
    return {
        "key": q.key,
        "heading": q.heading,
        "axis": q.axis,
        "about": q.about,
        "better": q.better,
        "digits": int(q.form[q.form.index(".") + 1 : -1]),
        "shown": q.key in _COLUMNS,
    }


def _style(style: Style) -> dict[str, str]:
    return {
        "colour": style.colour,
        "dark": DARK[style.colour],
        "symbol": SYMBOLS[style.marker],
        "dash": ",".join(f"{2 * length:g}px" for length in style.dashes) or "solid",
    }


def _board(
    board: Board, number: int, rows: list[dict[str, Any]], place: dict[str, int]
) -> dict[str, Any]:
    # Rows are referred to by their place in the list: a key may stand in one board only, but a
    # reference stands in every board of its data.
    for leaderboard, entry in board.rows():
        place[entry.row.key] = len(rows)
        rows.append(_row(board, number, leaderboard, entry))
    return {
        "title": markdown.title(board),
        "slug": board.slug,
        "note": board.note,
        "ceiling": place[board.ceiling.key] if board.ceiling else None,
        "references": [place[row.key] for row in board.references],
        "protocol": {
            "hash": board.protocol_hash,
            "fields": {k: markdown.value_text(v) for k, v in board.protocol.items()},
        },
        "leaderboards": [
            {
                "label": leaderboard.label,
                "title": markdown.budget_title(leaderboard),
                "winner": _winner(leaderboard),
                "notes": [
                    *(markdown.gap_text(gap, leaderboard.accounting) for gap in leaderboard.gaps),
                    *filter(None, [markdown.more_passes(board, leaderboard)]),
                ],
            }
            for leaderboard in board.leaderboards
        ],
        "curves": [
            {
                "method": curve.method,
                "title": curve.title,
                "points": [[place[point.row.key], point.complete] for point in curve.points],
            }
            for curve in board.curves
        ],
        "fronts": {
            f"{size} {metric}": [place[row.key] for row in board.front(size, metric)]
            for size in SIZES
            for metric in METRICS
        },
        "ranking": {
            "rows": list(zip(board.ranking.names, board.ranking.ranks, strict=True)),
            "text": markdown.ranking_text(board),
        }
        if board.ranking
        else None,
    }


def _winner(leaderboard: Leaderboard) -> str:
    """Return the sentence on the first row of a budget; empty where no row is ranked."""
    if not leaderboard.entries:
        return ""
    first, *others = leaderboard.entries
    score = quantity(HEADLINE).text(first.row.mean(HEADLINE))
    text = f"{leaderboard.label}: {first.row.label} is first with {score}"
    compared = [(one.row.label, one.against_best) for one in others]
    known = [(name, found) for name, found in compared if found is not None]
    best = first.row.mean(HEADLINE) or 0.0
    close = [name for name, found in known if found.close(best)]
    unsure = [name for name, found in known if found.unsure and not found.close(best)]
    if close:
        text += f"; at most {100 * MARGIN:.0f} % behind, within noise: {', '.join(close)}"
    if unsure:
        text += f"; further behind, but not significantly: {', '.join(unsure)}"
    if any(found is None or not found.tested for _, found in compared):
        text += "; not all differences could be tested"
    elif others and not (close or unsure):
        text += ", better than every other row by more than noise"
    if first.below_reference:
        text += "; no row is better than the ranking by popularity"
    return f"{text}."


def _backbones(
    one: SideBySide, numbers: Mapping[str, int], places: Sequence[Mapping[str, int]]
) -> dict[str, Any]:
    sides = []
    for side in one.sides:
        place = places[numbers[side.board.slug]]
        sides.append(
            {
                "title": side.name,
                "ceiling": place[side.ceiling.key],
                "references": [place[kept.row.key] for kept in side.references],
                "points": [
                    {
                        "row": place[kept.row.key],
                        "method": kept.row.method,
                        "label": kept.budget,
                        "budget": _name(kept.place),
                        "complete": kept.complete,
                    }
                    for kept in side.kept
                ],
            }
        )
    return {
        "boards": [
            numbers[one.slug_of(name)] for name in (*(s.name for s in one.sides), *one.left_out)
        ],
        "about": f"Protocol shared by the backbones: {one.protocol_hash}{backbones.left_out(one)}.",
        "sides": sides,
        "budgets": [
            {"key": _name(cap), "label": label, "methods": one.methods(cap)}
            for cap, label in one.budgets
        ],
        "methods": sorted({method for cap, _ in one.budgets for method in one.methods(cap)}),
    }


def _datasets(one: AcrossDatasets) -> dict[str, Any]:
    ranks = datasets.rank_table(one)
    return {
        "title": datasets.title(one),
        "explanation": datasets.EXPLANATION,
        "about": datasets.about(one),
        "notes": datasets.notes(one),
        "tables": [*datasets.tables(one), *([ranks] if ranks else [])],
        "ranks": datasets.rank_text(one),
    }


def _name(cap: Place) -> str:
    return f"{cap[1]} {cap[0]}"


def _row(
    board: Board, number: int, leaderboard: Leaderboard | None, entry: Entry
) -> dict[str, Any]:
    row = entry.row
    spec = row.first.spec
    return {
        "board": number,
        "budget": leaderboard.label if leaderboard else "",
        "cap": leaderboard.cap if leaderboard else None,
        "rank": entry.rank,
        "label": row.label,
        "method": row.method,
        "role": row.role,
        "paper": row.first.method.paper or "",
        "outcome": row.first.method.outcome,
        "marks": tables.marks(entry),
        "reason": entry.reason,
        "key": row.key,
        "numbers": _numbers(board, row),
        "best": _versus(entry.against_best),
        "control": _versus(entry.against_control),
        "protocol": {k: markdown.value_text(v) for k, v in row.protocol.items()},
        "config": {k: markdown.value_text(v) for k, v in sorted(spec.method.config.items())},
        "training": {k: markdown.value_text(v) for k, v in sorted((spec.training or {}).items())},
        "revision": spec.method.revision,
        "spend": spending(entry),
        "phases": _phases(row),
        "runs": [_run(record.model_dump(include=_RUN)) for record in row.records],
    }


_RUN = {"id", "path", "command", "env", "finished", "spec", "metrics", "timings"}


def _run(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": record["id"],
        "path": record["path"],
        "command": record["command"],
        "seed": record["spec"]["seed"],
        "finished": record["finished"] or "",
        "ndcg": _rounded(record["metrics"]["test"]["ndcg@20"]),
        "recall": _rounded(record["metrics"]["test"]["recall@20"]),
        "shared": bool(record["timings"] and record["timings"]["parallel"]),
        "env": {k: markdown.value_text(v) for k, v in sorted(record["env"].items())},
    }


def _phases(row: Row) -> str:
    return "; ".join(
        f"{phase.name}: {phase.epochs} epochs"
        + (f", best {phase.best_epoch}" if phase.best_epoch is not None else "")
        + (f", ended by {phase.stopped}" if phase.stopped else "")
        for phase in row.first.phases
    )


def _numbers(board: Board, row: Row) -> dict[str, list[float | int | None]]:
    found: dict[str, list[float | int | None]] = {}
    for q in QUANTITIES:
        number = row.numbers.get(q.key)
        if number is not None:
            low, high = _rounded(number.low), _rounded(number.high)
            found[q.key] = [_rounded(number.mean), low, high, _rounded(number.sd), number.n]
        elif (mean := _rounded(board.number(row, q.key))) is not None:
            found[q.key] = [mean, None, None, None, len(row.records)]
    return found


def _versus(comparison: Comparison | None) -> dict[str, Any]:
    text, _, p = tables.versus(comparison).partition(" (")
    difference = _rounded(comparison.difference) if comparison else None
    return {"text": text, "p": p.rstrip(")"), "difference": difference}
