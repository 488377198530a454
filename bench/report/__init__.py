"""From records to a report: markdown, CSV, LaTeX, figures, JSON and one HTML page."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from bench.board import Boards, load
from bench.errors import BenchError, StoreError
from bench.report import manifest

FORMATS = ("md", "csv", "tex", "html", "figures", "json")
"""What a report can be made of."""


def build(
    results: Path, out: Path, *, formats: Sequence[str] = FORMATS, boards: Boards | None = None
) -> list[Path]:
    """Write a report. What it says is a function of the records alone.

    Args:
        results: folder of run records.
        out: folder to write to; created where it is missing.
        formats: which of `FORMATS`.
        boards: what `load` says of the folder, so that nothing is read twice; without its history
            there are no learning curves.

    Returns:
        The files written, in order. Files that an earlier report wrote into the same folder, and
        that this one has no more, are removed; a file that somebody changed since is left.

    Raises:
        BenchError: an unknown format, no results folder, or an output path that is a file.
    """
    for name in formats:
        if name not in FORMATS:
            raise BenchError(f"unknown report format {name!r}; choose among {', '.join(FORMATS)}")
    if not results.is_dir():
        raise BenchError(f"{results}: no such results folder; `bench leaderboard` makes one")
    check_folder(out)
    if boards is None:
        boards = load(results, history="figures" in formats)
    writers: dict[str, Callable[[Boards, Path], list[Path]]] = {
        "md": partial(_markdown, figures="figures" in formats),
        "csv": _csv,
        "tex": _latex,
        "json": _json,
        "figures": _figures,
        "html": _html,
    }
    before = manifest.read(out)
    made = {name: writers[name](boards, out) for name in FORMATS if name in formats}
    for name, written in made.items():
        manifest.sweep(out, before.get(name, {}), written)
    made_all = [path for written in made.values() for path in written]
    return sorted([*made_all, manifest.write(out, made, before)])


def check_folder(out: Path) -> None:
    """Make the folder of a report, and check that it can be written.

    Raises:
        BenchError: it is a file, or cannot be written.
    """
    if out.exists() and not out.is_dir():
        raise BenchError(f"{out}: is a file; name a folder for the report")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise StoreError(out, error) from None


def _text(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Bytes, not text mode: line ends must not depend on the system.
    path.write_bytes(text.encode())
    return path


def _markdown(boards: Boards, out: Path, *, figures: bool) -> list[Path]:
    from bench.report import markdown

    return [_text(out / "index.md", markdown.render(boards, figures=figures))]


def _csv(boards: Boards, out: Path) -> list[Path]:
    from bench.report import datasets, sides, tables

    folder = out / "tables"
    written = [_text(folder / "runs.csv", tables.runs_csv(boards))]
    written += [_text(folder / f"{g.slug}.csv", tables.board_csv(g)) for g in boards.boards]
    for one in boards.backbones:
        written.append(_text(folder / f"{one.slug}.csv", sides.csv(one)))
    for across in boards.datasets:
        written.append(_text(folder / f"{across.slug}.csv", sides.csv(across)))
        if across.ranking is not None:
            written.append(_text(folder / f"{across.slug}-ranks.csv", datasets.rank_csv(across)))
    return written


def _latex(boards: Boards, out: Path) -> list[Path]:
    from bench.report import datasets, tables

    folder = out / "tables"
    written = [_text(folder / f"{g.slug}.tex", tables.latex(g)) for g in boards.boards]
    return written + [_text(folder / f"{g.slug}.tex", datasets.latex(g)) for g in boards.datasets]


def _json(boards: Boards, out: Path) -> list[Path]:
    from bench.report import backbones, datasets, pareto

    written = [_text(out / "pareto.json", pareto.render(boards))]
    if boards.backbones:
        written.append(_text(out / "backbones.json", backbones.render_json(boards)))
    if boards.datasets:
        written.append(_text(out / "datasets.json", datasets.render_json(boards)))
    return written


def _figures(boards: Boards, out: Path) -> list[Path]:
    # Imported here: matplotlib takes longer to import than all tables to write.
    from bench.report.figures import draw

    folder = out / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    return draw.draw(boards, folder)


def _html(boards: Boards, out: Path) -> list[Path]:
    from bench.report.html import page

    return [_text(out / "index.html", page.render(boards))]
