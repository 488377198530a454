"""The reference that nothing is trained for: every user is shown the most popular items.

All that is special about it is here. Its runs have no training, no backbone and no budget.
"""

from __future__ import annotations

from bench.records.schema import BackboneSpec, DatasetSpec, MethodSpec
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
