"""Figure of the thresholds in a search, with and without weight decay on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import seaborn as sns
from matplotlib.figure import Figure

from bench.errors import BenchError
from bench.report.figures.layout import WIDTH
from bench.report.figures.style import PALETTE
from bench.studies.thresholds import Look

_PANELS = (
    ("threshold", "Median threshold"),
    ("kept", "Share of entries kept"),
    ("overlap", "… of the largest magnitudes"),
    ("empty_users", "Share of users with no entry"),
)


def draw(looks: Mapping[bool, Sequence[Look]], title: str, path: Path) -> None:
    """Draw the measurements with (True) and without (False) decay, by epoch, into a file.

    Raises:
        BenchError: the file has an unknown format or cannot be written.
    """
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    for axis, (name, label) in zip(figure.subplots(2, 2).ravel(), _PANELS, strict=True):
        for decay, rows in looks.items():
            axis.plot(
                [one.epoch for one in rows],
                [getattr(one, name) for one in rows],
                color=PALETTE[0] if decay else PALETTE[1],
                marker="o" if decay else "s",
                markersize=4,
                label="with decay" if decay else "without decay",
            )
        if name == "threshold":
            axis.set_yscale("log")
            axis.legend(frameon=False)
        else:
            axis.set_ylim(-0.03, 1.03)
        axis.set_title(label, loc="left", fontsize="medium")
        axis.set_xlabel("Epoch of the search")
        sns.despine(ax=axis)
    figure.suptitle(title, x=0.01, ha="left")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise BenchError(f"{path}: {error}") from error
