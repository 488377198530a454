"""The figures of a leaderboard, each as PNG and SVG with its data as CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg

from bench.board import Board, Boards
from bench.report.figures.bytes_by_kind import spend
from bench.report.figures.kept import kept, kept_of_datasets
from bench.report.figures.layout import Chart, settings
from bench.report.figures.learning import learned, learning
from bench.report.figures.parallel import spread
from bench.report.figures.popularity import popularity
from bench.report.figures.precision import precision
from bench.report.figures.ranks import ranks
from bench.report.figures.sizes import sizes
from bench.report.figures.style import Style, styles
from bench.report.popularity import profiles
from bench.report.precision import cells
from bench.report.tables import to_csv

ENDINGS = ("png", "svg", "csv")


def draw(boards: Boards, out: Path) -> list[Path]:
    """Write all figures of the boards below a folder.

    Args:
        boards: loaded with its history, or there are no learning curves.
        out: the folder, which exists.

    Returns:
        The files written.
    """
    looks = styles(
        (entry.row.method, entry.row.role) for board in boards.boards for _, entry in board.rows()
    )
    makers = [maker for board in boards.boards for maker in _makers(board, looks)]
    makers += [(one.slug, partial(kept, one, looks)) for one in boards.backbones]
    for across in boards.datasets:
        makers.append((across.slug, partial(kept_of_datasets, across, looks)))
        if across.ranking is not None and across.ranking.critical is not None:
            makers.append((f"{across.slug}-ranks", partial(ranks, across)))

    def make(index: int) -> None:
        name, maker = makers[index]
        with settings():
            _write(maker(), out / name)

    spread(make, len(makers))
    return [out / f"{name}.{ending}" for name, _ in makers for ending in ENDINGS]


def _makers(board: Board, looks: Mapping[str, Style]) -> Iterator[tuple[str, Callable[[], Chart]]]:
    """Yield the name and the maker of each figure of a board that has something to show."""
    if board.curves:
        for size in ("bytes", "values"):
            yield f"{board.slug}-{size}", partial(sizes, board, looks, size)
    if any(leaderboard.entries for leaderboard in board.leaderboards):
        yield f"{board.slug}-spend", partial(spend, board)
    if cells(board):
        yield f"{board.slug}-precision", partial(precision, board, looks)
    if profiles(board):
        yield f"{board.slug}-popularity", partial(popularity, board, looks)
    if any(learned(board)):
        yield f"{board.slug}-learning", partial(learning, board, looks)


def _write(chart: Chart, path: Path) -> None:
    FigureCanvasAgg(chart.figure)
    png, svg, data = (path.with_name(f"{path.name}.{ending}") for ending in ENDINGS)
    # No program name and no date in the files: the same records give the same bytes.
    chart.figure.savefig(png, metadata={"Software": None}, pil_kwargs={"compress_level": 2})
    chart.figure.savefig(svg, metadata={"Date": None, "Creator": None})
    data.write_bytes(to_csv(chart.head, chart.rows).encode())
