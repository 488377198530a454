"""What `bench thresholds` shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bench.cli.grid import Column, Grid, number

if TYPE_CHECKING:
    from bench.studies.thresholds import Look


def thresholds(looks: Mapping[bool, Sequence[Look]]) -> Grid:
    """Thresholds after each epoch of a search with (True) and without (False) their decay."""
    grid = Grid(
        "Thresholds in the search",
        (
            Column("decay"),
            number("epoch"),
            number("threshold"),
            number("95 % / 5 %"),
            number("kept"),
            number("of the largest", leaves=4),
            number("empty users", leaves=2),
            number("empty items", leaves=1),
            number("columns in common", leaves=3),
        ),
    )
    for decay, rows in looks.items():
        grid.section()
        for one in rows:
            grid.add(
                "yes" if decay else "no",
                str(one.epoch),
                f"{one.threshold:.2e}",
                f"{one.spread:.3f}",
                f"{one.kept:.1%}",
                f"{one.overlap:.1%}",
                f"{one.empty_users:.1%}",
                f"{one.empty_items:.1%}",
                f"{one.common:.1f}",
            )
    return grid
