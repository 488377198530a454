"""ROBE: rows are made of chunks that lie anywhere in one array."""

from __future__ import annotations

from math import ceil
from typing import ClassVar

import torch
from torch import Tensor, nn

from bench.method import (
    USERS,
    Choice,
    Field,
    Method,
    Narrow,
    Table,
    columns,
    divide,
    fill_columns,
    solve_width,
    widen,
    width_field,
)

PRIME = 2**31 - 1
BLOCK = 64  # values that share a scale where they are stored in few bits


class ROBE(Method):
    """Chunk t of row i is M[s : s + Z], s = ((A i + C t + D) mod p) mod (|M| - Z + 1).

    M is one array for all ids, and chunks overlap freely, so that any budget is used up. With
    `joint` off, users and items have a part of M each, and ids are counted from 0 in both: a user
    and an item that share values would score high for no reason. Z is `chunk`; by default a chunk
    is a whole row (ROBE-D of the paper), which is what its authors advise.
    """

    name = "robe"
    title = "ROBE"
    paper = "Desai et al., MLSys 2022"
    family = "hashing"
    paper_title = (
        "Random Offset Block Embedding (ROBE) for compressed embedding tables in deep "
        "learning recommendation systems"
    )
    year = 2022
    url = "https://arxiv.org/abs/2108.02191"
    stores = "one array of values, hash seeds"
    space: ClassVar = {
        "chunk": Choice((0, 2, 8)),
        "joint": Choice((False, True)),
        "user_share": USERS,
        "width_factor": Choice((None, 1.0, 1.3, 2.0, 3.0, 4.0, 6.0), coarse=True),
    }
    published: ClassVar = {"joint": True, "width_factor": None}
    revision = 2

    hash: Tensor

    class Config(Narrow):
        """Knobs of the array.

        `chunk`: Z, values of a chunk; 0: a whole row. `joint`: users and items share M.
        `user_share`: share of M that is users', if it is not shared; none: in proportion.
        `blocks`: length of M in blocks of 64 values, which share a scale; solved from the budget.
        `width_factor` is 1.3 by default: 64 columns would let each value of M serve 20 rows at a
        budget of 5 % in float32.
        """

        width_factor: float | None = width_field(1.3)
        chunk: int = Field(0, ge=0)
        joint: bool = False
        user_share: float | None = Field(None, gt=0, lt=1)
        blocks: int = 0

    @classmethod
    def plan(cls, table: Table, config: Config) -> Config:
        def solved(one: ROBE.Config) -> ROBE.Config:
            wide = columns(table, one)
            least = ceil(wide / BLOCK) * (1 if one.joint else 2)
            most = max(least, ceil(table.ids * wide / BLOCK))
            return cls.solve("blocks", table, one, low=least, high=most)

        return (
            solved(solve_width(table, config))
            if config.blocks
            else fill_columns(cls, table, config, solved)
        )

    @property
    def width(self) -> int:
        return columns(self.table, self.config)

    def build(self) -> None:
        self.stored = nn.Parameter(torch.empty(self.config.blocks, BLOCK))
        self.register_buffer("hash", torch.zeros(3, dtype=torch.int32))

    def reset(self, generator: torch.Generator) -> None:
        self.hash.copy_(torch.randint(1, PRIME, (3,), generator=generator))
        with torch.no_grad():
            drawn = torch.randn(self.stored.shape, generator=generator)
            self.stored.copy_(drawn.mul_(self.table.std))

    def parts(self) -> tuple[tuple[int, int], ...]:
        """(first value, values) of users and of items; both everything if they share."""
        blocks = self.config.blocks
        if self.config.joint:
            return ((0, blocks * BLOCK),) * 2
        least = ceil(self.width / BLOCK)
        most = (blocks - least,) * 2
        sides = self.table.users, self.table.items
        share = self.config.user_share or sides[0] / sum(sides)
        users, items = divide(blocks, min(max(share, least / blocks), 1 - least / blocks), most)
        return (0, users * BLOCK), (users * BLOCK, items * BLOCK)

    def cells(self, ids: Tensor) -> Tensor:
        """Places in M of the values of each id: int64 [*] -> int64 [*, width]."""
        part, own = self.table.locate(ids, self.config.joint)
        chunk = self.config.chunk or self.width
        factor, step, shift = self.hash.long()
        number = torch.arange(ceil(self.width / chunk), device=ids.device)
        hashed = (own.unsqueeze(-1) * factor + number * step + shift) % PRIME
        (first, values), (other, others) = self.parts()
        start = torch.where(
            part.unsqueeze(-1).bool(),
            other + hashed % (others - chunk + 1),
            first + hashed % (values - chunk + 1),
        )
        found = start.unsqueeze(-1) + torch.arange(chunk, device=ids.device)
        return found.flatten(-2)[..., : self.width]

    def forward(self, ids: Tensor) -> Tensor:
        cells = self.cells(ids)
        # `gather` adds gradients of shared values up several times faster than indexing does.
        rows = self.value("stored").view(-1).gather(0, cells.reshape(-1))
        return widen(rows.view(cells.shape), self.table)
