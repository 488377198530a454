"""LERG: a small codebook of which each id takes two rows, one of them that of its cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from bench.method import (
    WIDE,
    Field,
    Method,
    Narrow,
    Range,
    Rows,
    Table,
    bits_for,
    columns,
    draw_hashes,
    fill_columns,
    hashed,
    least_prime,
    pack_numbers,
    solve_width,
    spectral_clusters,
    spectral_vectors,
    unpack_numbers,
    widen,
    width_field,
)


class LERG(Method):
    """e_i = w C[a(i)] + (1 - w) C[h(i)]: a is the id's cluster, h a hash function.

    LEGCF (Liang et al., SIGIR 2024) assigns two rows of a codebook to each user and item, by METIS
    clusters of the training graph with weight w = .9, and at random with weight 1 - w. Later it
    solves for new assignments from the rows that LightGCN has propagated. LERG keeps the first
    assignment and stores the codebook in few bits. This is the embedding of LERG; the clusters are
    spectral ones of users and items together, because METIS needs a library of its own. The file
    holds the map a; h takes two numbers.

    Four things of the authors' code are not here, in the published form neither: a bias for each
    user and item beside the codebook; tanh of the composed row; h(i) that is never a(i); and
    LightGCN over a graph that has the codewords as nodes, too.
    """

    name = "lerg"
    title = "LERG"
    paper = "Liang et al., TOIS 2025"
    family = "clustering"
    paper_title = "Lightweight Embeddings with Graph Rewiring for Collaborative Filtering"
    year = 2025
    url = "https://arxiv.org/abs/2505.18999"
    stores = "one codebook, clusters of ids, hash seeds"
    revision = 3
    needs: ClassVar = {"interactions"}
    space: ClassVar = {"weight": Range(0.3, 0.95), "width_factor": WIDE}
    published: ClassVar = {"weight": 0.9, "width_factor": None}

    index_maps = ("map",)
    map: Tensor
    functions: Tensor

    class Config(Narrow):
        """Knobs: `weight`: w. `words`: rows of the codebook, solved from the budget."""

        width_factor: float | None = width_field(1.2)
        weight: float = Field(0.7, gt=0, lt=1)
        words: int = 0

    @classmethod
    def plan(cls, table: Table, config: Config) -> Config:
        if config.words:
            return solve_width(table, config)
        return fill_columns(
            cls, table, config, lambda one: cls.solve("words", table, one, low=2, high=table.ids)
        )

    @classmethod
    def packed_maps(cls, table: Table, config: Config) -> dict[str, tuple[int, int]]:
        return {"map": (table.ids, config.words)}

    def build(self) -> None:
        self.stored = Rows(self.config.words, self.width)
        self.register_buffer("functions", torch.zeros(1, 2, dtype=torch.int32))
        self._prime = least_prime(self.table.ids)
        self.register_buffer("map", torch.zeros(self.table.ids, dtype=torch.int64))

    @property
    def width(self) -> int:
        return columns(self.table, self.config)

    def reset(self, generator: torch.Generator) -> None:
        weight = self.config.weight
        self.stored.normal(self.table.std / (weight**2 + (1 - weight) ** 2) ** 0.5, generator)
        self.functions.copy_(draw_hashes(1, generator))
        assert self.table.interactions is not None
        points = torch.cat(spectral_vectors(self.table.interactions, generator))
        self.map.copy_(spectral_clusters(points, self.config.words, generator))

    def forward(self, ids: Tensor) -> Tensor:
        second = hashed(ids, self.functions, self._prime, self.config.words).squeeze(-1)
        weight = self.config.weight
        rows = weight * self.stored(self.map[ids]) + (1 - weight) * self.stored(second)
        return widen(rows, self.table)

    def pack(self) -> dict[str, Tensor]:
        packed = super().pack()
        return packed | {"map": pack_numbers(self.map, bits_for(self.config.words - 1))}

    @classmethod
    def unpack(cls, packed: Mapping[str, Tensor], table: Table, config: Config) -> Method:
        codes = unpack_numbers(packed["map"], bits_for(config.words - 1), table.ids)
        return super().unpack({**packed, "map": codes}, table, config)
