"""The hashing trick: ids share rows by universal hashes."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from bench.method import Choice, Field, Method, Range, Rows, Table

PRIME = 2**31 - 1  # Carter & Wegman's ((a i + c) mod p) mod M is universal for ids below p


class Hashing(Method):
    """e_i = sum over k of T[h_k(i)].

    One hash is feature hashing (Weinberger et al., ICML 2009). Several independent ones into the
    same table, summed, are Bloom embeddings (Serra & Karatzoglou, RecSys 2017); with two, few ids
    share everything. Users and items have rows of their own, as features have tables of their
    own: a user who shares a row with an item is always recommended it first.
    """

    name = "hashing"
    title = "Hashing"
    paper = "Weinberger et al., ICML 2009; Serra & Karatzoglou, RecSys 2017"
    space: ClassVar = {"hashes": Range(1, 4), "joint": Choice((False, True))}

    hash: Tensor

    class Config(Method.Config):
        """`hashes`: lookups an id; `joint`: users and items share rows; `rows`: of the table."""

        hashes: int = Field(2, ge=1)
        joint: bool = False
        rows: int = 0

    @classmethod
    def plan(cls, table: Table, config: Config) -> Config:
        return cls.solve("rows", table, config, low=1 if config.joint else 2, high=table.ids)

    def build(self) -> None:
        self.stored = Rows(self.config.rows, self.table.dim)
        self.register_buffer("hash", torch.zeros(self.config.hashes, 2, dtype=torch.int32))

    def reset(self, generator: torch.Generator) -> None:
        self.hash.copy_(torch.randint(1, PRIME, self.hash.shape, generator=generator))
        # A sum of k independent rows has k times the variance of one.
        self.stored.normal(self.table.std / self.config.hashes**0.5, generator)

    def slots(self, ids: Tensor) -> Tensor:
        """Rows of the table that make up each id: int64 [*] -> int64 [*, hashes]."""
        part, own = self.table.locate(ids, self.config.joint)
        rows, users = self.config.rows, self.config.rows
        if not self.config.joint:
            users = min(max(1, round(rows * self.table.users / self.table.ids)), rows - 1)
        factor, shift = self.hash.long().unbind(1)
        hashed = (own.unsqueeze(-1) * factor + shift) % PRIME
        item = part.unsqueeze(-1).bool()
        return torch.where(item, users + hashed % max(1, rows - users), hashed % users)

    def forward(self, ids: Tensor) -> Tensor:
        return self.stored(self.slots(ids)).sum(-2)
