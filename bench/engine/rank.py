"""Ranking items with the rows of a method under a backbone."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.backbones.base import Backbone
from bench.engine.evaluate import Evaluator, Result, Scores, Vectors


def rank(backbone: Backbone, rows: Tensor, evaluator: Evaluator) -> Result:
    """Rank all items with the rows of all ids, and measure.

    Args:
        backbone: scores the rows; in evaluation mode.
        rows: float32 [N, dim], users first.
        evaluator: knows the held-out items.
    """
    return evaluator(_scores(backbone, rows))


def measure(backbone: Backbone, rows: Tensor, evaluator: Evaluator) -> dict[str, float]:
    """The metrics of `rank` alone, in less time."""
    return evaluator.metrics(_scores(backbone, rows))


def _scores(backbone: Backbone, rows: Tensor) -> Scores | Vectors:
    if backbone.narrow:
        used = rows.any(0).nonzero()
        rows = rows[:, : int(used[-1]) + 1 if len(used) else 1].contiguous()
    vectors = backbone.embed(backbone.spread(rows))
    people, items = vectors[: backbone.users], vectors[backbone.users :]
    if backbone.dot and vectors.dtype == torch.float32:
        return Vectors(people, items)

    ordered: list[Tensor] = []

    def scores(users: Tensor, order: Tensor, out: Tensor) -> Tensor:
        if not ordered:
            ordered.append(items[order])
        return backbone.matrix(people[users], ordered[0], out=out[:, : len(order)])

    return scores
