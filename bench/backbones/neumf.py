"""NeuMF: a generalised dot product beside a small network."""

from __future__ import annotations

from itertools import pairwise

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.backbones.base import Backbone
from bench.backbones.network import PairNetwork, Side, xavier
from bench.data import Interactions
from bench.errors import SpecError


class NeuMF(PairNetwork):
    """He et al. (WWW 2017): w . [u_gmf * i_gmf ; MLP([u_mlp ; i_mlp])].

    The paper gives each branch tables of its own; here both share the one table that a method
    provides, as a budget binds one table: of its `dim` columns the last floor(dim / 2) feed the
    MLP branch, the others the GMF branch.

    Left out: the output's bias and sigmoid, which change no ranking; dropout (the paper has none);
    pretraining of the branches. Instead the GMF branch starts as a plain dot product (weights 1),
    so that the model starts as MF plus a random tower. The loss is the board's, not the paper's
    binary cross-entropy.
    """

    name = "neumf"
    title = "NeuMF"

    class Config(Backbone.Config):
        """`widths`: hidden layers of the tower, as multiples of its input (2 x its columns)."""

        widths: tuple[float, ...] = Field((1.0, 0.5), min_length=1)

    def __init__(self, data: Interactions, dim: int, config: Config) -> None:
        super().__init__(data, dim, config)
        if dim < 2:
            raise SpecError(f"neumf splits the table's columns in two: dim is {dim}; use 2 or more")
        deep = dim // 2
        self._columns = [dim - deep, deep]
        sizes = [max(1, round(2 * deep * width)) for width in config.widths]
        self.widest = max(sizes)
        self.user_layer = nn.Linear(deep, sizes[0])
        self.item_layer = nn.Linear(deep, sizes[0], bias=False)
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.weights = nn.Parameter(torch.empty(dim - deep))
        self.last = nn.Linear(sizes[-1], 1, bias=False)

    def reset(self, generator: torch.Generator) -> None:
        """(Re)initialise the network."""
        # The two halves are one layer of the paper: xavier with the fan-in of both.
        whole = nn.Linear(2 * self._columns[1], self.user_layer.out_features)
        xavier(whole, generator)
        with torch.no_grad():
            halves = whole.weight.chunk(2, 1)
            self.user_layer.weight.copy_(halves[0])
            self.item_layer.weight.copy_(halves[1])
            self.user_layer.bias.zero_()
            self.weights.fill_(1.0)
        for layer in (*self.hidden, self.last):
            xavier(layer, generator)

    def user_side(self, users: Tensor) -> Side:
        """Work out the user's half of the first layer."""
        shallow, deep = users.split(self._columns, -1)
        return shallow * self.weights, self.user_layer(deep)

    def item_side(self, items: Tensor) -> Side:
        """Work out the item's half of the first layer."""
        shallow, deep = items.split(self._columns, -1)
        return shallow, self.item_layer(deep)

    def joint(self, users: Side, items: Side) -> Tensor:
        """Join the halves and go through the other layers."""
        hidden = torch.relu(users[1] + items[1])
        for layer in self.hidden:
            hidden = torch.relu(layer(hidden))
        return (users[0] * items[0]).sum(-1) + self.last(hidden).squeeze(-1)
