"""Losses of the training objectives, for every backbone and method.

`mean_loss` chooses the function by the class of the objective. All functions take the vectors of
users and positives, [B, width], and return the mean loss, a scalar. The negatives are [k, width]
where a batch shares them; other shapes are given with the function. `grouping` says how an
objective is computed from the distinct rows of a batch, if it can be.
"""

from __future__ import annotations

from functools import partial, singledispatch

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bench.backbones.base import Backbone
from bench.engine.grouped_loss import Few, Grouping, Scores, Weights
from bench.engine.objectives import BPR, Contrastive, Softmax, Squared
from bench.engine.shared_loss import Derivative, shared_loss
from bench.errors import BenchError

_FEW = 10  # one score of so many: products with these alone take about as long as with all


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


@singledispatch
def grouping(objective: object) -> Grouping | None:
    """How an objective of dot products is computed by groups of equal users and negatives.

    None where that saves nothing: scores of one pair and one negative are joined in each term, or
    pairs have negatives of their own.
    """
    return None


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


@grouping.register
def _group_softmax(objective: Softmax) -> Grouping:
    return Grouping(_weigh_softmax, 1 / objective.temperature)


def _weigh_softmax(scores: Scores) -> Weights:
    from bench.engine.grouping import softmax_pairs

    above, owners, below = scores.above, scores.owners, scores.below
    if not scores.calm:  # the largest negative's exponential is 1 then
        top = below.amax(1).numpy()
        below.sub_(torch.from_numpy(top).unsqueeze(1))
        above = above - top[owners]
    totals = below.exp_() @ scores.counts
    pull, share = np.empty_like(above), np.empty(len(below), above.dtype)
    loss = softmax_pairs(above, owners, totals.numpy(), scores.pairs, pull, share)
    return Weights(loss / scores.pairs, pull, share)


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


@grouping.register
def _group_contrastive(objective: Contrastive) -> Grouping:
    return Grouping(partial(_weigh_contrastive, objective))


def _weigh_contrastive(objective: Contrastive, scores: Scores) -> Weights:
    from bench.engine.grouping import above_margin

    above, below, counts = scores.above, scores.below, scores.counts
    cells = scores.pairs * float(counts.sum())
    starts, sums = np.empty(len(below) + 1, np.int64), np.empty(len(below))
    # Trained tables have few scores above the margin: 1 / weight of them would undo the pull of
    # the positives. Their sums take less time than products with all scores.
    few = Few(starts, np.empty(below.numel() // _FEW, np.int32))
    margin = above.dtype.type(objective.margin)
    found = above_margin(below.numpy(), margin, counts.numpy(), sums, *few)
    if not found:
        functional.relu_(below.sub_(objective.margin))
        sums = (below @ counts).numpy()
        below.sign_()
    pairs = np.bincount(scores.owners, minlength=len(below)).astype(above.dtype)
    missed = float((1 - above).sum()) / scores.pairs
    beyond = float(pairs @ sums) * objective.weight / cells
    pull = np.full_like(above, -1 / scores.pairs)
    share = pairs * above.dtype.type(objective.weight / cells)
    return Weights(missed + beyond, pull, share, few if found else None)


@mean_loss.register
def _squared(
    objective: Squared, backbone: Backbone, users: Tensor, positives: Tensor, everyone: Tensor
) -> Tensor:
    """Take the vectors of all ids, [N, width], users first.

    Raises:
        BenchError: the backbone's score is not a dot product.
    """
    if why := backbone.refusal(backbone.config, whole=True):
        raise BenchError(why)
    missed = (1 - (users * positives).sum(-1)).square().mean()
    left, right = everyone[: backbone.users], everyone[backbone.users :]
    cells = ((left.T @ left) * (right.T @ right)).sum() / (len(left) * len(right))
    return missed + objective.weight * cells
