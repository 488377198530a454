"""Reading a results folder into boards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench.board import longer
from bench.board.backbones import SideBySide, side_by_side
from bench.board.build import build, by_board
from bench.board.datasets import AcrossDatasets, across_datasets
from bench.board.measure import measure, tidy
from bench.board.model import Board
from bench.records import per_user
from bench.records.scan import Rejected, scan
from bench.records.schema import Record


@dataclass(frozen=True)
class Boards:
    """Everything that a results folder says.

    Attributes:
        results: the folder.
        frame: one row per run, of any status, with one column per quantity.
        records: the good records, by path.
        rejected: files that are no good, with reasons.
        boards: by split and backbone.
        backbones: by split, backbones side by side, where there are several.
        datasets: by backbone, data sets side by side, where there are several.
    """

    results: Path
    frame: pd.DataFrame
    records: tuple[Record, ...]
    rejected: tuple[Rejected, ...]
    boards: tuple[Board, ...]
    backbones: tuple[SideBySide, ...]
    datasets: tuple[AcrossDatasets, ...]

    @property
    def unused(self) -> str:
        """What an error says if files were found and none of them is a record; "" otherwise."""
        if self.records or not self.rejected:
            return ""
        one = self.rejected[0]
        return f"{len(self.rejected)} files were left out, for example {one.path}: {one.reason}"


def load(results: Path, *, history: bool = False) -> Boards:
    """Read a results folder into boards.

    Args:
        results: the folder; may be empty or missing.
        history: keep the per-epoch history of the records, which learning curves need.

    Returns:
        The boards; what they say depends on the records alone, not on their order or time.

    Raises:
        BenchError: a `board.json` that cannot be read.
    """
    scanned = scan(results, history=history)
    more = longer.read(results)
    rejected = [*scanned.rejected, *more.rejected]
    records: list[Record] = []
    users: dict[str, per_user.PerUser] = {}
    for record in scanned.records:
        if record.status == "ok":
            try:
                scores = per_user.read(results, record)
            except ValueError as error:
                rejected.append(Rejected(record.path, str(error)))
                continue
            if scores is not None:
                users[record.id] = scores
        records.append(record)
    rejected.sort(key=lambda r: r.path)
    measured = {record.id: measure(record, users.get(record.id)) for record in records}
    longer_runs = longer.by_row(more.records)
    boards = tuple(
        build(list(chosen), results, measured, users, longer_runs) for chosen in by_board(records)
    )
    return Boards(
        results,
        tidy(records, measured),
        tuple(records),
        tuple(rejected),
        boards,
        side_by_side(boards),
        across_datasets(boards),
    )
