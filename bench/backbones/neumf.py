"""NeuMF: a generalised dot product plus a small network."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.backbones.base import Backbone
from bench.backbones.network import PairNetwork, Side, xavier
from bench.data import Interactions
from bench.errors import SpecError


class NeuMF(PairNetwork):
    """He et al. (WWW 2017): w . [u_gmf * i_gmf ; MLP([u_mlp ; i_mlp])].

    In the paper each branch has its own tables. Here both share the one table that a method
    provides, because a budget binds one table: columns 1, 3, 5, ... feed the MLP branch, columns 0,
    2, 4, ... the GMF branch.

    Left out are the output's bias and sigmoid, which change no ranking, and the pretraining of the
    branches. Instead the GMF branch starts as a plain dot product (weights 1), so that the model
    starts as MF plus a random network. The loss is the board's, not the paper's binary
    cross-entropy.
    """

    name = "neumf"
    title = "NeuMF"

    class Config(Backbone.Config):
        """`widths`: hidden layers of the MLP branch, as multiples of its input.

        `columns`: the branches have the columns in turn, so that a table with few columns feeds
        both. Runs whose record lacks it had the first half and the second half.
        """

        columns: Literal["in turn"] = "in turn"
        widths: tuple[float, ...] = Field((1.0, 0.5), min_length=1)

    def __init__(self, data: Interactions, dim: int, config: Config) -> None:
        super().__init__(data, dim, config)
        if dim < 2:
            raise SpecError(f"neumf splits the table's columns in two: dim is {dim}; use 2 or more")
        mlp_columns = dim // 2
        sizes = [max(1, round(2 * mlp_columns * width)) for width in config.widths]
        self.widest = max(sizes)
        self.user_layer = nn.Linear(mlp_columns, sizes[0])
        self.item_layer = nn.Linear(mlp_columns, sizes[0], bias=False)
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.weights = nn.Parameter(torch.empty(dim - mlp_columns))
        self.last = nn.Linear(sizes[-1], 1, bias=False)

    def reset(self, generator: torch.Generator) -> None:
        """(Re)initialise the network."""
        # The two halves are one layer in the paper, so the bound has the fan-in of both.
        whole = nn.Linear(2 * self.user_layer.in_features, self.user_layer.out_features)
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
        """The user's columns of the GMF branch, and the user's half of the first layer."""
        gmf, mlp = users[..., ::2], users[..., 1::2]
        return gmf * self.weights, self.user_layer(mlp)

    def item_side(self, items: Tensor) -> Side:
        """The item's columns of the GMF branch, and the item's half of the first layer."""
        gmf, mlp = items[..., ::2], items[..., 1::2]
        return gmf, self.item_layer(mlp)

    def joint(self, users: Side, items: Side) -> Tensor:
        """Add the halves, apply the other layers, and add the GMF branch."""
        hidden = torch.relu(users[1] + items[1])
        for layer in self.hidden:
            hidden = torch.relu(layer(hidden))
        return (users[0] * items[0]).sum(-1) + self.last(hidden).squeeze(-1)
