"""Mixed dimension: frequent items have wider rows than rare ones."""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from bench.method import Choice, Field, Method, Range, Rows, Size, Table, largest, widen


class MixedDimension(Method):
    """An item of frequency bucket j has the first k_j columns; the others are zero.

    k_j = width (f_j / f_1)^alpha, at least 1, where f_j is the mean number of training interactions
    of the items in bucket j, and bucket 1 is the most frequent. All users have `width` columns,
    because a user's row takes part in the scores of all items. What the budget leaves is given to
    the most frequent buckets, column by column.

    The paper maps narrow rows to the common width by a projection of each bucket. Here narrow rows
    are prefixes of wide ones, so that a score needs no projection, and none is stored. Buckets are
    ranges of ids, which are numbered by frequency, so that no map is stored either.
    """

    name = "mixed"
    title = "Mixed dimension"
    paper = "Ginart et al., ISIT 2021"
    family = "mixed width"
    paper_title = (
        "Mixed Dimension Embeddings with Application to Memory-Efficient Recommendation Systems"
    )
    year = 2021
    url = "https://arxiv.org/abs/1909.11810"
    stores = "a table for each width"
    space: ClassVar = {"alpha": Range(0.0, 1.0), "buckets": Choice((4, 8))}

    class Config(Method.Config):
        """Knobs of the widths.

        `alpha`: how fast widths fall with frequency; 0: all rows have the same width. `buckets`:
        frequency buckets of the items, each with an equal share of the interactions. `width`:
        columns of a user and of the most frequent items. `sizes`, `widths`: items and columns of
        each bucket. The last three are solved from the budget.
        """

        alpha: float = Field(0.3, ge=0, le=1)
        buckets: int = Field(4, ge=1, le=64)
        width: int = 0
        sizes: tuple[int, ...] = Field((), strict=False)
        widths: tuple[int, ...] = Field((), strict=False)

        def with_columns(self, bucket: int, columns: int) -> MixedDimension.Config:
            """A copy in which one bucket has another number of columns."""
            widths = [*self.widths]
            widths[bucket] = columns
            return self.but(widths=tuple(widths))

    @staticmethod
    def sizes(counts: Tensor, buckets: int) -> tuple[int, ...]:
        """Numbers of items in buckets of about equal total counts: int64 [I], falling."""
        reached = counts.cumsum(0).double() / counts.sum().clamp(min=1)
        edges = torch.arange(1, buckets, dtype=torch.float64) / buckets
        ends = [0, *torch.searchsorted(reached, edges, right=True).tolist(), len(counts)]
        return tuple(end - start for start, end in pairwise(ends) if end > start)

    @classmethod
    def plan(cls, table: Table, config: Config) -> Config:
        if config.width:
            return config
        counts = table.counts
        counts = torch.ones(table.ids, dtype=torch.int64) if counts is None else counts.cpu()
        sizes = cls.sizes(counts[table.users :], config.buckets)
        means = [float(one.double().mean()) for one in counts[table.users :].split(list(sizes))]
        shares = [(mean / max(1e-9, *means)) ** config.alpha for mean in means]

        def solved(width: int) -> MixedDimension.Config:
            widths = tuple(max(1, round(width * share)) for share in shares)
            return config.but(sizes=sizes, width=width, widths=widths)

        width = largest(
            lambda one: cls.file_size(table, solved(one)), table.cap, high=table.most_columns
        )
        config = solved(width)
        for at in range(len(sizes)):

            def size(columns: int, at: int = at, plan: MixedDimension.Config = config) -> Size:
                return cls.file_size(table, plan.with_columns(at, columns))

            least = config.widths[at]
            config = config.with_columns(at, largest(size, table.cap, least, width))
        return config

    @staticmethod
    def ranges(table: Table, config: Config) -> list[tuple[int, int]]:
        """Rows and columns of each stored table: users, then items; equal widths are joined."""
        items = groupby(zip(config.widths, config.sizes, strict=True), key=lambda one: one[0])
        joined = [(sum(size for _, size in group), width) for width, group in items]
        return [(table.users, config.width), *joined]

    def build(self) -> None:
        ranges = self.ranges(self.table, self.config)
        parts = [Rows(rows, columns) for rows, columns in ranges]
        parts[0].users = self.table.users  # all rows of this table are users'
        self.parts = nn.ModuleList(parts)

    @property
    def width(self) -> int:
        return self.config.width

    def reset(self, generator: torch.Generator) -> None:
        for part in self.tables():
            part.normal(self.table.std, generator)

    def forward(self, ids: Tensor) -> Tensor:
        flat, start = ids.reshape(-1), 0
        pieces, places = [], []
        for part in self.tables():
            rows, columns = part.weight.shape
            here = ((flat >= start) & (flat < start + rows)).nonzero().squeeze(1)
            if len(here):
                pieces.append(pad(part(flat[here] - start), (0, self.width - columns)))
                places.append(here)
            start += rows
        if not pieces:
            return widen(flat.new_zeros(*ids.shape, self.width, dtype=torch.float32), self.table)
        found = torch.cat(pieces).index_select(0, torch.cat(places).argsort())
        return widen(found.view(*ids.shape, self.width), self.table)
