"""The board: everything that a results folder says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench.board.backbones import Across, across
from bench.board.build import gather, split_up
from bench.board.measure import measure, tidy
from bench.board.model import Group
from bench.records import per_user
from bench.records.scan import Rejected, scan
from bench.records.schema import Record


@dataclass(frozen=True)
class Board:
    """Everything that a results folder says.

    Attributes:
        results: the folder.
        frame: one row per run, of any status, with one column per quantity.
        records: the good records, by path.
        rejected: files that are no good, with reasons.
        groups: by split and backbone.
        across: by split, backbones side by side, where there are several.
    """

    results: Path
    frame: pd.DataFrame
    records: tuple[Record, ...]
    rejected: tuple[Rejected, ...]
    groups: tuple[Group, ...]
    across: tuple[Across, ...]


def load(results: Path, *, history: bool = False) -> Board:
    """Read a results folder into boards.

    Args:
        results: the folder; may be empty or missing.
        history: keep the per-epoch history of the records, which learning curves need.

    Returns:
        The board; what it says depends on the records alone, not on their order or time.

    Raises:
        BenchError: a `board.json` that cannot be read.
    """
    scanned = scan(results, history=history)
    rejected = list(scanned.rejected)
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
    groups = tuple(gather(list(chosen), results, measured, users) for chosen in split_up(records))
    return Board(
        results,
        tidy(records, measured),
        tuple(records),
        tuple(rejected),
        groups,
        across(groups),
    )
