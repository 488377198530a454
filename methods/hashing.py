"""The hashing trick: ids share rows by universal hash functions."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from bench.method import (
    USERS,
    WIDE,
    AliasChoices,
    Choice,
    Field,
    Method,
    Narrow,
    Range,
    Rows,
    Table,
    columns,
    divide,
    draw_hashes,
    fill_columns,
    hashed,
    least_prime,
    solve_width,
    widen,
)


class Hashing(Method):
    """e_i = sum over k of T[h_k(i)].

    One hash is feature hashing (Weinberger et al., ICML 2009). Several independent ones into the
    same table, summed, are Bloom embeddings (Serra & Karatzoglou, RecSys 2017); with two, few ids
    share everything. With `head`, the most frequent ids have rows of their own (frequency-based
    double hashing, Zhang et al., RecSys 2020); ids are numbered by frequency, so that which ids
    these are need not be stored. Users and items have rows of their own, as features have tables
    of their own: a user who shares a row with an item is always recommended it first.
    """

    name = "hashing"
    title = "Hashing"
    paper = "Weinberger et al., ICML 2009; Serra & Karatzoglou, RecSys 2017"
    family = "hashing"
    paper_title = "Feature Hashing for Large Scale Multitask Learning"
    year = 2009
    url = "https://arxiv.org/abs/0902.2206"
    stores = "one table, hash seeds"
    revision = 2
    space: ClassVar = {
        "hashes": Range(1, 4),
        "head": Range(0.0, 0.99),
        "joint": Choice((False, True)),
        "user_share": USERS,
        "width_factor": WIDE,
    }
    published: ClassVar = {"hashes": 1, "head": 0.0, "joint": False}

    functions: Tensor

    class Config(Narrow):
        """Knobs of the table.

        `hashes`: lookups an id; `joint`: users and items share rows; `head`: share of the rows
        that the most frequent ids have to themselves (all, where no more rows are needed);
        `user_share`: share of the rows that is users', unless rows are shared; none: in proportion;
        `rows`: of the table.
        """

        hashes: int = Field(2, ge=1)
        joint: bool = False
        head: float = Field(0.0, ge=0, lt=1)
        user_share: float | None = Field(
            None,
            gt=0,
            lt=1,
            validation_alias=AliasChoices("user_share", "users"),
            serialization_alias="users",
        )
        rows: int = 0

    @classmethod
    def plan(cls, table: Table, config: Config) -> Config:
        if config.rows:
            return solve_width(table, config)
        low = 1 if config.joint else 2
        return fill_columns(
            cls,
            table,
            config,
            lambda one: cls.solve("rows", table, one, low=low, high=table.ids),
        )

    def build(self) -> None:
        self.stored = Rows(self.config.rows, columns(self.table, self.config))
        self.register_buffer("functions", torch.zeros(self.config.hashes, 2, dtype=torch.int32))
        ids = self.table.parts(self.config.joint)
        # Of users and of items: first row, rows that one id has, that several share, p.
        self._sides = tuple(
            (first, head, max(1, rows - head), least_prime(n - head))
            for (first, rows), head, n in zip(
                self.parts(), self.heads(), (ids[0], ids[-1]), strict=True
            )
        )

    @property
    def width(self) -> int:
        return columns(self.table, self.config)

    def reset(self, generator: torch.Generator) -> None:
        self.functions.copy_(draw_hashes(self.config.hashes, generator))
        # A sum of k independent rows has k times the variance of one.
        self.stored.normal(self.table.std / self.config.hashes**0.5, generator)

    def parts(self) -> tuple[tuple[int, int], ...]:
        """(first row, rows) of users and of items; both everything if they share."""
        rows = self.config.rows
        if self.config.joint:
            return (0, rows), (0, rows)
        users, items = divide(rows, self.config.user_share, (self.table.users, self.table.items))
        return (0, users), (users, items)

    def slots(self, ids: Tensor) -> Tensor:
        """Rows of the table that make up each id: int64 [*] -> int64 [*, hashes]."""
        part, own = self.table.locate(ids, self.config.joint)
        of_items = part.bool()
        first, head, shared, prime = (
            torch.where(of_items, items, users) for users, items in zip(*self._sides, strict=True)
        )
        rows = hashed(own - head, self.functions, prime, shared) + (first + head).unsqueeze(-1)
        return torch.where((own < head).unsqueeze(-1), (first + own).unsqueeze(-1), rows)

    def heads(self) -> tuple[int, ...]:
        """How many of the first users, and items, have a row to themselves."""
        head, ids = self.config.head, self.table.parts(self.config.joint)
        return tuple(
            n if head and rows >= n else int(head * rows)
            for (_, rows), n in zip(self.parts(), (ids[0], ids[-1]), strict=True)
        )

    def outcome(self) -> str:
        heads, ids = self.heads(), self.table.parts(self.config.joint)
        alone = sum(heads[-len(ids) :]) / self.table.ids
        hashes = "1 hash" if self.config.hashes == 1 else f"{self.config.hashes} hashes"
        return f"{self.config.rows:,} rows, own rows for {alone:.0%} of the ids, {hashes}"

    def forward(self, ids: Tensor) -> Tensor:
        rows = self.stored.sums(self.slots(ids))
        if not self.config.head:
            return widen(rows, self.table)
        part, own = self.table.locate(ids, self.config.joint)
        users, items = self.heads()
        # k times the same row has k times the variance of k independent ones.
        alone = own < torch.where(part.bool(), items, users)
        scale = torch.where(alone, self.config.hashes**-0.5, 1.0).unsqueeze(-1)
        return widen(rows * scale, self.table)
