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

eps is 1e-12 instead of the usual 1e-8. Gradients of a mean over 2,048 pairs are near 1e-6. An eps
of 1e-8 would not only prevent 0/0: it would shorten the steps of rare ids, and the closed form,
which allows for eps only roughly, would be inexact.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.optim.adam import adam

from bench.engine.gather import distinct, take
from bench.method.rows import Rows

BETA1, BETA2, EPS = 0.9, 0.999, 1e-12
_RATIO = BETA1 / math.sqrt(BETA2)
_PIECE = 1024  # rows updated at a time
_WIDE = 32  # columns from which NumPy writes rows in half the time of PyTorch
_WINDOW = 400  # r^400 = 6e-19: earlier steps no longer change a float32


class _Dense:
    """Adam's state of one parameter."""

    def __init__(self, parameter: Tensor, lr: float, weight_decay: float) -> None:
        self.parameter = parameter
        self.lr = lr
        self.weight_decay = weight_decay
        self.m = torch.zeros_like(parameter)
        self.v = torch.zeros_like(parameter)
        self.step = torch.zeros((), device=parameter.device)
        self._zero: Tensor | None = None

    def dense(self, share: float) -> None:
        """Do one step at a share of the learning rate; a missing gradient counts as zero."""
        parameter, grad = self.parameter, self.parameter.grad
        rows: Tensor | None = None
        if grad is None or grad.is_sparse:
            # Kept, because a new array of zeros in each step would cost more than the step.
            if self._zero is None:
                self._zero = torch.zeros_like(parameter)
            if grad is not None:
                rows = grad._indices()[0]
                self._zero.index_add_(0, rows, grad._values())
            grad = self._zero
        lr = self.lr * share
        _adam([parameter], [grad], [self.m], [self.v], [self.step], lr, self.weight_decay)
        if rows is not None:
            grad.index_fill_(0, rows, 0)
        parameter.grad = None


def _adam(
    parameters: list[Tensor],
    grads: list[Tensor],
    ms: list[Tensor],
    vs: list[Tensor],
    steps: list[Tensor],
    lr: float,
    weight_decay: float,
) -> None:
    adam(
        parameters,
        grads,
        ms,
        vs,
        [],
        steps,
        foreach=False,
        fused=True,
        grad_scale=None,
        found_inf=None,
        has_complex=False,
        amsgrad=False,
        beta1=BETA1,
        beta2=BETA2,
        lr=lr,
        weight_decay=weight_decay,
        eps=EPS,
        maximize=False,
        capturable=False,
        differentiable=False,
    )


