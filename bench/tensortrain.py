"""Many rows of a tensor train of three cores, with the gradient made by hand.

A row is head[i1] times an `end`, the product of a slice of core 2 and one of core 3. A batch needs
nearly every end, and each of them for a few rows. So all ends are made by GEMMs, in the layout in
which they are used, and the rows that share an end are multiplied together, padded to a common
number. One product a row, with its end gathered, takes twice the time for all ids, and half as much
memory again.
"""

from __future__ import annotations

from math import ceil
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_ROOM = 1.25  # places an end, over the mean number of rows that it has; the others go one by one


def train_rows(heads: Tensor, core2: Tensor, core3: Tensor, tails: Tensor) -> Tensor:
    """Rows heads[n] core2[i2] core3[i3].

    Args:
        heads: [n, q1, R1].
        core2: [p2, R1, q2, R2].
        core3: [p3, R2, q3].
        tails: i2 p3 + i3 of each row, int64 [n].

    Returns:
        [n, q1 q2 q3].
    """
    rows: Tensor = _Rows.apply(heads, core2, core3, tails)
    return rows


class _Places(NamedTuple):
    """Where rows are multiplied.

    Attributes:
        room: places an end.
        rows: the row at each place, of all ends in turn; any where there is none.
        single: rows without a place.
        where: for each row its place, or, counted on from the last place, its turn in `single`.
    """

    room: int
    rows: Tensor
    single: Tensor
    where: Tensor


def _places(tails: Tensor, ends: int) -> _Places:
    order = torch.argsort(tails, stable=True)
    counts = torch.bincount(tails, minlength=ends)
    firsts = counts.cumsum(0) - counts
    turn = torch.empty_like(tails)
    turn[order] = torch.arange(len(tails), device=tails.device) - firsts[tails[order]]
    room = ceil(_ROOM * len(tails) / ends)
    single = (turn >= room).nonzero().squeeze(1)
    where = tails * room + turn
    where[single] = ends * room + torch.arange(len(single), device=tails.device)
    rows = torch.zeros(ends * room + len(single), dtype=torch.int64, device=tails.device)
    rows[where] = torch.arange(len(tails), device=tails.device)
    return _Places(room, rows[: ends * room], single, where)


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, heads: Tensor, core2: Tensor, core3: Tensor, tails: Tensor) -> Tensor:
        (n, q1, rank1), (p2, _, q2, rank2), (p3, _, q3) = heads.shape, core2.shape, core3.shape
        count = p2 * p3
        left = core2.transpose(1, 2).reshape(p2, q2 * rank1, rank2)
        right = core3.transpose(1, 2).reshape(p3 * q3, rank2)
        ends = right.expand(p2, -1, -1) @ left.transpose(1, 2)
        ends = ends.view(count, q3 * q2, rank1)  # i2, i3 | q3, q2 | R1
        places = _places(tails, count)
        seated = heads.index_select(0, places.rows).view(count, places.room * q1, rank1)
        alone, own = heads[places.single], ends[tails[places.single]]
        found = heads.new_empty(len(places.rows) + len(alone), q1, q3 * q2)
        torch.bmm(seated, ends.transpose(1, 2), out=_seats(found, places, count))
        torch.bmm(alone, own.transpose(1, 2), out=found[len(places.rows) :])
        ctx.places, ctx.shapes = places, (n, q1, rank1, p2, q2, rank2, p3, q3)
        ctx.save_for_backward(left, right, ends, seated, alone, own, tails)
        rows = found.index_select(0, places.where).view(n, q1, q3, q2)
        return rows.transpose(2, 3).reshape(n, q1 * q2 * q3)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        left, right, ends, seated, alone, own, tails = ctx.saved_tensors
        n, q1, rank1, p2, q2, rank2, p3, q3 = ctx.shapes
        places, count = ctx.places, p2 * p3
        grad = grad.view(n, q1, q2, q3).transpose(2, 3).reshape(n, q1, q3 * q2)
        pull = grad.new_zeros(len(places.rows) + len(alone), q1, q3 * q2)
        pull.index_copy_(0, places.where, grad)
        heads = grad.new_empty(len(pull), q1, rank1)
        pulled, lone = _seats(pull, places, count), pull[len(places.rows) :]
        torch.bmm(pulled, ends, out=_seats(heads, places, count))
        torch.bmm(lone, own, out=heads[len(places.rows) :])
        towards = pulled.transpose(1, 2) @ seated
        towards.index_add_(0, tails[places.single], lone.transpose(1, 2) @ alone)
        towards = towards.view(p2, p3 * q3, q2 * rank1)
        core2 = right.T.expand(p2, -1, -1) @ towards
        core3 = (towards @ left).sum(0)
        return (
            heads.index_select(0, places.where),
            core2.view(p2, rank2, q2, rank1).permute(0, 3, 2, 1),
            core3.view(p3, q3, rank2).transpose(1, 2),
            None,
        )


def _seats(values: Tensor, places: _Places, ends: int) -> Tensor:
    """Places of each end as one matrix: [places and single, q, w] -> [ends, room q, w]."""
    return values[: len(places.rows)].view(ends, places.room * values.shape[1], values.shape[2])
