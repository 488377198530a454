"""Backbones that score pairs by a network, and rank all items block by block."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.backbones.base import Backbone

_BLOCK = 2**18  # values of the widest layer at a time on a CPU: 1 MB fits into a core's cache
_BLOCK_GPU = 2**26  # 256 MB, so that few kernels are launched

Side = tuple[Tensor, ...]


class PairNetwork(Backbone):
    """Scores f(g(user), h(item)) that are not dot products.

    A subclass computes g for each user (`user_side`) and h for each item (`item_side`), usually
    the two halves of the first layer, and f for each pair (`joint`).

    Attributes:
        widest: size of the largest layer.
    """

    widest: int = 1

    def user_side(self, users: Tensor) -> Side:
        """The part that depends on the user only: [..., dim] -> tensors [..., any]."""
        raise NotImplementedError

    def item_side(self, items: Tensor) -> Side:
        """The part that depends on the item only: [..., dim] -> tensors [..., any]."""
        raise NotImplementedError

    def joint(self, users: Side, items: Side) -> Tensor:
        """Score users and items whose parts broadcast against each other: [...]."""
        raise NotImplementedError

    def pairs(self, users: Tensor, items: Tensor) -> Tensor:
        """Score aligned rows: [..., dim] and [..., dim] (broadcast) -> [...]."""
        return self.joint(self.user_side(users), self.item_side(items))

    def contrast(
        self, users: Tensor, positives: Tensor, negatives: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Score both in one batch, so that batch normalisation treats them alike."""
        items = torch.cat((positives.unsqueeze(1), negatives), 1)
        scores = self.pairs(users.unsqueeze(1), items)
        return scores[:, :1], scores[:, 1:]

    def matrix(self, users: Tensor, items: Tensor, out: Tensor | None = None) -> Tensor:
        """Score all pairs block by block: [b, dim] and [n, dim] -> [b, n]."""
        user_parts = tuple(part.unsqueeze(1) for part in self.user_side(users))
        item_parts = tuple(part.unsqueeze(0) for part in self.item_side(items))
        rows, columns = len(users), len(items)
        block = (_BLOCK if users.device.type == "cpu" else _BLOCK_GPU) // self.widest
        wide = max(1, min(columns, block))
        high = max(1, block // wide)
        strips = []
        for top in range(0, rows, high):
            some = tuple(part[top : top + high] for part in user_parts)
            blocks = []
            for left in range(0, columns, wide):
                scores = self.joint(some, tuple(part[:, left : left + wide] for part in item_parts))
                if out is None:
                    blocks.append(scores)
                else:
                    out[top : top + high, left : min(left + wide, columns)] = scores
            if out is None:
                strips.append(torch.cat(blocks, 1))
        return torch.cat(strips) if out is None else out


def xavier(layer: nn.Linear, generator: torch.Generator) -> None:
    """Set weights to uniform values of variance 2 / (in + out) (Glorot & Bengio, AISTATS 2010).

    Biases become 0. Values are drawn on the CPU, so that all devices start from the same weights.
    """
    weight = layer.weight
    bound = (6 / sum(weight.shape)) ** 0.5
    drawn = torch.rand(weight.shape, generator=generator)
    with torch.no_grad():
        weight.copy_(drawn.mul_(2 * bound).sub_(bound))
        if layer.bias is not None:
            layer.bias.zero_()
