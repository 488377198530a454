"""LightGCN: embeddings averaged over the neighbourhoods of the training graph."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from bench.backbones.base import Backbone
from bench.backbones.graph.propagation import (
    Graph,
    mean_of_layers,
    normalised_graph,
    some_of_mean,
)
from bench.backbones.similarity import Similarity
from bench.data import Interactions


class LightGCN(Backbone):
    """He et al. (SIGIR 2020): mean of the layers 0 to L of E^(l+1) = A E^l, then a dot product.

    A is the normalised graph of the training interactions, without self-loops. The backbone has no
    parameters: only the embedding is trained and stored. Deployment also needs the graph, or the
    propagated rows in place of the embedding.
    """

    name = "lightgcn"
    title = "LightGCN"
    whole = True
    narrow = True

    class Config(Similarity):
        """`layers`: L. `similarity` and `norm_power` apply to the propagated rows."""

        layers: int = Field(3, ge=0)

    starts: Tensor
    columns: Tensor
    values: Tensor
    scale: Tensor

    def __init__(self, data: Interactions, dim: int, config: Config) -> None:
        super().__init__(data, dim, config)
        # Not persistent: the data determine the graph, so checkpoints leave it out.
        for name, tensor in vars(normalised_graph(data.train, data.items)).items():
            self.register_buffer(name, tensor, persistent=False)

    @property
    def graph(self) -> Graph:
        """A, on the backbone's device."""
        return Graph(self.starts, self.columns, self.values, self.scale)

    def spread(self, rows: Tensor) -> Tensor:
        return mean_of_layers(rows, self.graph, self.config.layers)

    def spread_some(self, rows: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        if rows.device.type != "cpu":
            return super().spread_some(rows, ids)
        return some_of_mean(rows, self.graph, self.config.layers, ids)

    def embed(self, rows: Tensor) -> Tensor:
        return self.config.scaled(rows)
