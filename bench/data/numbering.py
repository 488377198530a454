"""In which order users and items are numbered during a run.

Methods that share rows between ids (QR, CERP, TT-Rec, hashing of the tail) depend on which ids are
neighbours, so the numbering must not be an accident of a file: in Gowalla's published files items
are numbered as they first appear, user by user, so that neighbouring items were visited together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.data.csr import CSR
from bench.data.interactions import Interactions

Numbering = Literal["popularity", "random", "file"]
_SEED = 20_231_204  # fixed: ties and random numberings are the same in every run and method


@dataclass(frozen=True, eq=False)
class Numbered:
    """Renumbered data.

    Attributes:
        data: the same interactions under new numbers; fingerprints are those of the original.
        users: int64 [users], the original number of each user.
        items: int64 [items], the original number of each item.
    """

    data: Interactions
    users: NDArray[np.int64]
    items: NDArray[np.int64]


def number(data: Interactions, how: Numbering) -> Numbered:
    """Renumber users and items.

    Args:
        data: a split, in the numbers of its files.
        how: `popularity`: by falling count in the training part, equal counts at random;
            `random`; or `file`: as they are.
    """
    users = _order(data.user_counts(), how, 0)
    items = _order(data.item_counts(), how, 1)
    if how == "file":
        return Numbered(data, users, items)
    user_at, item_at = _inverse(users), _inverse(items)

    def moved(part: CSR) -> CSR:
        return CSR.from_pairs(user_at[part.rows()], item_at[part.indices], data.users)[0]

    renumbered = replace(
        data, train=moved(data.train), valid=moved(data.valid), test=moved(data.test)
    )
    return Numbered(renumbered, users, items)


def _order(counts: NDArray[np.int64], how: Numbering, stream: int) -> NDArray[np.int64]:
    """Original numbers in their new order."""
    if how == "file":
        return np.arange(counts.size)
    shuffled = np.random.Generator(np.random.PCG64([_SEED, stream])).permutation(counts.size)
    if how == "random":
        return shuffled
    return shuffled[np.argsort(-counts[shuffled], kind="stable")]


def _inverse(order: NDArray[np.int64]) -> NDArray[np.int64]:
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    return place
