"""The one table of quantities: every header, axis, tooltip and CSV column derives from it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

CUTOFFS = (5, 10, 20, 50)
"""The k of Recall@k and NDCG@k."""

HEADLINE = "ndcg@20"
"""The quantity that ranks a board."""

FIFTHS = ("least", "2nd", "3rd", "4th", "most")
"""Names of the popularity and activity quintiles, 0 to 4."""


@dataclass(frozen=True)
class Quantity:
    """One thing that a board can show.

    Attributes:
        key: name of the column in the frame and in CSV files.
        label: short name for headers and axes.
        unit: unit of the number, empty for a pure number.
        better: "higher", "lower", or "" where neither is.
        form: format specification of one value; of a mean over seeds too.
        about: one sentence that says what it is, for tooltips and the glossary.
        path: where the number stands in a run record; empty where it is derived.
        timing: measured by the clock, thus left empty for runs that shared the machine.
    """

    key: str
    label: str
    unit: str
    better: str
    form: str
    about: str
    path: tuple[str, ...] = ()
    timing: bool = False

    @property
    def arrow(self) -> str:
        """Return the sign of the better direction, empty where there is none."""
        return {"higher": "↑", "lower": "↓"}.get(self.better, "")

    @property
    def axis(self) -> str:
        """Return the label with its unit, for an axis."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    @property
    def heading(self) -> str:
        """Return the label with its unit and direction, for the head of a column."""
        return f"{self.axis} {self.arrow}".rstrip()

    def text(self, value: float | None) -> str:
        """Return a value as it is shown; a missing one is empty, never 0."""
        if value is None or not math.isfinite(value):
            return ""
        return format(float(value), self.form)


def _accuracy() -> Iterable[Quantity]:
    for metric, what in (
        ("ndcg", "normalised discounted cumulative gain of the first {k} items"),
        ("recall", "share of a user's test items among the first {k}"),
    ):
        name = {"ndcg": "NDCG", "recall": "Recall"}[metric]
        for k in sorted(CUTOFFS, key=lambda k: (k != 20, k)):
            about = f"Mean over test users of the {what.format(k=k)}; full ranking."
            key = f"{metric}@{k}"
            path = ("metrics", "test", key)
            yield Quantity(key, f"{name}@{k}", "", "higher", ".4f", about, path)


def _slices() -> Iterable[Quantity]:
    for q, word in enumerate(FIFTHS):
        yield Quantity(
            f"items_{q + 1}",
            f"Hits, {word} popular items",
            "",
            "higher",
            ".4f",
            f"Share of the test interactions with the {word} popular of five groups of items"
            " that are among the user's first 20. Each group has a fifth of the training"
            " interactions.",
        )
    for q, word in enumerate(FIFTHS):
        yield Quantity(
            f"users_{q + 1}",
            f"Recall@20, {word} active users",
            "",
            "higher",
            ".4f",
            f"Recall@20 over the {word} active fifth of the users (by train interactions).",
        )


QUANTITIES: tuple[Quantity, ...] = (
    Quantity(
        "values",
        "Stored values",
        "",
        "lower",
        ",.0f",
        "Numbers in the packed embedding; masks and indices are free in this accounting.",
        ("size", "values"),
    ),
    Quantity(
        "bytes",
        "Stored size",
        "bytes",
        "lower",
        ",.0f",
        "Every packed array (values, indices, masks, codes) and the container's header.",
        ("size", "bytes"),
    ),
    Quantity(
        "file_bytes",
        "File on disk",
        "bytes",
        "lower",
        ",.0f",
        "Size of the stored file, measured.",
        ("size", "file_bytes"),
    ),
    Quantity(
        "compression",
        "Compression",
        "×",
        "higher",
        ",.1f",
        "Bytes of the full float32 table over stored bytes.",
    ),
    Quantity(
        "share",
        "NDCG@20 kept",
        "%",
        "higher",
        ".1f",
        "NDCG@20 as a share of that of the uncompressed table on the same board.",
    ),
    Quantity(
        "share_recall",
        "Recall@20 kept",
        "%",
        "higher",
        ".1f",
        "Recall@20 as a share of that of the uncompressed table on the same board.",
    ),
    *_accuracy(),
    Quantity(
        "valid_ndcg@20",
        "NDCG@20 (validation)",
        "",
        "higher",
        ".4f",
        "NDCG@20 on the validation split, by which the epoch was chosen.",
        ("metrics", "valid", "ndcg@20"),
    ),
    Quantity(
        "coverage@20",
        "Coverage@20",
        "",
        "higher",
        ".3f",
        "Share of all items that are among the first 20 of at least one user.",
        ("metrics", "test", "coverage@20"),
    ),
    *_slices(),
    Quantity(
        "lookup_1",
        "Lookup, batch 1",
        "rows/s",
        "higher",
        ",.0f",
        "Embedding rows rebuilt from the packed artefact per second, one at a time.",
        ("lookup", "rows_per_s_1"),
        timing=True,
    ),
    Quantity(
        "lookup_1024",
        "Lookup, batch 1024",
        "rows/s",
        "higher",
        ",.0f",
        "Embedding rows rebuilt from the packed artefact per second, 1024 at a time.",
        ("lookup", "rows_per_s_1024"),
        timing=True,
    ),
    Quantity(
        "latency",
        "Latency, batch 1",
        "µs",
        "lower",
        ",.1f",
        "Time to rebuild one embedding row from the packed artefact.",
        timing=True,
    ),
    Quantity(
        "passes",
        "Passes",
        "",
        "",
        ",.0f",
        "Passes over the training data, all phases together, those of a teacher included.",
    ),
    Quantity(
        "train_s",
        "Training",
        "s",
        "lower",
        ",.1f",
        "Seconds of training, search phases included; empty for runs that shared the machine.",
        ("timings", "train_s"),
        timing=True,
    ),
    Quantity(
        "peak_memory",
        "Peak memory",
        "MB",
        "lower",
        ",.0f",
        "Largest resident memory of the training process.",
    ),
    Quantity(
        "backbone_values",
        "Backbone values",
        "",
        "lower",
        ",.0f",
        "Numbers of the backbone itself, outside the budget.",
        ("size", "backbone_values"),
    ),
    Quantity(
        "trials",
        "Trials",
        "",
        "",
        ",.0f",
        "Settings that were tried for this row on validation data; empty if none were counted.",
        ("tuning", "planned"),
    ),
    Quantity(
        "tuning_passes",
        "Passes of tuning",
        "",
        "",
        ",.0f",
        "Epochs of all trials of this row together.",
        ("tuning", "passes"),
    ),
)
"""All quantities, in the order in which full tables show them."""

_BY_KEY = {quantity.key: quantity for quantity in QUANTITIES}


def quantity(key: str) -> Quantity:
    """Return the quantity of a key.

    Raises:
        KeyError: no such quantity.
    """
    return _BY_KEY[key]
