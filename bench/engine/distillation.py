"""Distillation: a loss that pulls the scores of a batch to those of a trained full table."""

from __future__ import annotations

import copy

import torch
from torch import Tensor
from torch.nn import functional

from bench.backbones.base import Backbone
from bench.method import Method

MOST_USERS = 2048
MOST_ITEMS = 1024
"""Ids of a batch that take part in a step; they bound its work and memory."""
MOST_SCORED = 64
"""Items that take part where a backbone has no dot product, and each pair is costly."""


class Distillation:
    """Kullback-Leibler divergence from the teacher's softmax over items to the method's own.

    For each user of a batch, the softmax over distinct items of the batch (Hinton, Vinyals & Dean,
    2015, at the temperature of the objective). The items are positives and negatives alike: the
    teacher says how good each is for the user.

    Args:
        teacher: float32 [N, dim], rows of all ids.
        backbone: with the weights that the teacher was trained with; it scores the teacher's rows
            with a copy of these, and the method's rows with its own.
        temperature: divisor of all scores.
        weight: of this loss; that of the objective has 1.
    """

    def __init__(
        self, teacher: Tensor, backbone: Backbone, temperature: float, weight: float
    ) -> None:
        self._backbone, self._scorer = backbone, backbone
        self._temperature, self._weight = temperature, weight
        if any(True for _ in backbone.parameters()):
            self._scorer = copy.deepcopy(backbone).requires_grad_(False).eval()
        with torch.no_grad():
            self._teacher = self._scorer.embed(self._scorer.spread(teacher))

    @classmethod
    def of(cls, method: Method, backbone: Backbone, objective: object) -> Distillation | None:
        """The distillation that a method asks for; None if it asks for none."""
        weight, teacher = method.distillation, method.table.teacher
        if not weight or teacher is None:
            return None
        place = next(iter(method.state_dict().values())).device
        return cls(teacher.to(place), backbone, getattr(objective, "temperature", 1.0), weight)

    def loss(self, vectors: Tensor, ids: Tensor, step: int) -> Tensor:
        """The weighted divergence, mean over users.

        Args:
            vectors: [m, width], what the backbone's `embed` has made of the rows of `ids`.
            ids: int64 [m], distinct and rising, users first.
            step: of training; where a batch has more ids than take part, steps take turns.
        """
        border = int((ids < self._backbone.users).sum())
        dot = self._backbone.dot
        users = _some(0, border, MOST_USERS, step)
        items = _some(border, len(ids), MOST_ITEMS if dot else MOST_SCORED, step)
        with torch.no_grad():
            rows, columns = self._teacher[ids[users]], self._teacher[ids[items]]
            wanted = self._scorer.matrix(rows, columns).div_(self._temperature).log_softmax(1)
        learning = self._backbone.training
        self._backbone.eval()  # all pairs are no batch that a layer could be normalised by
        scores = self._backbone.matrix(vectors[users], vectors[items]) / self._temperature
        self._backbone.train(learning)
        found = scores.log_softmax(1)
        return self._weight * functional.kl_div(
            found, wanted, reduction="batchmean", log_target=True
        )


def _some(first: int, end: int, most: int, step: int) -> slice:
    """Every n-th place of `first..end-1`, so that there are at most `most`; steps take turns."""
    stride = max(1, -(-(end - first) // most))
    return slice(first + step % stride, end, stride)
