"""Rows of a tensor train of three cores: all of them, or many with the gradient made by hand.

`train_table` makes all rows in two GEMMs and takes some, `train_rows` makes only these.

A row is a head, a slice of core 1, times an end, the product of a slice of core 2 and one of
core 3. A batch needs nearly every end, so all of them are made, by GEMMs, in the layout in which
they are used. There are few heads, and each of them is multiplied at once by the ends of all rows
that begin with it: one GEMM a head, with few rows and many columns. A product a row takes twice as
long, and so do products an end of the heads of its rows, which are few and small.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_GATHERED = 2**23  # values of ends that are gathered at a time: 32 MB


def train_table(core1: Tensor, core2: Tensor, core3: Tensor, ids: Tensor) -> Tensor:
    """Rows of ids, taken from all rows; arguments and result as of `train_rows`."""
    (p1, q1, rank1), (p2, q2, *_), (p3, q3, _) = core1.shape, core2.shape, core3.shape
    ends = _ends(core2, core3).view(-1, rank1)
    found = (core1.reshape(-1, rank1) @ ends.T).view(p1 * q1 * p2 * p3, q3 * q2)
    # The parts of a row lie apart. Putting all rows in order would cost a copy of the table.
    first, tail = torch.div(ids, p2 * p3, rounding_mode="floor"), ids % (p2 * p3)
    part = first.unsqueeze(1) * q1 + torch.arange(q1, device=ids.device)
    rows = found.index_select(0, (part * (p2 * p3) + tail.unsqueeze(1)).view(-1))
    return rows.view(-1, q1, q3, q2).transpose(2, 3).reshape(-1, q1 * q2 * q3)


def _ends(core2: Tensor, core3: Tensor) -> Tensor:
    """Products of each slice of core 2 and each of core 3: [p2 p3, q3 q2 R1]."""
    (p2, q2, rank1, rank2), (p3, q3, _) = core2.shape, core3.shape
    left, right = core2.reshape(p2, q2 * rank1, rank2), core3.reshape(p3 * q3, rank2)
    return (right.expand(p2, -1, -1) @ left.transpose(1, 2)).view(p2 * p3, q3 * q2 * rank1)


def train_rows(core1: Tensor, core2: Tensor, core3: Tensor, ids: Tensor) -> Tensor:
    """Rows core1[i1] core2[i2] core3[i3] of ids (i1 p2 + i2) p3 + i3.

    Args:
        core1: [p1, q1, R1].
        core2: [p2, q2, R1, R2].
        core3: [p3, q3, R2].
        ids: int64 [n]; fastest if they rise.

    Returns:
        [n, q1 q2 q3].
    """
    rows: Tensor = _Rows.apply(core1, core2, core3, ids)
    return rows


class _Stretch(NamedTuple):
    """Rows whose ends are gathered together, in the order of their heads.

    Attributes:
        rows: which, in that order.
        ends: i2 p3 + i3 of each.
        counts: rows of each head.
    """

    rows: slice
    ends: Tensor
    counts: list[int]

    def split(self, width: int) -> list[int]:
        """How many of `width` values a row belong to each head."""
        return [count * width for count in self.counts]


def _stretches(ids: Tensor, heads: int, ends: int, most: int) -> list[_Stretch]:
    first, tails, found = torch.div(ids, ends, rounding_mode="floor"), ids % ends, []
    for start in range(0, len(ids), most):
        rows = slice(start, min(start + most, len(ids)))
        counts = torch.bincount(first[rows], minlength=heads).tolist()
        found.append(_Stretch(rows, tails[rows], counts))
    return found


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, core1: Tensor, core2: Tensor, core3: Tensor, ids: Tensor) -> Tensor:
        (p1, q1, rank1), (p2, q2, *_), (p3, q3, _) = core1.shape, core2.shape, core3.shape
        width, count = q2 * q3, len(ids)
        order = None
        if bool((ids[1:] < ids[:-1]).any()):
            ids, order = ids.sort()
        stretches = _stretches(ids, p1, p2 * p3, max(1, _GATHERED // (width * rank1)))
        ends = _ends(core2, core3)
        rows = core1.new_empty(count, q1, q2, q3)
        for stretch in stretches:
            own = ends.index_select(0, stretch.ends).view(-1, rank1)
            found, sizes = own.new_empty(q1, len(own)), stretch.split(width)
            for head, its, out in zip(
                core1.unbind(), own.T.split(sizes, 1), found.split(sizes, 1), strict=True
            ):
                torch.mm(head, its, out=out)
            rows[stretch.rows] = found.view(q1, -1, q3, q2).permute(1, 0, 3, 2)
        ctx.stretches, ctx.order = stretches, order
        # The common case is one stretch, which need not be gathered twice.
        ctx.save_for_backward(core1, core2, core3, own if len(stretches) == 1 else None, ends)
        rows = rows.view(count, q1 * width)
        return rows if order is None else torch.empty_like(rows).index_copy_(0, order, rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        core1, core2, core3, kept, ends = ctx.saved_tensors
        (_, q1, rank1), (p2, q2, _, rank2), (p3, q3, _) = core1.shape, core2.shape, core3.shape
        width = q2 * q3
        if ctx.order is not None:
            grad = grad.index_select(0, ctx.order)
        grad = grad.reshape(-1, q1, q2, q3)
        by_head, towards = torch.zeros_like(core1), None
        for stretch in ctx.stretches:
            own = ends.index_select(0, stretch.ends) if kept is None else kept
            own = own.view(-1, rank1)
            push = grad[stretch.rows].permute(1, 0, 3, 2).reshape(q1, -1)
            pull, sizes = torch.empty_like(own), stretch.split(width)
            for head, its, part, change, out in zip(
                core1.unbind(),
                own.split(sizes),
                push.split(sizes, 1),
                by_head.unbind(),
                pull.split(sizes),
                strict=True,
            ):
                change.addmm_(part, its)
                torch.mm(part.T, head, out=out)
            # Sums of rows by their end, as an embedding's gradient is made.
            found = torch.ops.aten.embedding_dense_backward(
                pull.view(-1, width * rank1), stretch.ends, p2 * p3, -1, False
            )
            towards = found if towards is None else towards.add_(found)
        if towards is None:
            towards = torch.zeros_like(ends)
        towards = towards.view(p2, p3 * q3, q2 * rank1)
        left, right = core2.reshape(p2, q2 * rank1, rank2), core3.reshape(p3 * q3, rank2)
        by_middle = towards.transpose(1, 2) @ right.expand(p2, -1, -1)
        by_last = (towards @ left).sum(0)
        return by_head, by_middle.view(core2.shape), by_last.view(core3.shape), None
