"""Backbones that score a pair by a network: full ranking in blocks, as exact as a dot product."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.backbones.base import Backbone

_BLOCK = 2**18  # values of the widest layer at a time on a CPU: 1 MB, which a core's cache holds
_BLOCK_GPU = 2**26  # 256 MB, so that launches do not count

Side = tuple[Tensor, ...]


class PairNetwork(Backbone):
    """Scores f(g(user), h(item)) that no matrix product gives.

    A subclass says what can be worked out for each user and each item alone (`user_side`,
    `item_side`; of the first layer, each half), and what has to be done for each pair (`joint`).
    """

    widest: int = 1

    def user_side(self, users: Tensor) -> Side:
        """Work out what depends on the user alone: [..., dim] -> tensors [..., any]."""
        raise NotImplementedError

    def item_side(self, items: Tensor) -> Side:
        """Work out what depends on the item alone: [..., dim] -> tensors [..., any]."""
        raise NotImplementedError

    def joint(self, users: Side, items: Side) -> Tensor:
        """Score sides that are broadcast against each other, [...]."""
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
        people = tuple(part.unsqueeze(1) for part in self.user_side(users))
        things = tuple(part.unsqueeze(0) for part in self.item_side(items))
        rows, columns = len(users), len(items)
        block = (_BLOCK if users.device.type == "cpu" else _BLOCK_GPU) // self.widest
        wide = max(1, min(columns, block))
        high = max(1, block // wide)
        strips = []
        for top in range(0, rows, high):
            some = tuple(part[top : top + high] for part in people)
            blocks = []
            for left in range(0, columns, wide):
                scores = self.joint(some, tuple(part[:, left : left + wide] for part in things))
                if out is None:
                    blocks.append(scores)
                else:
                    out[top : top + high, left : min(left + wide, columns)] = scores
            if out is None:
                strips.append(torch.cat(blocks, 1))
        return torch.cat(strips) if out is None else out


def xavier(layer: nn.Linear, generator: torch.Generator) -> None:
    """Uniform weights of variance 2 / (in + out) (Glorot & Bengio, AISTATS 2010), no bias.

    Drawn on the CPU, so that every device starts from the same weights.
    """
    weight = layer.weight
    bound = (6 / sum(weight.shape)) ** 0.5
    drawn = torch.rand(weight.shape, generator=generator)
    with torch.no_grad():
        weight.copy_(drawn.mul_(2 * bound).sub_(bound))
        if layer.bias is not None:
            layer.bias.zero_()