class _Postponed(_Dense):
    """State of a table whose rows are updated when they are read."""

    def __init__(self, table: Rows, lr: float) -> None:
        super().__init__(table.weight, lr, 0.0)
        self.count = 0  # steps done
        self.last = torch.zeros(len(table.weight), dtype=torch.int64)
        self.missed = torch.zeros(_WINDOW)  # S, by the step of the row's last update
        back = torch.arange(_WINDOW, 0, -1, dtype=torch.float64)
        self._powers = _RATIO**back  # r^400 to r^1
        self.pending: tuple[Tensor, Tensor, Tensor, Tensor] | None = None
        self.stale = False

    def read(self, index: Tensor) -> Tensor:
        rows = len(self.parameter)
        if self.pending is not None or 2 * index.numel() >= rows:
            # Most of the table is read: dense gradients are cheaper.
            self.flush()
            if index.shape == (rows,) and _rising(index):
                return self.parameter  # all rows in order: nothing to copy
            # `embedding` takes twice as long for the gradient.
            taken = self.parameter.index_select(0, index.reshape(-1))
            return taken.view(*index.shape, taken.shape[1])
        flat = index.reshape(-1)
        inverse: Tensor | None = None
        if not _rising(flat):
            flat, inverse = distinct(flat, rows)
        weight, m, v = self._current(flat)
        weight.requires_grad_()
        self.pending = (flat, weight, m, v)
        if inverse is None:
            return weight.view(*index.shape, weight.shape[1])
        (taken,) = take(weight, inverse.view(index.shape))
        return taken

    def _current(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
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
        behind = (self.count - last).unsqueeze(1).to(m.dtype)
        move = self.missed[last].unsqueeze(1)
        parameter.addcdiv_(m * move, v.sqrt().add_(EPS), value=-1)
        m.mul_(torch.pow(BETA1, behind))
        v.mul_(torch.pow(BETA2, behind))

    def _put(self, rows: Tensor, parameter: Tensor, m: Tensor, v: Tensor) -> None:
        tables = (self.parameter.detach(), parameter), (self.m, m), (self.v, v)
        for table, values in tables:
            if table.shape[1] < _WIDE:
                table.index_copy_(0, rows, values)
            else:
                table.numpy()[rows.numpy()] = values.numpy()

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
        rows, weight, m, v = pending
        grad = weight.grad if weight.grad is not None else torch.zeros_like(weight)
        weight = weight.detach()
        _adam([weight], [grad], [m], [v], [self.step], self.lr * share, 0.0)
        self.count += 1
        self._extend(share)
        self._put(rows, weight, m, v)
        self.last.index_fill_(0, rows, self.count)
        self.stale = True

    def _merge(self, pending: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
        """Add the gradient of rows read by index to the dense gradient of the same step."""
        rows, weight, _, _ = pending
        if weight.grad is not None:
            assert self.parameter.grad is not None
            self.parameter.grad.index_add_(0, rows, weight.grad)

    def _make_room(self) -> None:
        """Make S long enough for a row that the step just done has updated."""
        if self.count >= len(self.missed):
            self.missed = functional.pad(self.missed, (0, self.count))

    def _extend(self, share: float) -> None:
        """Add the step just done to S of all earlier steps in the window."""
        now = self.count
        self._make_room()
        scale = self.lr * share * math.sqrt(1 - BETA2**now) / (1 - BETA1**now)
        start = max(0, now - _WINDOW)
        self.missed[start:now] += (self._powers[start - now :] * scale).to(self.missed.dtype)

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


class Adam:
    """Adam over optimiser groups (`params`, `lr`, `weight_decay`), coupled decay as in the paper.

    Args:
        groups: parameters with their settings.
        tables: lookup tables among the parameters. On a CPU, updates of tables without decay are
            postponed. On a GPU a dense step costs less than finding the rows of a batch.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], tables: Iterable[Rows] = ()) -> None:
        by_weight = {id(table.weight): table for table in tables}
        self._slots: list[_Dense] = []
        self._tables: list[Rows] = []
        for group in groups:
            for parameter in group["params"]:
                decay = group.get("weight_decay", 0.0)
                table = by_weight.get(id(parameter))
                if table is not None and not decay and parameter.device.type == "cpu":
                    slot = _Postponed(table, group["lr"])
                    table.reader = slot
                    self._tables.append(table)
                    self._slots.append(slot)
                else:
                    self._slots.append(_Dense(parameter, group["lr"], decay))

    def step(self, share: float = 1.0) -> None:
        """Apply the gradients at a share of each learning rate, and clear them."""
        for slot in self._slots:
            if isinstance(slot, _Postponed):
                slot.advance(share)
            else:
                slot.dense(share)

    def flush(self) -> None:
        """Apply all postponed updates; needed before parameters are read in another way."""
        for slot in self._slots:
            if isinstance(slot, _Postponed):
                slot.flush()

    def close(self) -> None:
        """Apply all postponed updates and detach from the tables."""
        self.flush()
        for table in self._tables:
            table.reader = None

    def state(self) -> dict[str, Tensor]:
        """Moments and step counts, for a checkpoint; applies postponed updates first."""
        self.flush()
        state: dict[str, Tensor] = {}
        for number, slot in enumerate(self._slots):
            state |= {f"{number}.m": slot.m, f"{number}.v": slot.v, f"{number}.step": slot.step}
        return state

    def load(self, state: dict[str, Tensor]) -> None:
        """Restore what `state` returned."""
        for number, slot in enumerate(self._slots):
            slot.m.copy_(state[f"{number}.m"])
            slot.v.copy_(state[f"{number}.v"])
            slot.step.copy_(state[f"{number}.step"])
            if isinstance(slot, _Postponed):
                slot.count = int(slot.step)
                slot.last.fill_(slot.count)
                slot.missed = torch.zeros(slot.count + _WINDOW)
