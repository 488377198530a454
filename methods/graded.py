"""Graded codes: rows of few bits a value, more bits for those that count in more scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor

from bench.method import (
    AWARE,
    Arrays,
    Choice,
    Field,
    Levels,
    Method,
    Range,
    RangedRounding,
    Rounding,
    Rows,
    Scale,
    ScaleBits,
    Storage,
    Table,
    widen,
)

GradeBits = Literal[1, 2, 3, 4, 6, 8]
FEW = 20
"""Columns. With fewer, each of a user's values counts more, and the scale of an item takes a larger
share of its bytes."""


class Graded(Method):
    """e_i has `width` columns for every id; its values have b bits, by side and popularity.

    Users have `user_bits`, the most popular share `head` of the items `head_bits`, the other items
    `tail_bits`. Ids are numbered by popularity, so that the grades need no map. Levels are those
    of `bench.method.storage`; a user's row has length 1, the length of an item has `scale_bits`.
    The columns are solved from the budget. A method of this project: it has no paper.
    """

    name = "graded"
    title = "Graded codes"
    family = "mixed precision"
    stores = "codes in more bits for popular items, lengths of items"
    revision = 3
    paper = "this project"
    space: ClassVar = {
        "user_bits": Choice((None, 2, 3, 4)),
        "head_bits": Choice((3, 4, 6)),
        "tail_bits": Choice((1, 2, 3)),
        "head": Range(0.1, 0.6),
    }

    class Config(Method.Config):
        """Knobs of the grades; `width`: columns, solved from the budget.

        `user_bits`, none: 4 where the budget holds fewer than 20 columns of these, else 3.
        `scale_bits`, none: 4 there, else 8 (docs/lab/precision.md). `user_lengths`: whether users'
        rows have lengths, none: where rows are summed over a graph.

        Rounding begins late: earlier, steps of the usual size only move values between levels.
        """

        own_precision = True

        user_bits: GradeBits | None = None
        head_bits: GradeBits = 4
        tail_bits: GradeBits = 2
        head: float = Field(0.3, gt=0, lt=1)
        user_lengths: bool | None = None
        width: int = 0

    @classmethod
    def plan(cls, table: Table, config: Config) -> Config:
        # A record has the knob only where it changes something.
        config = config.but(user_lengths=config.user_lengths or None)
        return cls.by_size(table, config, table.most_columns)

    @classmethod
    def by_size(cls, table: Table, config: Config, most: int) -> Config:
        """Solve the columns, at most `most`, and the bits that follow from their number."""

        def solved(users: GradeBits, scale: ScaleBits) -> Graded.Config:
            bits = {
                "user_bits": config.user_bits or users,
                "scale_bits": config.scale_bits or scale,
            }
            return cls.solve("width", table, config.but(**bits), low=1, high=most)

        narrow = solved(4, 4)
        return narrow if narrow.width < FEW else solved(3, 8)

    @classmethod
    def grades(cls, table: Table, config: Config) -> dict[str, tuple[int, int]]:
        """Rows and bits of each grade, in the order of the ids."""
        first = min(table.items - 1, max(1, round(config.head * table.items)))
        return {
            "user": (table.users, config.user_bits or 3),
            "head": (first, config.head_bits),
            "tail": (table.items - first, config.tail_bits),
        }

    @classmethod
    def storage(cls, config: Config, array: str) -> Storage:
        bits: int = getattr(config, f"{array}_bits") or 3
        aware = AWARE if config.aware is None else config.aware
        scale: Scale = "item" if array == "user" and not config.user_lengths else "row"
        levels: Levels = "normal" if bits <= 4 else "uniform"
        return Storage(bits, levels, scale, aware, config.scale_bits or 8)

    @classmethod
    def user_rows(cls, table: Table, config: Config) -> dict[str, int]:
        return {"user": table.users}

    @classmethod
    def arrays(cls, table: Table, config: Config) -> Arrays:
        grades = cls.grades(table, config).items()
        return {name: (torch.float32, (rows, config.width)) for name, (rows, _) in grades}

    def build(self) -> None:
        self.stored = Rows(self.table.ids, self.config.width)

    def rounding(self, array: str, table: Rows) -> Rounding:
        users = self.user_rows(self.table, self.config)
        return RangedRounding(
            [
                (rows, Rounding(self.storage(self.config, name), users.get(name)))
                for name, (rows, _) in self.grades(self.table, self.config).items()
            ]
        )

    @property
    def width(self) -> int:
        return self.config.width

    def reset(self, generator: torch.Generator) -> None:
        self.stored.normal(self.table.std, generator)

    def forward(self, ids: Tensor) -> Tensor:
        return widen(self.stored(ids), self.table)

    def pack(self) -> dict[str, Tensor]:
        grades = self.grades(self.table, self.config)
        parts = self.stored.weight.detach().split([rows for rows, _ in grades.values()])
        return {name: part.contiguous() for name, part in zip(grades, parts, strict=True)}

    @classmethod
    def unpack(cls, packed: Mapping[str, Tensor], table: Table, config: Config) -> Method:
        weight = torch.cat([packed[name] for name in cls.grades(table, config)])
        return super().unpack({"stored.weight": weight}, table, config)
