"""The places of held-out items in a ranking, without the ranking.

Metrics of training's validation need to know at which place each held-out item stands, and not what
stands above it. A user has few such items, and counting the scores above one is a single pass of
vector instructions. The result is that of the full ranking (`bench.engine.scan`): scores in float32
decide where their rounding cannot matter, and products in float64 elsewhere.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.engine.scan import error_of_products

_TILE = 2048  # items whose scores are computed together


class Places:
    """Counts what stands above the held-out items of blocks of users.

    Args:
        users: float32 [U, d].
        items: float32 [I, d], in the order that decides ties.
        most: places that count.
    """

    def __init__(self, users: Tensor, items: Tensor, most: int) -> None:
        self._users, self._items, self._most = users.contiguous(), items.contiguous(), most
        self._slack = error_of_products(users, items)
        self._tiles = self._items.split(_TILE)

    def __call__(
        self,
        ids: Tensor,
        seen: tuple[NDArray[np.int32], NDArray[np.int64]],
        wanted: tuple[NDArray[np.int32], NDArray[np.int64]],
    ) -> NDArray[np.int64]:
        """How many items stand above each wanted item; at least `most` where more do.

        Args:
            ids: int64 [b], the users.
            seen: columns that are no candidates, rising for each user, and where each user's part
                starts [b + 1].
            wanted: the same of wanted items.
        """
        from bench.engine import counting

        mine, (columns, starts) = self._users.index_select(0, ids), wanted
        columns, starts = columns[starts[0] : starts[-1]], starts - starts[0]
        users, items = mine.numpy(), self._items.numpy()
        exact, places = np.empty(len(columns), np.float32), np.zeros(len(columns), np.int64)
        counting.exact_scores(users, items, columns, starts, exact)
        at, ends = seen[1][:-1].copy(), seen[1][1:]
        its = columns, starts, exact, self._slack[ids.numpy()], users, items, self._most, places
        first = 0
        for part in self._tiles:
            tile = torch.mm(mine, part.T)
            counting.count_above(tile.numpy(), first, seen[0], at, ends, *its)
            first += len(part)
        return places
