"""Losses of the training objectives, for every backbone and method.

`mean_loss` chooses the function by the class of the objective. All functions take the vectors of
users and positives, [B, width], and return the mean loss, a scalar. The negatives are [k, width]
where a batch shares them; other shapes are given with the function.
"""

from __future__ import annotations

from functools import partial, singledispatch

import torch
from torch import Tensor
from torch.nn import functional

from bench.backbones.base import Backbone
from bench.engine.objectives import BPR, Contrastive, Softmax, Squared
from bench.engine.shared_loss import Derivative, shared_loss
from bench.errors import BenchError


@singledispatch
def mean_loss(
    objective: object, backbone: Backbone, users: Tensor, positives: Tensor, negatives: Tensor
) -> Tensor:
    """Mean loss of a batch.

    Args:
        objective: settings of the loss.
        backbone: what scores the vectors.
        users: [B, width].
        positives: [B, width].
        negatives: vectors of `objective.negatives_shape` items, or of all ids if it is `whole`.
    """
    raise NotImplementedError(f"no loss for {type(objective).__name__}")


@mean_loss.register
def _bpr(
    objective: BPR, backbone: Backbone, users: Tensor, positives: Tensor, negatives: Tensor
) -> Tensor:
    """Negatives are [k, width] if they are shared, otherwise [B, k, width]."""
    if objective.shared:
        if backbone.dot:
            return shared_loss(users, positives, negatives, _derive_bpr)
        above, below = backbone.pairs(users, positives), backbone.matrix(users, negatives)
        return functional.softplus(below - above.unsqueeze(1)).mean()
    above, below = backbone.contrast(users, positives, negatives)
    return functional.softplus(below - above).mean()


def _derive_bpr(above: Tensor, below: Tensor, calm: bool) -> Derivative:
    below.sub_(above.unsqueeze(1))
    mean = functional.softplus(below).mean()
    share = below.new_full((len(below), 1), 1 / below.numel())
    push = below.sigmoid_()
    return Derivative(mean, -push.sum(1).mul_(share.squeeze(1)), push, share)


@mean_loss.register
def _softmax(
    objective: Softmax, backbone: Backbone, users: Tensor, positives: Tensor, negatives: Tensor
) -> Tensor:
    temperature = objective.temperature
    if backbone.dot:
        return shared_loss(users, positives, negatives, _derive_softmax, 1 / temperature)
    above = backbone.pairs(users, positives) / temperature
    below = backbone.matrix(users, negatives) / temperature
    return (torch.logaddexp(above, below.logsumexp(1)) - above).mean()


def _derive_softmax(above: Tensor, below: Tensor, calm: bool) -> Derivative:
    if not calm:  # finding and subtracting the largest scores takes two more passes
        top = torch.maximum(below.amax(1), above)
        below.sub_(top.unsqueeze(1))
        above = above - top  # so that the loss, a difference of scores, stays as it is
    hit = above.exp()
    total = below.exp_().sum(1).add_(hit)
    share = (total * len(above)).reciprocal_()  # turns exp into probabilities / batch
    pull = hit.mul_(share).sub_(1 / len(above))
    return Derivative(total.log_().sub_(above).mean(), pull, below, share.unsqueeze(1))


@mean_loss.register
def _contrastive(
    objective: Contrastive, backbone: Backbone, users: Tensor, positives: Tensor, negatives: Tensor
) -> Tensor:
    if backbone.dot:
        derive = partial(_derive_contrastive, objective)
        return shared_loss(users, positives, negatives, derive)
    above, below = backbone.pairs(users, positives), backbone.matrix(users, negatives)
    over = functional.relu(below - objective.margin)
    return (1 - above).mean() + objective.weight * over.mean()


def _derive_contrastive(
    objective: Contrastive, above: Tensor, below: Tensor, calm: bool
) -> Derivative:
    over = functional.relu_(below.sub_(objective.margin))
    mean = (1 - above).mean() + objective.weight * over.mean()
    share = below.new_full((len(below), 1), objective.weight / below.numel())
    pull = above.new_full((len(above),), -1 / len(above))
    return Derivative(mean, pull, over.sign_(), share)


@mean_loss.register
def _squared(
    objective: Squared, backbone: Backbone, users: Tensor, positives: Tensor, everyone: Tensor
) -> Tensor:
    """Takes the vectors of all ids, [N, width], users first.

    Raises:
        BenchError: the backbone's score is not a dot product.
    """
    if not backbone.dot:
        raise BenchError(
            f"objective squared needs a dot-product score, {backbone.name} has none; use"
            " --set training.objective.name=bpr"
        )
    missed = (1 - (users * positives).sum(-1)).square().mean()
    left, right = everyone[: backbone.users], everyone[backbone.users :]
    cells = ((left.T @ left) * (right.T @ right)).sum() / (len(left) * len(right))
    return missed + objective.weight * cells
