"""The reference that nothing is trained for: every user is shown the most popular items.

All that is special about it is here. Its runs have no training, no backbone and no budget.
"""

from __future__ import annotations

import time

import safetensors.torch
import torch
from torch import Tensor

from bench.data import Interactions
from bench.engine.evaluate import breakdown
from bench.method.file import Packed
from bench.method.header import Header
from bench.method.size import METADATA
from bench.method.table import Table
from bench.records.schema import BackboneSpec, DatasetSpec, MethodSpec, Timings
from bench.runs.measured import Measured, metrics_record, size_record
from bench.runs.pipeline import evaluator
from bench.runs.spec import RunSpec


class Popularity:
    """How it is named on boards; a method has the same attributes."""

    name = "popularity"
    title = "Popularity"
    paper = ""
    role = "reference"
    revision = 1


def popularity_spec(dataset: DatasetSpec, dim: int) -> RunSpec:
    """The spec of its run, which has no seed to speak of."""
    return RunSpec(
        dataset=dataset,
        backbone=BackboneSpec(name="none", config={}),
        dim=dim,
        method=MethodSpec(name=Popularity.name, revision=Popularity.revision, config={}),
        budget=None,
        training=None,
        seed=0,
    )


def measure_popularity(data: Interactions, dim: int) -> Measured:
    """Ranks items by training interactions: what is reached without any embedding."""
    began = time.perf_counter()
    counts = torch.from_numpy(data.item_counts())

    def scores(users: Tensor, order: Tensor, out: Tensor) -> Tensor:
        out[:, : len(order)] = counts[order].float()
        return out

    test, valid = (evaluator(data, part)(scores) for part in ("test", "valid"))
    arrays = {"counts": counts.to(torch.int32)}
    header = Header(Popularity.name, {}, Table(data.users, data.items, dim))
    content = safetensors.torch.save(arrays, {METADATA: header.text()})
    packed = Packed(header, arrays, data.items, len(content), {"counts": "values"})
    return Measured(
        size_record(packed, data.users + data.items, dim, 0),
        metrics_record(test, valid, data.items),
        Timings(train_s=0.0, evaluate_s=time.perf_counter() - began),
        breakdown(test, data),
    )
