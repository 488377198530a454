"""Losses of dot products with negatives shared by a batch, and their gradients in the same pass.

The computation needs three GEMMs of batch x negatives x width and a few passes over the
[batch, negatives] scores. Autograd adds several passes, which cost more than the GEMMs. On a CPU
the scores are computed in blocks that fit into the caches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Derivative(NamedTuple):
    """A loss and its derivatives by the scores.

    Attributes:
        loss: scalar.
        pull: [B], the derivative by the scores of positives.
        push: [B, k]; `push * share` is the derivative by the scores of negatives.
        share: [B, 1].
    """

    loss: Tensor
    pull: Tensor
    push: Tensor
    share: Tensor


_BLOCK = 2**18  # scores at a time on a CPU: 1 MB
_CALM = 60.0  # e^60 times the number of negatives is far from the largest float32
_FEW = 16  # columns; below, a GEMM whose result has as many rows beats one with as many columns

Derive = Callable[[Tensor, Tensor, bool], Derivative]
"""Gives the derivative from scores of positives [B], scores of negatives [B, k], which may be
overwritten, and whether all of them are small enough for their exponentials to be summed."""


def shared_loss(
    users: Tensor, positives: Tensor, negatives: Tensor, derive: Derive, scale: float = 1.0
) -> Tensor:
    """A loss of dot products.

    Args:
        users: [B, width].
        positives: [B, width].
        negatives: [k, width].
        derive: computes the loss and its derivatives from scores.
        scale: factor of the scores.
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
        batch, block, count = len(users), len(users), len(negatives)
        calm = False  # on a GPU asking would cost a transfer
        if users.device.type == "cpu":
            block = max(1, _BLOCK // max(1, count))
            calm = _largest(users, positives, negatives) * scale <= _CALM
        loss = users.new_zeros(())
        by_user, by_positive = torch.empty_like(users), torch.empty_like(positives)
        # Transposed, [width, k]: a GEMM whose result has few columns takes up to twenty times as
        # long as one whose result has few rows, and the width is small.
        columns = negatives.T.contiguous()
        by_negative = torch.zeros_like(columns)
        scores = users.new_empty(min(block, batch), count)
        for start in range(0, batch, block):
            u, p = users[start : start + block], positives[start : start + block]
            scaled = u * scale if scale != 1 else u
            below = torch.mm(scaled, columns, out=scores[: len(u)])
            found = derive((scaled * p).sum(1), below, calm)
            part = len(u) / batch  # `derive` takes the mean over its rows
            loss += found.loss * part
            pull, share = (found.pull * (scale * part)).unsqueeze(1), found.share * (scale * part)
            pushed = by_user[start : start + block]
            if columns.shape[0] < _FEW:
                pushed.copy_((columns @ found.push.T).T)
            else:
                torch.mm(found.push, negatives, out=pushed)
            pushed.mul_(share).addcmul_(pull, p)
            torch.mul(pull, u, out=by_positive[start : start + block])
            by_negative.addmm_((u * share).T, found.push)
        ctx.save_for_backward(by_user, by_positive, by_negative.T)
        return loss

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        users, positives, negatives = ctx.saved_tensors
        return users * grad, positives * grad, negatives * grad, None, None


def _largest(users: Tensor, positives: Tensor, negatives: Tensor) -> float:
    """No product of a user and an item is larger: the product of the largest lengths."""
    one, other, third = (rows.square().sum(1).max() for rows in (users, positives, negatives))
    return float((one * torch.maximum(other, third)).sqrt())
