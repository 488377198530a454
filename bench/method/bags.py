"""Sums of rows of a table, with a fast way back for gradients.

On a CPU loops that numba compiles add the rows up. PyTorch's own operations make an array of all
rows that are summed first.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from bench.compiled import available


def sums_of_rows(table: Tensor, index: Tensor) -> Tensor:
    """Sums of rows over the last axis of an index: [rows, dim], int64 [*, k] -> [*, dim]."""
    if table.device.type != "cpu" or table.dtype != torch.float32 or not available():
        return functional.embedding(index, table).sum(-2)
    flat = index.reshape(-1, index.shape[-1]).contiguous()
    found: Tensor = _Sums.apply(table, flat)
    return found.view(*index.shape[:-1], table.shape[1])


class _Sums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, index: Tensor) -> Tensor:
        from bench.method.bag_loops import add_up

        found = table.new_empty(len(index), table.shape[1])
        add_up(table.detach().contiguous().numpy(), index.numpy(), found.numpy())
        ctx.index, ctx.rows = index, len(table)
        return found

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        from bench.method.bag_loops import add_back

        grad = grads[0].contiguous()
        total = grad.new_zeros(ctx.rows, grad.shape[1])
        add_back(grad.numpy(), ctx.index.numpy(), total.numpy())
        return total, None
