"""TT-Rec: the table as a train of three small tensors."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, normalize

from bench.method import (
    WIDE,
    AliasChoices,
    Choice,
    Field,
    Infeasible,
    Method,
    Narrow,
    Range,
    Storage,
    Table,
    columns,
    fill_columns,
    train_rows,
    train_table,
    value_size,
    widen,
)

GATHERED = 90  # making a part of a row costs so many times less than gathering what it is made of
FILL = 0.992  # share of the budget that has to be used, where ranks allow
FACTORED = 16  # many columns come in multiples of it, which have three factors of similar size


class TTRec(Method):
    """Row i is the product G1[i1] G2[i2] G3[i3] with i = (i1 p2 + i2) p3 + i3.

    Core k is [p_k, q_k, R_{k-1}, R_k], the product of the p_k covers all ids and that of
    the q_k is `width`. Equal ranks leave up to 12 % of a budget unused, very unequal ones make a
    worse table: the ranks taken are the least unequal that use 99 % of it.
    """

    name = "ttrec"
    title = "TT-Rec"
    paper = "Yin et al., MLSys 2021"
    family = "tensor train"
    paper_title = "TT-Rec: Tensor Train Compression for Deep Learning Recommendation Models"
    year = 2021
    url = "https://arxiv.org/abs/2101.11714"
    stores = "three small tensors"
    space: ClassVar = {
        "rank_imbalance": Range(0.0, 0.9),
        "last_factor": Choice((None, 1, 2)),
        "unit_rows": Choice((None, True)),
        "outer_rate": Choice((None, 0.3, 0.1, 0.03)),
        "width_factor": WIDE,
    }
    published: ClassVar = {"rank_imbalance": 0.0}

    class Config(Narrow):
        """Own knobs.

        `rank1`, `rank2`: the inner ranks; `rank_imbalance`: 1 - the smaller over the larger, at
        most. `last_factor`: q3, or the largest divisor below it of what q2 leaves; none: the q are
        as equal as they can be. A step takes fewer operations when the last core has less of a row
        and the first has more: products of cores 2 and 3 cost p3 q3 times what core 2 holds.
        `unit_rows`: rows are divided by their lengths. Ids share cores, so a row cannot learn a
        length of its own, and scores that use lengths can be worse (docs/lab/weak-forms.md).
        `outer_rate`: learning rate of cores 1 and 3, as a share of that of core 2; none: 1. Each of
        their few entries moves the rows of many ids, so that a rate that suits core 2 may be too
        high for them.
        """

        rank1: int = 0
        rank2: int = 0
        rank_imbalance: float = Field(
            0.6,
            validation_alias=AliasChoices("rank_imbalance", "spread"),
            serialization_alias="spread",
        )
        last_factor: int | None = Field(
            None,
            ge=1,
            validation_alias=AliasChoices("last_factor", "last"),
            serialization_alias="last",
        )
        unit_rows: Literal[True] | None = None
        outer_rate: float | None = Field(None, gt=0, le=1)

    @staticmethod
    def factors(
        table: Table, width: int, last: int | None = None
    ) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """(p1, p2, p3) with product >= N and (q1, q2, q3) with product `width` and q3 = `last`."""
        third = round(table.ids ** (1 / 3))
        third += third**3 < table.ids
        second = ceil((table.ids / third) ** 0.5)
        first = ceil(table.ids / third / second)
        splits = [
            (a, b, width // a // b)
            for a in range(1, width + 1)
            if width % a == 0
            for b in range(a, width // a + 1)
            if width // a % b == 0 and width // a // b >= b
        ]
        q1, q2, q3 = min(splits, key=lambda q: q[2] - q[0])
        if last is not None:
            q3 = max(q for q in range(1, last + 1) if width // q2 % q == 0)
            q1 = width // q2 // q3
        return (first, second, third), (q1, q2, q3)

    @classmethod
    def plan(cls, table: Table, config: Config) -> Config:
        if config.rank1 and config.rank2:
            return config
        return fill_columns(
            cls, table, config, lambda one: cls.solve_ranks(table, one), step=FACTORED
        )

    @classmethod
    def solve_ranks(cls, table: Table, config: Config) -> Config:
        """Set the ranks.

        Raises:
            Infeasible: ranks of 1 are too large.
        """
        if config.width and config.width > FACTORED and Storage.of(config):
            # Widths without small factors make a lopsided train.
            nearest = FACTORED * round(config.width / FACTORED)
            config = config.but(width=min(table.most_columns, nearest))
        (p1, p2, p3), (q1, q2, q3) = cls.factors(table, columns(table, config), config.last_factor)
        # Ranks beyond these add parameters and no freedom.
        top1, top2 = min(p1 * q1, p2 * p3 * q2 * q3), min(p3 * q3, p1 * p2 * q1 * q2)

        def size(rank1: int, rank2: int) -> int:
            ranks = config.but(rank1=rank1, rank2=rank2)
            return cls.file_size(table, ranks).of(table.cap)

        if size(1, 1) > table.cap.cap:
            raise Infeasible(size(1, 1), table.cap.accounting)
        unit = value_size(table, config)
        container = int(size(1, 1) / unit) - (p1 * q1 + p2 * q2 + p3 * q3)  # in values
        # The header's length varies by a few digits of offsets and ranks.
        spare = ceil(24 / unit) if table.cap.accounting == "bytes" else 0
        budget = int(table.cap.cap / unit) - container - spare
        found = []
        for rank1 in range(1, top1 + 1):
            rank2 = (budget - p1 * q1 * rank1) // (rank1 * p2 * q2 + p3 * q3)
            rank2 = min(rank2, top2, round(rank1 / (1 - config.rank_imbalance)))
            if rank2 < 1:
                break
            apart = 1 - min(rank1, rank2) / max(rank1, rank2)
            used = p1 * q1 * rank1 + rank1 * p2 * q2 * rank2 + p3 * q3 * rank2
            # A rank that cannot grow does not bind the other one.
            even = apart <= config.rank_imbalance or (rank2 == top2 and rank1 > rank2)
            if even and size(rank1, rank2) <= table.cap.cap:
                found.append(
                    (used < FILL * budget, apart if used >= FILL * budget else -used, rank1, rank2)
                )
        *_, rank1, rank2 = min(found, default=(True, 0, 1, 1))
        return config.but(rank1=rank1, rank2=rank2)

    @property
    def width(self) -> int:
        return columns(self.table, self.config)

    def build(self) -> None:
        self.p, self.q = self.factors(self.table, self.width, self.config.last_factor)
        rank1, rank2 = self.config.rank1, self.config.rank2
        (p1, p2, p3), (q1, q2, q3) = self.p, self.q
        self.core1 = nn.Parameter(torch.empty(p1, q1, rank1))
        self.core2 = nn.Parameter(torch.empty(p2, q2, rank1, rank2))
        self.core3 = nn.Parameter(torch.empty(p3, q3, rank2))

    def reset(self, generator: torch.Generator) -> None:
        # An entry of a row is a sum of R1 R2 products of three: with N(0, s^2) cores its variance
        # is R1 R2 s^6. The reference code's approx-normal start ignores the ranks (its rows have a
        # standard deviation of .03 at rank 1 and 2.9 at rank 96).
        std = (self.table.std**2 / (self.config.rank1 * self.config.rank2)) ** (1 / 6)
        with torch.no_grad():
            for core in (self.core1, self.core2.transpose(1, 2), self.core3.transpose(1, 2)):
                core.copy_(torch.randn(core.shape, generator=generator).mul_(std))

    def groups(self, lr: float) -> Iterable[dict[str, Any]]:
        yield {"params": [self.core2], "lr": lr}
        yield {"params": [self.core1, self.core3], "lr": lr * (self.config.outer_rate or 1.0)}

    def outcome(self) -> str:
        return f"ranks {self.config.rank1} and {self.config.rank2}, {self.width} columns"

    def forward(self, ids: Tensor) -> Tensor:
        (p1, p2, p3), (q1, q2, q3) = self.p, self.q
        rank1, rank2 = self.config.rank1, self.config.rank2
        core1, core2, core3 = (self.value(name) for name in ("core1", "core2", "core3"))
        flat = ids.reshape(-1)
        if len(flat) * GATHERED > p1 * p2 * p3 * q1:
            # Making all rows costs less than gathering the parts of these.
            rows = train_table(core1, core2, core3, flat)
        elif len(flat) * (q1 * rank1 + q1 * q3) > p2 * p3 * rank1 * q3:
            # Many ids: every product of cores 2 and 3 is needed about once.
            rows = train_rows(core1, core2, core3, flat)
        else:
            # Looked up as embeddings, whose gradient goes by whole slices; indexing by entries.
            last, rest = flat % p3, torch.div(flat, p3, rounding_mode="floor")
            first = embedding(torch.div(rest, p2, rounding_mode="floor"), core1.flatten(1))
            slices = embedding(rest % p2, core2.flatten(1)).view(-1, q2, rank1, rank2)
            front = first.view(-1, 1, q1, rank1) @ slices  # [n, q2, q1, R2]
            slices = embedding(last, core3.flatten(1)).view(-1, 1, q3, rank2)
            rows = (front @ slices.transpose(2, 3)).transpose(1, 2)  # [n, q1, q2, q3]
        rows = rows.reshape(*ids.shape, self.width)
        if self.config.unit_rows:
            rows = normalize(rows, dim=-1)
        return widen(rows, self.table)
