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
        by_user = torch.empty_like(users)
        # Transposed, [width, k]: a GEMM whose result has few columns takes up to twenty times as
        # long as one whose result has few rows, and the width is small.
        columns = negatives.T.contiguous()
        by_negative = torch.zeros_like(columns)
        scores = users.new_empty(min(block, batch), count)
        scaled = users * scale if scale != 1 else users
        above = (scaled * positives).sum(1)
        pull, share = torch.empty_like(above), users.new_empty(batch, 1)
        for start in range(0, batch, block):
            here = slice(start, start + block)
            u = users[here]
            below = torch.mm(scaled[here], columns, out=scores[: len(u)])
            found = derive(above[here], below, calm)
            part = len(u) / batch  # `derive` takes the mean over its rows
            loss.add_(found.loss, alpha=part)
            torch.mul(found.pull, scale * part, out=pull[here])
            own = torch.mul(found.share, scale * part, out=share[here])
            if columns.shape[0] < _FEW:
                by_user[here] = (columns @ found.push.T).T
            else:
                torch.mm(found.push, negatives, out=by_user[here])
            by_negative.addmm_((u * own).T, found.push)
        pull = pull.unsqueeze(1)
        by_user.mul_(share).addcmul_(pull, positives)
        by_positive = pull * users
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
