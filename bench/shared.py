"""Losses of dot products with negatives shared by a batch, with their gradient made on the way.

What the maths needs is three GEMMs of batch x negatives x width and a pass or two over the
[batch, negatives] scores; autograd adds several passes, which cost more than the GEMMs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Derivative(NamedTuple):
    """A loss of scores, and what it changes with them.

    Attributes:
        loss: scalar.
        pull: [B], its derivative by the positives' scores.
        push: [B, k]; times `share`, its derivative by the negatives' scores.
        share: [B, 1].
    """

    loss: Tensor
    pull: Tensor
    push: Tensor
    share: Tensor


Derive = Callable[[Tensor, Tensor], Derivative]
"""(scores of positives [B], of negatives [B, k], which may be overwritten) -> derivative."""


def shared_loss(
    users: Tensor, positives: Tensor, negatives: Tensor, derive: Derive, scale: float = 1.0
) -> Tensor:
    """A loss of dot products.

    Args:
        users: [B, width].
        positives: [B, width].
        negatives: [k, width].
        derive: the loss, by scores.
        scale: scores are multiplied by it first.
    """
    loss: Tensor = _Shared.apply(users, positives, negatives, derive, scale)
    return loss


class _Shared(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        users: Tensor,
        positives: Tensor,
        negatives: Tensor,
        derive: Derive,
        scale: float,
    ) -> Tensor:
        scaled = users * scale if scale != 1 else users
        found = derive((scaled * positives).sum(1), scaled @ negatives.T)
        pull, share = (found.pull * scale).unsqueeze(1), found.share * scale
        ctx.save_for_backward(
            (found.push @ negatives).mul_(share).addcmul_(pull, positives),
            pull * users,
            found.push.T @ (users * share),
        )
        return found.loss

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        users, positives, negatives = ctx.saved_tensors
        return users * grad, positives * grad, negatives * grad, None, None
