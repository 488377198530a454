"""MLP: a network over both embeddings, the second base model of the CERP paper's code."""

from __future__ import annotations

from itertools import pairwise

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.backbones.base import Backbone
from bench.backbones.network import PairNetwork, Side, xavier
from bench.data import Interactions
from bench.errors import SpecError


class MLP(PairNetwork):
    """Liang et al. (ICDM 2023): hidden layers of Linear, batch norm and ReLU over [e_u ; e_i].

    The input is divided by the share of its non-zero entries, which allows for pruned embeddings.
    The reference code divides by their number, which differs by the constant factor 2 dim. With
    batch normalisation both are equal. Without it, the reference's inputs are some hundred times
    smaller than the weights, and only the items' popularity can be learned. If both embeddings are
    pruned completely, the reference divides 0 by 0 and the loss becomes NaN; here the number is at
    least 1. The output's bias is left out, because it changes no ranking.

    With the default widths the network has 694,528 parameters at dim = 64 and 2,765,312 at 128,
    several times as many as a compressed table. No budget counts them; boards list them.
    """

    name = "mlp"
    title = "MLP"

    class Config(Backbone.Config):
        """Shape of the network.

        `widths`: hidden layers, as multiples of the input (2 dim). `norm`: batch normalisation
        after each linear layer.
        """

        widths: tuple[float, ...] = Field((2.0, 4.0, 8.0), min_length=1)
        norm: bool = True

    def __init__(self, data: Interactions, dim: int, config: Config) -> None:
        super().__init__(data, dim, config)
        sizes = [2 * dim, *(max(1, round(2 * dim * width)) for width in config.widths)]
        self.widest = max(sizes)
        self.first = nn.Linear(sizes[0], sizes[1])
        self.rest = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes[1:]))
        self.norms = nn.ModuleList(nn.BatchNorm1d(size) for size in sizes[1:] if config.norm)
        self.last = nn.Linear(sizes[-1], 1, bias=False)

    @classmethod
    def refusal(cls, config: Config, *, shared: bool = False, whole: bool = False) -> str:
        """With shared negatives, positives and negatives would be normalised separately.

        Each would be normalised by its own mean. That removes the difference which the loss is to
        learn, and only evaluation would show it.
        """
        if config.norm and shared:
            return (
                "mlp: batch normalisation needs positives and negatives in one batch, which shared"
                " negatives are not; use the objective bpr (--set training.objective.name=bpr), or"
                " --set mlp.norm=false"
            )
        return super().refusal(config, shared=shared, whole=whole)

    def reset(self, generator: torch.Generator) -> None:
        """(Re)initialise the network."""
        for layer in (self.first, *self.rest, self.last):
            xavier(layer, generator)
        for norm in self.norms:
            assert isinstance(norm, nn.BatchNorm1d)
            norm.reset_parameters()  # constants, and the running statistics

    def user_side(self, users: Tensor) -> Side:
        """The user's half of the first layer."""
        return self._half(users, 0)

    def item_side(self, items: Tensor) -> Side:
        """The item's half of the first layer."""
        return self._half(items, 1)

    def _half(self, rows: Tensor, half: int) -> Side:
        """One half of the first product, and the number of non-zero entries of each row."""
        weight = self.first.weight.chunk(2, 1)[half]
        return rows @ weight.T, (rows != 0).sum(-1, keepdim=True)

    def joint(self, users: Side, items: Side) -> Tensor:
        """Add the halves and apply the other layers."""
        present = (users[1] + items[1]).clamp(min=1) / self.first.in_features
        hidden = (users[0] + items[0]) / present + self.first.bias
        hidden = self._activate(hidden, 0)
        for number, layer in enumerate(self.rest, start=1):
            hidden = self._activate(layer(hidden), number)
        return self.last(hidden).squeeze(-1)

    def _activate(self, hidden: Tensor, number: int) -> Tensor:
        if self.norms:
            hidden = self.norms[number](hidden.flatten(0, -2)).view(hidden.shape)
        return torch.relu(hidden)

    def matrix(self, users: Tensor, items: Tensor, out: Tensor | None = None) -> Tensor:
        """Score all pairs: [b, dim] and [n, dim] -> [b, n].

        Raises:
            SpecError: called in training with batch normalisation.
        """
        why = self.refusal(self.config, shared=True)
        if why and self.training and torch.is_grad_enabled():
            raise SpecError(why)
        return super().matrix(users, items, out)
