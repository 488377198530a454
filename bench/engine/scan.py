"""The first items of each user by dot products: one pass over scores that are still in the cache.

Scores of a block of users are computed for one tile of items at a time. A compiled loop compares
each score with a bound of its row, and collects the few that reach it. The bound rises with what is
found. To start it high, the scores of a sample of items are looked through first: the bound becomes
a score that the sample has so often that nearly surely the wanted entries of all items reach it.
A row for which this fails is ranked in the plain way (`bench.engine.topk`).

The GEMM sums in float32 in an order of its own, so the search keeps all entries that its error
could hide, and products in float64 decide (`bench.engine.topk.products`). The result is exact and
the same as that of the plain way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.compiled import available

_TILE = 1024  # items whose scores are computed together
_FEWEST = 512  # a smaller catalogue has no sample
_ROOM = 256  # entries that a row collects before its bound is raised
_UNIT = 2.0**-24  # rounding error of float32
_NOBODY = np.empty(0, np.int32)  # columns that are no candidates


def warm_up() -> None:
    """Load the compiled loops, or compile them, by ranking one user's two items."""
    if available():
        ones = torch.ones(2, 1)
        Scan(ones, ones, 1, 1)(torch.zeros(1, dtype=torch.int64), _NOBODY, np.zeros(2, np.int64))


@dataclass(frozen=True)
class _Rows:
    """What a block of users has collected; the arguments of the loops in `kernels`."""

    values: NDArray[np.float32]
    columns: NDArray[np.int32]
    counts: NDArray[np.int64]
    bounds: NDArray[np.float32]
    slack: NDArray[np.float32]


class Scan:
    """Finds the first items of blocks of users.

    Args:
        users: float32 [U, d].
        items: float32 [I, d], in an order that does not depend on scores.
        count: wanted items of each user, at most I.
        block: users of a block, at most.
    """

    def __init__(self, users: Tensor, items: Tensor, count: int, block: int) -> None:
        from bench.engine import kernels

        self._kernels = kernels
        self._users, self._items, self._count = users.contiguous(), items.contiguous(), count
        total = len(items)
        self._slack = 2 * error_of_products(users, items)
        sample = _sample(total)
        edges = [0, *range(sample, total, _TILE), total]
        # GEMMs of few users are faster with columns that are contiguous.
        self._tiles = [
            (first, self._items[first:last].T.contiguous()) for first, last in pairwise(edges)
        ]
        self._ranks = _ranks(edges[1:], count)
        room = max(_ROOM, 4 * count)
        chunk = kernels.CHUNK
        self._tile = torch.empty(block, -(-min(_TILE, total) // chunk) * chunk)
        self._values = np.empty((block, room), np.float32)
        self._columns = np.empty((block, room), np.int32)
        self._work = np.empty(room, np.float32)

    def __call__(
        self, ids: Tensor, seen: NDArray[np.int32], starts: NDArray[np.int64]
    ) -> NDArray[np.int32]:
        """Columns of the best items of each user, best first, ties by column.

        Args:
            ids: int64 [b], the users.
            seen: columns that are no candidates, rising for each user.
            starts: [b + 1], where each user's part of `seen` starts.

        Returns:
            int32 [b, count]; -1 in the first place where the row has to be ranked in another way.
        """
        kernels, size, count = self._kernels, len(ids), self._count
        mine = self._users.index_select(0, ids)
        found = _Rows(
            self._values[:size],
            self._columns[:size],
            np.zeros(size, np.int64),
            np.full(size, np.finfo(np.float32).min),
            self._slack[ids.numpy()],
        )
        at, ends = starts[:-1].copy(), starts[1:]
        tile = self._tile[:size]
        for (first, columns), rank in zip(self._tiles, self._ranks, strict=True):
            width = columns.shape[1]
            torch.mm(mine, columns, out=tile[:, :width])
            # In the sample, scores below the rank are of no use.
            wanted, room = (rank, 4 * rank) if rank and not first else (count, len(self._work))
            place = (tile.numpy(), width, first, seen, at, ends)
            kernels.search(*place, *vars(found).values(), wanted, room, self._work)
            if rank:
                kernels.raise_bounds(*vars(found).values(), rank, self._work)
        best = np.empty((size, count), np.int32)
        kernels.decide(mine.numpy(), self._items.numpy(), *vars(found).values(), best, self._work)
        return best


def error_of_products(users: Tensor, items: Tensor) -> NDArray[np.float32]:
    """By how much a user's products in float32 are off at most: [U, d], [I, d] -> float32 [U]."""
    # The sum of d products is off by at most about d roundings of the product of lengths.
    width = items.shape[1]
    error = 1.05 * (width + 3) * _UNIT * users.norm(dim=1) * items.norm(dim=1).max()
    found: NDArray[np.float32] = error.numpy()
    return found


def _sample(items: int) -> int:
    """Items of the sample: an eighth, in whole chunks, at most a tile; all of a small catalogue."""
    return items if items < _FEWEST else min(_TILE, -(-items // 1024) * 128)


def _ranks(edges: list[int], count: int) -> list[int]:
    """By which of the scores found so far the bound rises after each tile, 0 for none.

    After the sample, and whenever four times as many items were searched, until half of them were.

    Args:
        edges: items searched after each tile.
        count: wanted entries.
    """
    ranks, last = [0] * len(edges), 0
    for number, edge in enumerate(edges):
        if 2 * edge <= edges[-1] and edge >= 4 * last:
            ranks[number], last = _hardly_reached(count * edge / edges[-1]), edge
    return ranks


def _hardly_reached(mean: float) -> int:
    """How many of the first entries a part hardly ever has, if it has `mean` on average."""
    return math.ceil(mean + 3 * math.sqrt(mean) + 1.5)
