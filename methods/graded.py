"""Graded codes: rows of few bits a value, more bits for those that count in more scores."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from bench.method import AWARE, Choice, Field, Method, Range, Rows, Scale, Storage, Table, widen


class Graded(Method):
    """e_i has `width` columns for every id; its values have b bits, by side and popularity.

    Users have `user_bits`, the most popular share `head` of the items `head_bits`, the other items
    `tail_bits`. Ids are numbered by popularity, so that the grades need no map. Levels are those
    of `bench.method.storage`; a user's row has length 1, an item's length is a byte. The columns
    are solved from the budget. A method of this project: it has no paper.
    """

    name = "graded"
    title = "Graded codes"
    paper = "this project"
    space: ClassVar = {
        "user_bits": Choice((2, 3, 4)),
        "head_bits": Choice((3, 4, 6)),
        "tail_bits": Choice((1, 2, 3)),
        "head": Range(0.1, 0.6),
    }

    class Config(Method.Config):
        """Knobs of the grades; `width`: columns, solved from the budget."""

        own_precision = True

        user_bits: int = Field(3, ge=1, le=8)
        head_bits: int = Field(4, ge=1, le=8)
        tail_bits: int = Field(2, ge=1, le=8)
        head: float = Field(0.3, gt=0, lt=1)
        width: int = 0

    @classmethod
    def plan(cls, table: Table, config: Config) -> Config:
        return cls.solve("width", table, config, low=1, high=table.most_columns)

    @classmethod
    def storage(cls, config: Config, array: str) -> Storage | None:
        bits = {
            "users.weight": config.user_bits,
            "head.weight": config.head_bits,
            "tail.weight": config.tail_bits,
        }[array]
        aware = AWARE if config.aware is None else config.aware
        scale: Scale = "item" if array == "users.weight" else "row"
        return Storage(bits, "normal" if bits <= 4 else "uniform", scale, aware)

    def build(self) -> None:
        users, items = self.table.users, self.table.items
        first = min(items - 1, max(1, round(self.config.head * items)))
        self.starts = (0, users, users + first)
        self.users, self.head, self.tail = (
            Rows(rows, self.config.width) for rows in (users, first, items - first)
        )
        self.users.users = users

    @property
    def width(self) -> int:
        return self.config.width

    def reset(self, generator: torch.Generator) -> None:
        for rows in (self.users, self.head, self.tail):
            rows.normal(self.table.std, generator)

    def forward(self, ids: Tensor) -> Tensor:
        flat = ids.reshape(-1)
        order: Tensor | None = None
        if bool((flat[1:] < flat[:-1]).any()):
            flat, order = flat.sort()
        borders = torch.searchsorted(flat, torch.tensor(self.starts, device=flat.device)).tolist()
        parts = flat.split([b - a for a, b in zip(borders, [*borders[1:], len(flat)], strict=True)])
        found = torch.cat(
            [
                rows(part - start)
                for rows, part, start in zip(
                    (self.users, self.head, self.tail), parts, self.starts, strict=True
                )
            ]
        )
        if order is not None:
            found = torch.empty_like(found).index_copy(0, order, found)
        return widen(found.view(*ids.shape, self.width), self.table)
