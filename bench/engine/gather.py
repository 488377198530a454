"""Reading rows of a table by numbers that repeat, with a fast way back for gradients.

On a CPU PyTorch finds distinct numbers by sorting, and adds up the gradients of rows one by one.
Both took a tenth of a step each. Elsewhere its own operations are used: sums of gradients on a GPU
would otherwise depend on the order of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


def distinct(numbers: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The distinct numbers, rising, and where each number stands among them.

    Args:
        numbers: int64 [n], each in 0..size-1.
        size: at most some millions; a flag is kept for each.

    Returns:
        int64 [m] and int64 [n], as of `torch.unique`.
    """
    if numbers.device.type != "cpu":
        return torch.unique(numbers, return_inverse=True)
    flags = np.zeros(size, dtype=bool)
    flags[numbers.numpy()] = True
    found = np.flatnonzero(flags)
    place = np.empty(size, dtype=np.int64)
    place[found] = np.arange(len(found))
    return torch.from_numpy(found), torch.from_numpy(place[numbers.numpy()])


def take(rows: Tensor, *places: Tensor) -> tuple[Tensor, ...]:
    """Rows at several lists of places, whose gradients are summed in one array.

    Args:
        rows: [m, width].
        places: int64 of any shapes.

    Returns:
        [*, width] for each.
    """
    if rows.device.type != "cpu":
        return tuple(functional.embedding(one, rows) for one in places)
    taken: tuple[Tensor, ...] = _Take.apply(rows, *places)
    return taken


class _Take(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, *places: Tensor) -> tuple[Tensor, ...]:
        ctx.places, ctx.shape = places, rows.shape
        return tuple(functional.embedding(one, rows) for one in places)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        total = grads[0].new_zeros(ctx.shape)
        for place, grad in zip(ctx.places, grads, strict=True):
            total.index_add_(0, place.reshape(-1), grad.reshape(-1, ctx.shape[1]))
        return total, *(None for _ in grads)
