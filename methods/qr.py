"""The quotient-remainder trick: an id is the pair of its quotient and its remainder."""

from __future__ import annotations

from math import ceil
from typing import ClassVar, Literal

import torch
from torch import Tensor

from bench.method import (
    USERS,
    WIDE,
    AliasChoices,
    Choice,
    Field,
    Infeasible,
    Method,
    Narrow,
    Rows,
    Table,
    columns,
    divide,
    fill_columns,
    value_size,
    widen,
)


class QR(Method):
    """e_i = Q[i // c] * R[i mod c] (or their sum): no two ids share both rows.

    Users and items have a pair of tables each, as features have in the paper. Where the budget is
    too small for two pairs they share one (`joint`), so that a user and an item may share a row of
    R. Two values of c give the same size: with the small one, which is that of users and of items,
    c ids of neighbouring frequency share a row of Q; with the large one ids of very different
    frequency share a row of R, and users and items have a c each, that is, a part of R's rows.
    Budgets between the sizes of c and c + 1 are not reached, because rows are whole, unless values
    have fewer than 32 bits and rows may be wider: then columns are added.
    """

    name = "qr"
    title = "QR trick"
    paper = "Shi et al., KDD 2020"
    family = "composition"
    paper_title = (
        "Compositional Embeddings Using Complementary Partitions for Memory-Efficient "
        "Recommendation Systems"
    )
    year = 2020
    url = "https://arxiv.org/abs/1909.02107"
    stores = "tables of quotients and of remainders"
    space: ClassVar = {
        "combine": Choice(("mult", "add", "signed")),
        "divisor_size": Choice(("small", "large")),
        "joint": Choice((False, True)),
        "user_share": USERS,
        "width_factor": WIDE,
    }
    published: ClassVar = {"combine": "mult", "divisor_size": "small", "joint": False}

    class Config(Narrow):
        """Knobs of the tables.

        `combine`: how two rows are joined; `divisor_size`: which of the two divisors of a size;
        `joint`: one pair of tables; `user_share`: share of R's rows that is users' where c is large
        and R is not shared, none: in proportion; `divisor`: c, the number of ids that share a row
        of Q;
        `item_divisor`: that of items, where it is another.

        "signed" multiplies as "mult" does, but rows of Q start as random signs and R has the scale:
        a row of Q in front of many ids weakens no column, and R learns as fast as a plain table.
        """

        combine: Literal["mult", "add", "signed"] = "mult"
        divisor_size: Literal["small", "large"] = Field(
            "small",
            validation_alias=AliasChoices("divisor_size", "root"),
            serialization_alias="root",
        )
        joint: bool = False
        user_share: float | None = Field(
            None,
            gt=0,
            lt=1,
            validation_alias=AliasChoices("user_share", "users"),
            serialization_alias="users",
        )
        divisor: int = 0
        item_divisor: int | None = Field(None, ge=1)

        def divisors(self) -> tuple[int, ...]:
            """Of each part of the ids: of all, or of users and of items."""
            if self.joint:
                return (self.divisor,)
            return self.divisor, self.item_divisor or self.divisor

    @classmethod
    def plan(cls, table: Table, config: Config) -> Config:
        if config.divisor:
            return config
        return fill_columns(cls, table, config, lambda one: cls.solve_divisors(table, one))

    @classmethod
    def solve_divisors(cls, table: Table, config: Config) -> Config:
        """Set the divisors, and `joint` where two pairs of tables are too large.

        Raises:
            Infeasible: so is one pair.
        """
        # The size falls with c up to about sqrt(N) and rises from there, unevenly because rows are
        # whole: scan it.
        parts, turn = table.parts(config.joint), ceil(table.ids**0.5)
        if config.divisor_size == "small":
            tries: list[tuple[int, ...]] = [(c,) * len(parts) for c in range(1, turn + 1)]
        else:
            totals = range(table.ids, turn - 1, -1)
            most = table.users, table.items
            tries = [
                (rows,) if config.joint else divide(rows, config.user_share, most)
                for rows in totals
            ]

        def rows(divisors: tuple[int, ...]) -> int:
            return sum(ceil(n / c) + c for n, c in zip(parts, divisors, strict=True))

        def solved(divisors: tuple[int, ...]) -> QR.Config:
            users, items = divisors[0], divisors[-1]
            return config.but(divisor=users, item_divisor=None if items == users else items)

        def size(divisors: tuple[int, ...]) -> int:
            return cls.file_size(table, solved(divisors)).of(table.cap)

        row = value_size(table, config) * columns(table, config)
        for one in tries:
            if rows(one) * row <= table.cap.cap and size(one) <= table.cap.cap:
                return solved(one)
        if not config.joint:
            return cls.solve_divisors(table, config.but(joint=True))
        # The header has the divisors, so that equal numbers of rows differ by a few bytes.
        fewest = min(map(rows, tries))
        small = [one for one in tries if (rows(one) - fewest) * row <= 32]
        raise Infeasible(min(map(size, small)), table.cap.accounting, "two partitions of ids")

    def build(self) -> None:
        parts, divisors = self.table.parts(self.config.joint), self.config.divisors()
        blocks = [ceil(ids / c) for ids, c in zip(parts, divisors, strict=True)]
        self.first_blocks = blocks[0]
        width = columns(self.table, self.config)
        self.quotient = Rows(sum(blocks), width)
        self.remainder = Rows(sum(divisors), width)

    @property
    def width(self) -> int:
        return columns(self.table, self.config)

    def reset(self, generator: torch.Generator) -> None:
        # The reference code fills both from U(sqrt(1/N), 1): every product is positive and every
        # score starts near d/16. Centred factors give rows of the common scale instead.
        std = self.table.std
        if self.config.combine == "signed":
            self.quotient.signs(generator)
            self.remainder.normal(std, generator)
        else:
            factor = std**0.5 if self.config.combine == "mult" else std / 2**0.5
            self.quotient.normal(factor, generator)
            self.remainder.normal(factor, generator)

    def outcome(self) -> str:
        quotients, remainders = len(self.quotient.weight), len(self.remainder.weight)
        return f"{quotients:,} quotient rows and {remainders:,} remainder rows"

    def forward(self, ids: Tensor) -> Tensor:
        part, own = self.table.locate(ids, self.config.joint)
        first, last = self.config.divisors()[0], self.config.divisors()[-1]
        divisor = first + part * (last - first)
        block = torch.div(own, divisor, rounding_mode="floor") + part * self.first_blocks
        quotient, remainder = self.quotient(block), self.remainder(own % divisor + part * first)
        add = self.config.combine == "add"
        return widen(quotient + remainder if add else quotient * remainder, self.table)
