"""Many rows of a tensor train of three cores, with the gradient made by hand.

A row is a head, a slice of core 1, times an end, the product of a slice of core 2 and one of
core 3. A batch needs nearly every end, so all of them are made, by GEMMs, in the layout in which
they are used. There are few heads, and each of them is multiplied at once by the ends of all rows
that begin with it: one GEMM a head, with few rows and many columns. A product a row takes twice as
long, and so do products an end of the heads of its rows, which are few and small.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


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


class _Groups(NamedTuple):
    """Rows by their head.

    Attributes:
        order: the rows, so that those with a head in common are neighbours; none if they are.
        ends: i2 p3 + i3 of each row in that order.
        counts: rows of each head.
    """

    order: Tensor | None
    ends: Tensor
    counts: list[int]

    def each(self, wide: Tensor, width: int) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Heads that have rows: the head, the ends of its rows, their part of [., n width]."""
        parts = wide.split([count * width for count in self.counts], 1)
        for head, (ends, part) in enumerate(zip(self.ends.split(self.counts), parts, strict=True)):
            if len(ends):
                yield head, ends, part


def _groups(ids: Tensor, heads: int, ends: int) -> _Groups:
    first = torch.div(ids, ends, rounding_mode="floor")
    order = None
    if bool((first[1:] < first[:-1]).any()):
        order = torch.argsort(first, stable=True)
        ids = ids[order]
    counts: list[int] = torch.bincount(first, minlength=heads).tolist()
    return _Groups(order, ids % ends, counts)


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, core1: Tensor, core2: Tensor, core3: Tensor, ids: Tensor) -> Tensor:
        (p1, q1, rank1), (p2, q2, _, rank2), (p3, q3, _) = core1.shape, core2.shape, core3.shape
        width = q2 * q3
        left, right = core2.reshape(p2, q2 * rank1, rank2), core3.reshape(p3 * q3, rank2)
        # i2, i3 | q3, q2, R1
        ends = (right.expand(p2, -1, -1) @ left.transpose(1, 2)).view(p2 * p3, width * rank1)
        groups = _groups(ids, p1, p2 * p3)
        found = core1.new_empty(q1, len(ids) * width)
        for head, tails, part in groups.each(found, width):
            torch.mm(core1[head], ends.index_select(0, tails).view(-1, rank1).T, out=part)
        ctx.groups, ctx.shapes = groups, (q1, rank1, p2, q2, rank2, p3, q3)
        ctx.save_for_backward(core1, left, right, ends)
        rows = found.view(q1, len(ids), q3, q2).permute(1, 0, 3, 2).reshape(len(ids), -1)
        return (
            rows
            if groups.order is None
            else torch.empty_like(rows).index_copy_(0, groups.order, rows)
        )

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        core1, left, right, ends = ctx.saved_tensors
        groups, (q1, rank1, p2, q2, rank2, p3, q3) = ctx.groups, ctx.shapes
        width = q2 * q3
        if groups.order is not None:
            grad = grad.index_select(0, groups.order)
        grad = grad.view(-1, q1, q2, q3).permute(1, 0, 3, 2).reshape(q1, -1)
        by_head = torch.zeros_like(core1)
        pull = grad.new_empty(len(groups.ends) * width, rank1)
        done = 0
        for head, tails, part in groups.each(grad, width):
            torch.mm(part, ends.index_select(0, tails).view(-1, rank1), out=by_head[head])
            torch.mm(part.T, core1[head], out=pull[done : done + part.shape[1]])
            done += part.shape[1]
        # Sums of rows by their end, as an embedding's gradient is made.
        towards = torch.ops.aten.embedding_dense_backward(
            pull.view(-1, width * rank1), groups.ends, p2 * p3, -1, False
        ).view(p2, p3 * q3, q2 * rank1)
        by_middle = towards.transpose(1, 2) @ right.expand(p2, -1, -1)
        by_last = (towards @ left).sum(0)
        return (
            by_head,
            by_middle.view(p2, q2, rank1, rank2),
            by_last.view(p3, q3, rank2),
            None,
        )
