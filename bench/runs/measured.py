"""What a run came to: sizes, metrics and times, in the form of a record."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from torch import Tensor

from bench.budget import VALUE_BYTES
from bench.engine.evaluate import Result
from bench.method.file import Packed
from bench.method.size import DTYPES, ArrayKind
from bench.records import schema
from bench.records.schema import Record


@dataclass(frozen=True)
class Measured:
    """What a run came to.

    Attributes:
        size: of the packed state.
        metrics: means over users.
        timings: seconds of training and of ranking.
        per_user: arrays of the test part.
        phases, history: of the training, as JSON holds them.
        lookup: rows a second, by batch; None where no rows are looked up.
        outcome: what the method says that it made of its budget.
    """

    size: schema.Size
    metrics: schema.Metrics
    timings: schema.Timings
    per_user: dict[str, np.ndarray]
    phases: tuple[dict[str, Any], ...] = ()
    history: tuple[dict[str, Any], ...] = ()
    lookup: dict[str, float] | None = None
    outcome: str = ""

    def onto(self, record: Record) -> Record:
        """The record with these fields."""
        fields: dict[str, Any] = {
            "size": self.size,
            "metrics": self.metrics,
            "phases": tuple(schema.Phase.model_validate(one) for one in self.phases),
            "history": self.history,
            "timings": self.timings,
        }
        if self.lookup is not None:
            fields["lookup"] = self.lookup
        if self.outcome:
            fields["method"] = record.method.model_copy(update={"outcome": self.outcome})
        return record.model_copy(update=fields)


def size_record(packed: Packed, ids: int, dim: int, backbone_values: int) -> schema.Size:
    """The size of a packed state beside that of the full table of `ids` x `dim` float32."""
    return schema.Size(
        values=packed.values,
        bytes=packed.bytes,
        file_bytes=packed.bytes,
        backbone_values=backbone_values,
        full_values=ids * dim,
        full_bytes=ids * dim * VALUE_BYTES,
        arrays={
            name: packed_array(array, packed.kinds[name])
            for name, array in sorted(packed.arrays.items())
        },
    )


def packed_array(tensor: Tensor, kind: ArrayKind) -> schema.PackedArray:
    """What a record says of an array."""
    code, width = DTYPES[tensor.dtype]
    shape = tuple(tensor.shape)
    return schema.PackedArray(dtype=code, shape=shape, bytes=prod(shape) * width, kind=kind)


def metrics_record(test: Result, valid: Result | None, items: int) -> schema.Metrics:
    """Means over users, and the share of the catalogue that stands in anybody's top 20."""
    top = test.top[:, :20]
    coverage = len(np.unique(top[top >= 0])) / items
    return schema.Metrics(
        valid=valid.metrics if valid else None, test=test.metrics | {"coverage@20": coverage}
    )
