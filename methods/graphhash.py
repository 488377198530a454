"""GraphHash: ids that are close in the graph of interactions share a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from bench.methods.hashing import Hashing
from torch import Tensor

from bench.method import (
    USERS,
    WIDE,
    Field,
    Method,
    Range,
    Table,
    bits_for,
    pack_numbers,
    spectral_clusters,
    spectral_vectors,
    unpack_numbers,
    width_field,
)

_MAPS = ("user_map", "item_map")


class GraphHash(Hashing):
    """`hashing` with rows of their own for frequent ids, and clusters in place of a hash function.

    Rare users, and rare items, share a row if they are in the same cluster of the training graph.
    The map from rare ids to rows is part of the file: it takes ceil(log2 rows) bits an id.

    The paper takes Louvain communities, whose number follows from a resolution, clusters all ids,
    and does not count the map. Here the number of clusters follows from the budget, so clusters
    are those spectral ones, by k-means in the space of the first singular vectors of the normalised
    training matrix; `head` is what Hashing has, because a row for a frequent id is
    worth more than a finer map of rare ones. The published form has no head.
    """

    name = "graphhash"
    title = "GraphHash"
    paper = "Wu et al., WWW 2025"
    family = "clustering"
    paper_title = "GraphHash: Graph Clustering Enables Parameter Efficiency in Recommender Systems"
    year = 2025
    url = "https://arxiv.org/abs/2412.17245"
    stores = "one table, clusters of rare ids"
    revision = 2
    needs: ClassVar = {"interactions"}
    space: ClassVar = {
        "head": Range(0.0, 0.99),
        "user_share": USERS,
        "width_factor": WIDE,
    }
    published: ClassVar = {"head": 0.0, "width_factor": None}

    index_maps = _MAPS
    map: Tensor

    class Config(Hashing.Config):
        """As `Hashing`, with one lookup an id, and users and items apart."""

        hashes: Literal[1] = 1
        width_factor: float | None = width_field(1.5)
        joint: Literal[False] = False
        head: float = Field(0.7, ge=0, lt=1)

    @classmethod
    def packed_maps(cls, table: Table, config: Config) -> dict[str, tuple[int, int]]:
        with torch.device("meta"):
            shared = cls(table.bare(), config).shared()
        return {name: one[1:] for name, one in zip(_MAPS, shared, strict=True)}

    def shared(self) -> list[tuple[int, int, int]]:
        """(first id, ids, rows) that are shared among users, and among items, counted by side."""
        most = self.table.users, self.table.items
        return [
            (head, ids - head, max(1, rows - head))
            for ids, head, (_, rows) in zip(most, self.heads(), self.parts(), strict=True)
        ]

    def build(self) -> None:
        super().build()
        ids = sum(count for _, count, _ in self.shared())
        self.register_buffer("map", torch.zeros(ids, dtype=torch.int64))

    def reset(self, generator: torch.Generator) -> None:
        super().reset(generator)
        assert self.table.interactions is not None
        sides, maps = spectral_vectors(self.table.interactions, generator), []
        for points, (first, count, rows) in zip(sides, self.shared(), strict=True):
            maps.append(spectral_clusters(points[first : first + count], rows, generator))
        self.map.copy_(torch.cat(maps))

    def slots(self, ids: Tensor) -> Tensor:
        part, own = self.table.locate(ids, False)
        found, start = [], 0
        for (row, _), (first, count, _) in zip(self.parts(), self.shared(), strict=True):
            if count:
                place = (own - first).clamp(0, count - 1) + start
                found.append(row + torch.where(own < first, own, first + self.map[place]))
            else:
                found.append(row + own.clamp(max=first - 1))
            start += count
        return torch.where(part.bool(), found[1], found[0]).unsqueeze(-1)

    def pack(self) -> dict[str, Tensor]:
        packed = super().pack()
        del packed["functions"]
        maps = packed.pop("map").split([count for _, count, _ in self.shared()])
        for name, codes, (_, _, rows) in zip(_MAPS, maps, self.shared(), strict=True):
            packed[name] = pack_numbers(codes, bits_for(rows - 1))
        return packed

    @classmethod
    def unpack(cls, packed: Mapping[str, Tensor], table: Table, config: Config) -> Method:
        with torch.device("meta"):
            shared = cls(table, config).shared()
        codes = [
            unpack_numbers(packed[name], bits_for(rows - 1), count)
            for name, (_, count, rows) in zip(_MAPS, shared, strict=True)
        ]
        functions = torch.zeros(1, 2, dtype=torch.int32)  # of no use here
        state = {"stored.weight": packed["stored.weight"], "functions": functions}
        return super().unpack({**state, "map": torch.cat(codes)}, table, config)
