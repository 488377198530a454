"""CCE: ids are clustered again and again while their rows are trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from bench.method import (
    USERS,
    WIDE,
    Choice,
    Field,
    Method,
    Narrow,
    Phase,
    Progress,
    Range,
    Rows,
    Table,
    bits_for,
    columns,
    divide,
    draw_hashes,
    fill_columns,
    hashed,
    k_means,
    least_prime,
    nearest,
    pack_numbers,
    solve_width,
    unpack_numbers,
    widen,
    width_field,
)

_MAPS = ("user_map", "item_map")
_POINTS = 40  # points a centre that k-means sees; all others take the nearest centre


class CCE(Method):
    """e_i = T0[h0(i)] + T1[h1(i)], where h0 is learned and h1 is a hash function.

    h0 is a hash function at first. After some epochs all rows are clustered: T0 becomes the
    centres and h0 the nearest centre. h1 is drawn again, and T1 becomes the mean of what is left
    for each of its rows. Then training goes on. Users and items have rows of their own in both
    tables. The file holds h0 as a map; h1 takes two numbers.

    Differences from the authors' code: a row of T1 without ids is 0 (there it is 0/0), and h1 is
    drawn once a clustering. Its rows have four chunks with tables of their own; `chunks` is 2 here
    by default, because each chunk needs a map. Patience ends no
    training before the last clustering.
    """

    name = "cce"
    title = "CCE"
    paper = "Tsang & Ahle, NeurIPS 2023"
    family = "clustering"
    paper_title = "Clustering the Sketch: Dynamic Compression for Embedding Tables"
    year = 2023
    url = "https://openreview.net/forum?id=C4rRqkXFyC"
    stores = "two tables for each part of the columns, clusters of ids, hash seeds"
    revision = 4
    space: ClassVar = {
        "chunks": Choice((1, 2, 4)),
        "clusterings": Range(1, 8),
        "user_share": USERS,
        "width_factor": WIDE,
    }
    published: ClassVar = {"chunks": 4, "user_share": None, "width_factor": None}

    index_maps = _MAPS
    map: Tensor
    functions: Tensor

    class Config(Narrow):
        """Knobs of the tables.

        `chunks`: parts of a row, each with tables and a map of its own. `clusterings`: how often;
        evenly over the first two thirds of the epochs. `user_share`: share of the rows that is
        users'; none: in proportion. `rows`: of T0, and of T1, in a chunk; solved from the budget.
        """

        width_factor: float | None = width_field(1.2)
        chunks: int = Field(2, ge=1, le=16)
        clusterings: int = Field(4, ge=1, le=16)
        user_share: float | None = Field(0.6, gt=0, lt=1)
        rows: int = 0

    @classmethod
    def plan(cls, table: Table, config: Config) -> Config:
        if config.rows:
            return solve_width(table, config)
        return fill_columns(
            cls, table, config, lambda one: cls.solve("rows", table, one, low=2, high=table.ids)
        )

    @classmethod
    def sides(cls, table: Table, config: Config) -> tuple[tuple[int, int], ...]:
        """Ids and rows of users and of items."""
        most = (table.users, table.items)
        return tuple(zip(most, divide(config.rows, config.user_share, most), strict=True))

    @classmethod
    def piece(cls, table: Table, config: Config) -> int:
        """Columns of a chunk."""
        return -(-columns(table, config) // config.chunks)

    @classmethod
    def packed_maps(cls, table: Table, config: Config) -> dict[str, tuple[int, int]]:
        sides = cls.sides(table, config)
        each = [(config.chunks * ids, rows) for ids, rows in sides]
        return dict(zip(_MAPS, each, strict=True))

    def build(self) -> None:
        chunks = self.config.chunks
        rows = chunks * 2 * self.config.rows
        self.stored = Rows(rows, self.piece(self.table, self.config))
        self.register_buffer("functions", torch.zeros(chunks, 2, dtype=torch.int32))
        self.register_buffer("map", torch.zeros(chunks, self.table.ids, dtype=torch.int64))
        sides = self.sides(self.table, self.config)
        self._rows = sides[0][1], sides[1][1]
        self._primes = least_prime(sides[0][0]), least_prime(sides[1][0])
        self.epoch = self.left = -1

    @property
    def width(self) -> int:
        return columns(self.table, self.config)

    def reset(self, generator: torch.Generator) -> None:
        self.stored.normal(self.table.std / 2**0.5, generator)
        self._draw(generator)
        self.map.copy_(self.second(torch.arange(self.table.ids, device=self.map.device)))
        self._draw(generator)
        self.epoch = self.left = -1

    def _draw(self, generator: torch.Generator) -> None:
        self.functions.copy_(draw_hashes(self.config.chunks, generator))

    def second(self, ids: Tensor) -> Tensor:
        """h1 in each chunk: int64 [*] -> int64 [chunks, *]."""
        part, own = self.table.locate(ids, False)
        rows, primes = (
            torch.where(part.bool(), items, users) for users, items in (self._rows, self._primes)
        )
        return hashed(own, self.functions, primes, rows).movedim(-1, 0) + part * self._rows[0]

    def forward(self, ids: Tensor) -> Tensor:
        flat = ids.reshape(-1)
        start = 2 * self.config.rows * torch.arange(self.config.chunks, device=ids.device)
        first = self.map[:, flat] + start.unsqueeze(1)
        second = self.second(flat) + self.config.rows + start.unsqueeze(1)
        chunks = self.stored(torch.stack((first, second))).sum(0)  # [chunks, n, piece]
        rows = chunks.transpose(0, 1).flatten(1)[:, : self.width]
        return widen(rows.view(*ids.shape, self.width), self.table)

    def advance(self, phase: Phase, progress: Progress) -> None:
        super().advance(phase, progress)
        if progress.epoch == self.epoch:
            return
        self.epoch = progress.epoch
        times = self.config.clusterings
        apart = max(1, round(progress.epochs * 2 / 3 / times))
        number, rest = divmod(self.epoch, apart)
        self.left = max(0, times - number)
        if rest == 0 and 1 <= number <= times:
            self.cluster(torch.Generator().manual_seed(self.table.seed * 1_000_003 + self.epoch))

    def settled(self) -> bool:
        # Patience must not end a training whose rows are still to be clustered.
        return super().settled() and self.left == 0

    @torch.no_grad()
    def cluster(self, generator: torch.Generator) -> None:
        """Set h0 and T0 by k-means of the present rows, and h1 and T1 by what is left."""
        ids = torch.arange(self.table.ids, device=self.map.device)
        rows, weight = self.config.rows, self.stored.weight
        tables = weight.view(self.config.chunks, 2, rows, -1)
        start = 2 * rows * torch.arange(self.config.chunks, device=ids.device).view(-1, 1)
        now = weight[self.map + start] + weight[self.second(ids) + rows + start]
        self._draw(generator)
        second = self.second(ids)
        for chunk, points in enumerate(now):
            first_id = first_row = 0
            for count, own in self.sides(self.table, self.config):
                side = points[first_id : first_id + count]
                some = torch.randperm(count, generator=generator)[: _POINTS * own]
                centres, _ = k_means(side[some], own, generator, sample=len(some))
                codes, _ = nearest(side, centres)
                tables[chunk, 0, first_row : first_row + own] = centres
                self.map[chunk, first_id : first_id + count] = codes + first_row
                first_id, first_row = first_id + count, first_row + own
            left = points - tables[chunk, 0][self.map[chunk]]
            sums = torch.zeros_like(tables[chunk, 1]).index_add_(0, second[chunk], left)
            sizes = torch.bincount(second[chunk], minlength=rows).clamp(min=1)
            tables[chunk, 1] = sums / sizes.unsqueeze(1)

    def pack(self) -> dict[str, Tensor]:
        (users, own), (_, others) = self.sides(self.table, self.config)
        return {
            "stored.weight": self.stored.weight.detach(),
            "functions": self.functions,
            "user_map": pack_numbers(self.map[:, :users], bits_for(own - 1)),
            "item_map": pack_numbers(self.map[:, users:], bits_for(others - 1), first=own),
        }

    @classmethod
    def unpack(cls, packed: Mapping[str, Tensor], table: Table, config: Config) -> Method:
        maps, shift = [], 0
        for name, (ids, own) in zip(_MAPS, cls.sides(table, config), strict=True):
            codes = unpack_numbers(packed[name], bits_for(own - 1), config.chunks * ids)
            maps.append(codes.view(config.chunks, ids) + shift)
            shift += own
        state = {"stored.weight": packed["stored.weight"], "functions": packed["functions"]}
        return super().unpack({**state, "map": torch.cat(maps, 1)}, table, config)
