"""Adam that postpones the updates of table rows which a batch does not read.

A batch of 2,048 interactions reads about 5,000 of Gowalla's 70,839 rows. Dense Adam rewrites all
rows in every step: seven passes over the table, which take most of a step's time. Sparse variants
of Adam skip the other rows. That changes the algorithm, because the momentum of a skipped row does
not decay. Here the skipped steps are computed in closed form when a row is read next. The result
equals that of dense Adam (Kingma & Ba, ICLR 2015) within float tolerance.

A row that was last read in step t0 has gradient 0 since then. Each step multiplies m by b1 and v by
b2, and step i moves the row by -lr_i m0 b1^(i-t0) / (1-b1^i) / sqrt(v0 b2^(i-t0) / (1-b2^i)). The
sum over the skipped steps is -m0 / sqrt(v0) * S[t0], where
S[t0] = sum_i lr_i r^(i-t0) sqrt(1-b2^i) / (1-b1^i) and r = b1 / sqrt(b2). S has one number for each
t0; each step updates only a window of them, because r^i becomes negligible.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from bench.compiled import available
from bench.engine.dense_adam import BETA1, BETA2, EPS, Dense, adam_step
from bench.engine.gather import distinct, take
from bench.method.rows import Rows

_RATIO = BETA1 / math.sqrt(BETA2)
_PIECE = 1024  # rows updated at a time
_WINDOW = 400  # r^400 = 6e-19: earlier steps no longer change a float32


class Postponed(Dense):
    """State of a table whose rows are updated when they are read."""

    def __init__(self, table: Rows, lr: float) -> None:
        super().__init__(table.weight, lr, 0.0)
        self.count = 0  # steps done
        self.last = torch.zeros(len(table.weight), dtype=torch.int64)
        self.missed = torch.zeros(_WINDOW)  # S, by the step of the row's last update
        self.fades = _fades(_WINDOW, self.m)
        back = torch.arange(_WINDOW, 0, -1, dtype=torch.float64)
        self._powers = _RATIO**back  # r^400 to r^1
        self.pending: tuple[Tensor, Tensor] | None = None  # the rows of a step and their weights
        self.stale = False
        self._compiled = available()

    def read(self, index: Tensor) -> Tensor:
        """Rows at `index`, as differentiable inputs of the loss: int64 [*] -> [*, d]."""
        rows = len(self.parameter)
        if self._many(index):
            self.flush()
            if index.shape == (rows,) and _rising(index):
                return self.parameter  # all rows in order: nothing to copy
            # `embedding` takes twice as long for the gradient.
            taken = self.parameter.index_select(0, index.reshape(-1))
            return taken.view(*index.shape, taken.shape[1])
        flat = index.reshape(-1)
        if _rising(flat):
            weight = self._read(flat.contiguous())
            return weight.view(*index.shape, weight.shape[1])
        numbers, places = distinct(flat, rows)
        (taken,) = take(self._read(numbers), places.view(index.shape))
        return taken

    def distinct(self, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rows likewise, each once: [n, d], their numbers [n], and their places as `index`."""
        rows = len(self.parameter)
        if self._many(index):
            self.flush()
            return self.parameter, torch.arange(rows), index
        numbers, places = distinct(index.reshape(-1), rows)
        return self._read(numbers), numbers, places.view(index.shape)

    def _many(self, index: Tensor) -> bool:
        """Whether most of the table is read, so that dense gradients are cheaper."""
        return self.pending is not None or 2 * index.numel() >= len(self.parameter)

    def _read(self, rows: Tensor) -> Tensor:
        weight = self._current(rows).requires_grad_()
        self.pending = rows, weight
        return weight

    def _current(self, rows: Tensor) -> Tensor:
        """Weights of rows, equal to those of dense Adam now."""
        if not self._compiled:
            return self._taken(rows)[0]
        from bench.engine import adam_loops

        out = self.m.new_empty(len(rows), self.m.shape[1])
        last, missed = self.last.numpy(), self.missed.numpy()
        adam_loops.current(rows.numpy(), *self._arrays(), last, missed, EPS, out.numpy())
        return out

    def _update(self, rows: Tensor, weight: Tensor, grad: Tensor, lr: float) -> None:
        """Do a step on rows whose weights are those of `_current`."""
        if not self._compiled:
            _, m, v = self._taken(rows)
            adam_step([weight], [grad], [m], [v], [self.step], lr, 0.0)
            self.parameter.detach().index_copy_(0, rows, weight)
            self.m.index_copy_(0, rows, m)
            self.v.index_copy_(0, rows, v)
            self.last.index_fill_(0, rows, self.count + 1)
            return
        from bench.engine import adam_loops

        self.step += 1
        now = self.count + 1
        size, root = lr / (1 - BETA1**now), 1 / math.sqrt(1 - BETA2**now)
        factors = np.array([BETA1, BETA2, EPS, size, root], self.m.numpy().dtype)
        step = rows.numpy(), weight.numpy(), grad.contiguous().numpy()
        last, fades = self.last.numpy(), self.fades.numpy()
        adam_loops.update(*step, *self._arrays(), last, fades, self.count, factors)

    def _arrays(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        return self.parameter.detach().numpy(), self.m.numpy(), self.v.numpy()

    def _taken(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Weights and moments of rows, equal to those of dense Adam now."""
        # index_select copies whole rows; indexing by a tensor goes entry by entry.
        parameter, m, v = (
            table.index_select(0, rows) for table in (self.parameter.detach(), self.m, self.v)
        )
        if self.count:
            self._catch_up(parameter, m, v, self.last.index_select(0, rows))
        return parameter, m, v

    def _catch_up(self, parameter: Tensor, m: Tensor, v: Tensor, last: Tensor) -> None:
        """Apply the steps since `last`, int64 [rows], in place."""
        move = self.missed[last].unsqueeze(1)
        parameter.addcdiv_(m * move, v.sqrt().add_(EPS), value=-1)
        fades = self.fades[:, self.count - last].unsqueeze(2)
        m.mul_(fades[0])
        v.mul_(fades[1])

    def advance(self, share: float) -> None:
        """Do one step at a share of the learning rate, on the rows that were read."""
        pending, self.pending = self.pending, None
        if self.parameter.grad is not None or pending is None:
            if pending is not None:
                self._merge(pending)
            self.flush()
            self.dense(share)
            self.count += 1  # S of earlier steps is not needed: no row is behind
            self._make_room()
            self.last.fill_(self.count)
            self.stale = False
            return
        rows, weight = pending
        grad = weight.grad if weight.grad is not None else torch.zeros_like(weight)
        self._update(rows, weight.detach(), grad, self.lr * share)
        self.count += 1
        self._extend(share)
        self.stale = True

    def _merge(self, pending: tuple[Tensor, Tensor]) -> None:
        """Add the gradient of rows read by index to the dense gradient of the same step."""
        rows, weight = pending
        if weight.grad is not None:
            assert self.parameter.grad is not None
            self.parameter.grad.index_add_(0, rows, weight.grad)

    def _make_room(self) -> None:
        """Make S long enough for a row that the step just done has updated."""
        if self.count >= len(self.missed):
            self.missed = functional.pad(self.missed, (0, self.count))
            self.fades = _fades(len(self.missed), self.m)

    def _extend(self, share: float) -> None:
        """Add the step just done to S of all earlier steps in the window."""
        now = self.count
        self._make_room()
        scale = self.lr * share * math.sqrt(1 - BETA2**now) / (1 - BETA1**now)
        start = max(0, now - _WINDOW)
        self.missed[start:now] += (self._powers[start - now :] * scale).to(self.missed.dtype)

    def resume(self) -> None:
        """Go on after the steps that `step` counts, of which none is postponed."""
        self.count = int(self.step)
        self.last.fill_(self.count)
        self.missed = torch.zeros(self.count + _WINDOW)
        self.fades = _fades(len(self.missed), self.m)

    def flush(self) -> None:
        """Apply the postponed steps to all rows."""
        if not self.stale:
            return
        # In pieces that stay in a core's cache. Rows without postponed steps do not change.
        weight = self.parameter.detach()
        for piece in zip(
            *(table.split(_PIECE) for table in (weight, self.m, self.v, self.last)), strict=True
        ):
            self._catch_up(*piece)
        self.last.fill_(self.count)
        self.stale = False


def _rising(index: Tensor) -> bool:
    return bool((index[1:] > index[:-1]).all())


def _fades(length: int, like: Tensor) -> Tensor:
    """What is left of both moments after 0, 1, ... steps without a gradient: [2, length]."""
    steps = torch.arange(length, dtype=torch.float64)
    return torch.stack((BETA1**steps, BETA2**steps)).to(like.dtype)
