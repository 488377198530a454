"""Losses of dot products with shared negatives, each user and each negative computed once.

A batch has a user as often as it has pairs of that user, and uniform negatives repeat in a small
catalogue. On MovieLens 100k a batch of 1,024 pairs and 512 negatives has 508 users and 431
negatives, so that a score matrix of these has 42 % of the entries. What repeats is counted: a
negative by its number, a user by the sum of what the pairs need. Rows that repeat are not copied.
Results differ from those of `bench.engine.shared_loss` by rounding only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_BLOCK = 2**18  # scores at a time: 1 MB
_CALM = 60.0  # e^60 times the number of negatives is far from the largest float32
_FEW = 16  # columns; below, a GEMM whose result has as many rows beats one with as many columns


class Scores(NamedTuple):
    """Scores of some users.

    Attributes:
        above: of their pairs [b], in the order of the users.
        owners: int64 [b], the user of each pair.
        below: [u, k], of each user and each negative; to be overwritten by `Weigh`.
        counts: [k], how often the batch has each negative.
        pairs: of the whole batch.
        calm: whether all scores are small enough for their exponentials to be summed.
    """

    above: NDArray[Any]
    owners: NDArray[Any]
    below: Tensor
    counts: Tensor
    pairs: int
    calm: bool


class Few(NamedTuple):
    """The entries of a sparse matrix of ones.

    Attributes:
        starts: int64 [u + 1], where the columns of each row start.
        columns: int32, row by row; what follows the last row's means nothing.
    """

    starts: NDArray[Any]
    columns: NDArray[Any]


class Weights(NamedTuple):
    """The loss of some users and its derivatives by their scores.

    Attributes:
        loss: their part of the batch's mean.
        pull: [b], the derivative by the scores of pairs.
        share: [u]; share * counts * `push` is the derivative by the scores of negatives.
        push: where `push` has few entries that are not 0, and these are 1: their places. None: it
            is what `below` holds now.
    """

    loss: float
    pull: NDArray[Any]
    share: NDArray[Any]
    push: Few | None = None


Weigh = Callable[[Scores], Weights]


@dataclass(frozen=True)
class Grouping:
    """How an objective is computed by groups.

    Attributes:
        weigh: gives the loss and its derivatives.
        scale: factor of the products of rows.
    """

    weigh: Weigh
    scale: float = 1.0


def grouped_loss(
    rows: Tensor, users: Tensor, positives: Tensor, negatives: Tensor, how: Grouping
) -> Tensor:
    """Mean loss of a batch, on a CPU.

    Args:
        rows: of all ids of the batch, [m, width].
        users: int64 [B], places among the rows.
        positives: likewise [B].
        negatives: likewise [k].
        how: of the objective.
    """
    loss: Tensor = _Grouped.apply(rows, users, positives, negatives, how)
    return loss


class _Grouped(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, users: Tensor, positives: Tensor, negatives: Tensor, how: Grouping
    ) -> Tensor:
        from bench.engine import grouping

        rows = rows.contiguous()
        table, size = rows.numpy(), len(rows)
        mine, starts, order, owners = grouping.group(users.numpy(), size)
        others, firsts, _, _ = grouping.group(negatives.numpy(), size)
        pairs = mine[owners], positives.numpy()[order]
        above = np.empty(len(order), table.dtype)
        grouping.pair_scores(table, *pairs, how.scale, above)
        calm = bool(grouping.longest(table) * how.scale <= _CALM)
        by_row = torch.zeros_like(rows)
        people, by_user, first = rows[: len(mine)], by_row[: len(mine)], len(mine) - 1
        if mine[first] != first:  # users do not come first
            people = rows.index_select(0, torch.from_numpy(mine))
            by_user = torch.empty_like(people)
        items = torch.from_numpy(others)
        counts = torch.from_numpy(np.diff(firsts).astype(table.dtype))
        products = _Products(people, rows.index_select(0, items), counts, how.scale, by_user)
        loss, pull = 0.0, np.empty_like(above)
        block = max(1, _BLOCK // len(others))
        for start in range(0, len(people), block):
            here = slice(start, min(start + block, len(people)))
            its = slice(starts[here.start], starts[here.stop])
            below = products.scores(here)
            scores = Scores(above[its], owners[its] - start, below, counts, len(above), calm)
            found = how.weigh(scores)
            loss += found.loss
            pull[its] = found.pull
            products.add(here, below if found.push is None else found.push, found.share)
        if mine[first] != first:
            by_row.index_copy_(0, torch.from_numpy(mine), by_user)
        by_row.index_copy_(0, items, products.by_item())
        grouping.add_pairs(table, *pairs, pull * table.dtype.type(how.scale), by_row.numpy())
        ctx.save_for_backward(by_row)
        return rows.new_tensor(loss)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        (by_row,) = ctx.saved_tensors
        factor = float(grads[0])
        return by_row if factor == 1 else by_row * factor, None, None, None, None


class _Products:
    """The three matrix products of users, negatives and their scores.

    Args:
        people: rows of users [u, width].
        items: rows of negatives [k, width].
        counts: how often the batch has each negative [k].
        scale: factor of the scores.
        by_user: the gradient by the rows of users [u, width]; written.
    """

    def __init__(
        self, people: Tensor, items: Tensor, counts: Tensor, scale: float, by_user: Tensor
    ) -> None:
        self._people, self._scale, self._narrow = people, scale, items.shape[1] < _FEW
        # GEMMs whose result has few columns are slower than those whose result has few rows.
        self._columns = items.T.contiguous() if self._narrow else items.T
        self._counted = self._columns * counts if self._narrow else items * counts.unsqueeze(1)
        self._counts, self._by_user = counts, by_user
        self._by_item = torch.zeros_like(self._columns if self._narrow else items)
        # Few scores are added to rows, which are apart where the products give columns.
        self._items = items
        self._sparse = torch.zeros_like(items) if self._narrow else self._by_item
        self._work = people.new_empty(0)

    def scores(self, here: slice) -> Tensor:
        """Scores of some users [b, k], valid until the next call."""
        people = self._people[here]
        if len(self._work) < len(people):
            self._work = people.new_empty(len(people), self._columns.shape[1])
        out = self._work[: len(people)]
        return torch.addmm(out, people, self._columns, beta=0, alpha=self._scale, out=out)

    def add(self, here: slice, push: Tensor | Few, shares: NDArray[Any]) -> None:
        """Add what users' scores give to the gradients; arguments as of `Weights`."""
        from bench.engine import grouping

        share = torch.from_numpy(shares).unsqueeze(1).mul_(self._scale)
        own, by_user = self._people[here] * share, self._by_user[here]
        if isinstance(push, Few):
            grouping.add_few(
                self._items.numpy(),
                self._counts.numpy(),
                own.numpy(),
                push.starts,
                push.columns,
                by_user.numpy(),
                self._sparse.numpy(),
            )
        elif self._narrow:
            by_user.copy_((self._counted @ push.T).T)
            self._by_item.addmm_(own.T, push)
        else:
            torch.mm(push, self._counted, out=by_user)
            self._by_item.addmm_(push.T, own)
        by_user.mul_(share)

    def by_item(self) -> Tensor:
        """The gradient by the rows of negatives [k, width]."""
        rows = self._sparse.add_(self._by_item.T) if self._narrow else self._by_item
        return rows.mul_(self._counts.unsqueeze(1))
