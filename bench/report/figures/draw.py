"""The figures of a board, each as PNG and SVG with its data as CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg

from bench.board import Board, Group
from bench.report.figures.bytes_by_kind import spend
from bench.report.figures.kept import kept
from bench.report.figures.layout import Chart, settings
from bench.report.figures.learning import learned, learning
from bench.report.figures.parallel import spread
from bench.report.figures.sizes import sizes
from bench.report.figures.style import Style, styles
from bench.report.tables import to_csv

ENDINGS = ("png", "svg", "csv")


def draw(board: Board, out: Path) -> list[Path]:
    """Write all figures of a board below a folder.

    Args:
        board: loaded with its history, or there are no learning curves.
        out: the folder, which exists.

    Returns:
        The files written.
    """
    looks = styles(
        (entry.row.method, entry.row.role) for group in board.groups for _, entry in group.rows()
    )
    makers = [maker for group in board.groups for maker in _makers(group, looks)]
    makers += [(one.slug, partial(kept, one, looks)) for one in board.across]

    def make(index: int) -> None:
        name, maker = makers[index]
        with settings():
            _write(maker(), out / name)

    spread(make, len(makers))
    return [out / f"{name}.{ending}" for name, _ in makers for ending in ENDINGS]


def _makers(group: Group, looks: Mapping[str, Style]) -> Iterator[tuple[str, Callable[[], Chart]]]:
    """Yield the name and the maker of each figure of a group that has something to show."""
    if group.curves:
        for size in ("bytes", "values"):
            yield f"{group.slug}-{size}", partial(sizes, group, looks, size)
    if any(board.entries for board in group.boards):
        yield f"{group.slug}-spend", partial(spend, group)
    if any(learned(group)):
        yield f"{group.slug}-learning", partial(learning, group, looks)


def _write(chart: Chart, path: Path) -> None:
    FigureCanvasAgg(chart.figure)
    png, svg, data = (path.with_name(f"{path.name}.{ending}") for ending in ENDINGS)
    # No program name and no date in the files: the same records give the same bytes.
    chart.figure.savefig(png, metadata={"Software": None}, pil_kwargs={"compress_level": 2})
    chart.figure.savefig(svg, metadata={"Date": None, "Creator": None})
    data.write_bytes(to_csv(chart.head, chart.rows).encode())
