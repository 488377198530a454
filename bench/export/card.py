"""The description of an exported table, for people: `README.md` of the folder."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import bench
from bench.data import list_cards
from bench.records.schema import Record
from bench.records.store import Store
from bench.runs.environment import code_state
from compact_lookup.table import RECOMMENDS

if TYPE_CHECKING:
    from bench.export.again import Table
    from bench.export.folder import Sizes

_METRICS = {"ndcg@20": "NDCG@20", "recall@20": "Recall@20"}
_Z = 1.96  # of a 95 % interval


@dataclass(frozen=True)
class Card:
    """Where the table comes from.

    Attributes:
        results: folder with the record, and with the metrics of each user.
        kept: the file is the one that the run has measured; else it was trained again.
    """

    results: Path
    kept: bool

    def text(self, record: Record, table: Table, sizes: Sizes) -> str:
        """The description in Markdown."""
        parts = (
            self._head(record, table),
            self._use(record, sizes),
            self._metrics(record, table),
            self._sizes(record, sizes),
            self._origin(record),
        )
        return "\n".join(line for part in parts for line in part) + "\n"

    def _head(self, record: Record, table: Table) -> Iterator[str]:
        title, data = record.method.title, record.data
        yield f"# {title}, {record.spec.dataset.name}"
        yield ""
        yield (
            f"Embeddings of {data.users:,} users and {data.items:,} items for"
            f" {record.spec.backbone.name}, made by {title} in {len(table.content):,} bytes."
        )
        yield ""

    def _use(self, record: Record, sizes: Sizes) -> Iterator[str]:
        yield "## Use"
        yield needs()
        if sizes.reader:
            yield (
                f"`reader` below is the function of that name in `{sizes.reader}`, the method's"
                " file, which is not in this folder: copy the function into your service."
            )
        elif not sizes.read:
            yield (
                "There is no reader of this method yet. `reader` below is a function that somebody"
                " has to write: docs/export.md of the program says how."
            )
        yield ""
        yield "```python"
        yield "import compact_lookup"
        yield ""
        reader = ", reader=reader" if sizes.reader or not sizes.read else ""
        yield f'table = compact_lookup.load("."{reader})'
        yield "table.rows([0, 1])  # float32 [2, columns], by row number: users first, then items"
        yield 'table.user("USER"), table.item("ITEM")  # by your own ids'
        if record.spec.backbone.name in RECOMMENDS:
            yield 'table.recommend("USER", k=20, seen=["ITEM"])  # pairs of item and score'
        yield "```"
        yield ""
        if record.spec.backbone.name not in RECOMMENDS:
            yield (
                f"`recommend` does not score with {record.spec.backbone.name}, which needs more"
                " than this table (a graph or a network)."
            )
            yield ""

    def _metrics(self, record: Record, table: Table) -> Iterator[str]:
        yield "## Accuracy"
        assert record.metrics is not None
        spread = self._half_widths(record)
        yield "| metric, test data | mean | 95 % interval over users |"
        yield "| --- | --- | --- |"
        for key, label in _METRICS.items():
            mean, half = record.metrics.test[key], spread.get(key)
            interval = "" if half is None else f"{mean - half:.4f} to {mean + half:.4f}"
            yield f"| {label} | {mean:.4f} | {interval} |"
        yield ""
        if self.kept:
            yield "These are the metrics of this very file."
        elif table.test is None:
            yield (
                "These are the metrics of the run. This file was trained again on all"
                " interactions, test data too, so that its own accuracy cannot be measured."
            )
        else:
            again = ", ".join(f"{_METRICS[key]} {table.test[key]:.4f}" for key in _METRICS)
            yield f"These are the metrics of the run. This file was trained again: {again}."
        yield ""

    def _half_widths(self, record: Record) -> dict[str, float]:
        """Half of the interval of each mean; nothing without metrics of each user."""
        try:
            arrays = Store(self.results).per_user(record.spec, record.id) or {}
        except ValueError:
            return {}
        return {
            key: _Z * float(np.std(arrays[key], ddof=1)) / math.sqrt(len(arrays[key]))
            for key in _METRICS
            if key in arrays and len(arrays[key]) > 1
        }

    def _sizes(self, record: Record, sizes: Sizes) -> Iterator[str]:
        yield "## Size"
        yield "| file | bytes |"
        yield "| --- | --- |"
        yield f"| embeddings.safetensors | {sizes.table:,} |"
        yield f"| ids.safetensors, your own ids | {sizes.ids:,} |"
        yield ""
        listed = ", ".join(f"{count:,} {kind}" for kind, count in sizes.kinds.items() if count)
        assert record.size is not None
        share = 100 * sizes.table / record.size.full_bytes
        yield (
            f"Bytes of the table by kind: {listed}. A full float32 table has"
            f" {record.size.full_bytes:,} bytes; this is {share:.1f} % of it."
        )
        yield ""

    def _origin(self, record: Record) -> Iterator[str]:
        data, spec = record.data, record.spec
        yield "## Origin"
        rows: list[tuple[str, Any]] = [
            ("run", record.id),
            ("data", f"{spec.dataset.name}, split {spec.dataset.split}"),
            ("interactions", f"{data.train:,} train, {data.valid:,} valid, {data.test:,} test"),
            ("licence of the data", _licence_of(spec.dataset.name)),
            ("licence of the code", "MIT, see LICENSE"),
            ("method", f"{record.method.title}; {record.method.paper or 'no paper'}"),
            ("seed", spec.seed),
            ("code", record.env.get("commit", "unknown")),
        ]
        yield "| | |"
        yield "| --- | --- |"
        for name, value in rows:
            yield f"| {name} | {str(value).replace('|', '/')} |"
        yield ""
        yield "```"
        yield record.command
        yield "```"


def needs() -> str:
    """What a service has to install, for people who have nothing but the folder."""
    return (
        "NumPy, safetensors and `compact_lookup` are needed, PyTorch is not. `compact_lookup` comes"
        f" with the program that wrote this folder (compact-embedding-benchmark"
        f" {bench.__version__}, code {code_state()}): `pip install numpy safetensors`, and"
        " `pip install --no-deps .` in a checkout of it."
    )


def _licence_of(dataset: str) -> str:
    """What the card of a data set says."""
    known = {card.name: card.licence for card in list_cards()}
    return known.get(dataset) or "not stated; the data are your own, or their card says nothing"
