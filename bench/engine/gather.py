"""Reading rows of a table by numbers that repeat, with a fast way back for gradients.

On a CPU PyTorch finds distinct numbers by sorting, and adds up the gradients of rows one by one.
Both took a tenth of a step each. Elsewhere its own operations add up: sums of gradients on a GPU
would otherwise depend on the order of threads.

How many distinct numbers there are is known on a GPU only, and a training step that asks waits for
all steps before it. Where a list with repetitions will do, the list keeps its length.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


def distinct(numbers: Tensor, size: int, padded: bool = False) -> tuple[Tensor, Tensor]:
    """The distinct numbers, rising, and where each number stands among them.

    Args:
        numbers: int64 [n], each in 0..size-1.
        size: at most some millions; a flag is kept for each.
        padded: on a GPU, fill the list up to n with its last number, and do not wait.

    Returns:
        int64 [m] and int64 [n], as of `torch.unique`; m = n where the list is filled up.
    """
    if numbers.device.type != "cpu":
        return _padded(numbers) if padded else torch.unique(numbers, return_inverse=True)
    flags = np.zeros(size, dtype=bool)
    flags[numbers.numpy()] = True
    found = np.flatnonzero(flags)
    place = np.empty(size, dtype=np.int64)
    place[found] = np.arange(len(found))
    return torch.from_numpy(found), torch.from_numpy(place[numbers.numpy()])


def _padded(numbers: Tensor) -> tuple[Tensor, Tensor]:
    """`distinct` without a result whose length depends on the numbers."""
    ordered, order = numbers.sort()
    place = torch.zeros_like(numbers)
    place[1:] = (ordered[1:] != ordered[:-1]).cumsum(0)
    # Equal numbers write the same value to the same place.
    found = ordered[-1:].repeat(len(numbers)).scatter_(0, place, ordered)
    return found, torch.empty_like(place).scatter_(0, order, place)


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
