"""Tables of tried settings with their validation metrics.

The tables leave out test metrics, so that nobody chooses settings by them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from tabulate import tabulate

from bench.records.schema import Record, canonical_json

METRICS = ("ndcg@20", "recall@20")
_ABSENT = "–"  # the version that wrote the record had no such setting


def settings(record: Record) -> dict[str, Any]:
    """Return the settings of a run by dotted name; the name of method or backbone is the prefix."""
    parts = {
        **(record.spec.training or {}),
        record.spec.backbone.name: record.spec.backbone.config,
        record.spec.method.name: record.spec.method.config,
    }
    return dict(_flat(parts, ""))


def _flat(value: Mapping[str, Any], prefix: str) -> Iterable[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _flat(inner, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", inner


def render_studies(records: Iterable[Record]) -> str:
    """Return a Markdown table for each data set, backbone, method and budget, best run first.

    Columns are the settings that differ within the table; a line above the table lists the others.
    A table of one run is left out, because it compares nothing.
    """
    groups: dict[tuple[str, ...], list[Record]] = defaultdict(list)
    for record in records:
        if record.status == "ok" and record.metrics and record.metrics.valid and record.phases:
            spec = record.spec
            label = record.budget.label if record.budget else "full size"
            groups[spec.dataset.name, spec.backbone.name, record.method.title, label].append(record)
    tables = [_table(key, group) for key, group in sorted(groups.items()) if len(group) > 1]
    return "\n\n".join(tables)


def _table(key: tuple[str, ...], group: list[Record]) -> str:
    every = [settings(record) | {"seed": record.spec.seed} for record in group]
    names = list(dict.fromkeys(name for one in every for name in one))
    values = {name: {canonical_json(one.get(name)) for one in every} for name in names}
    vary = [name for name in names if len(values[name]) > 1]
    common = ", ".join(f"{name} {every[0][name]}" for name in names if name not in vary)
    rows = []
    for record, one in zip(group, every, strict=True):
        assert record.metrics is not None and record.metrics.valid is not None
        valid = record.metrics.valid
        rows.append(
            [*(_shown(one.get(name, _ABSENT)) for name in vary)]
            + ["+".join(str(phase.epochs) for phase in record.phases)]
            + [f"{valid[metric]:.4f}" for metric in METRICS]
        )
    rows.sort(key=lambda row: (-float(row[-len(METRICS)]), row))
    short = [name.removeprefix("objective.") for name in vary]
    header = [*short, "epochs run", "valid NDCG@20", "valid Recall@20"]
    body = tabulate(rows, header, tablefmt="github", disable_numparse=True)
    return f"**{', '.join(key)}**\n\nThe same in all: {common}.\n\n{body}"


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
