"""Adam, with the updates of untouched table rows postponed until the row is read again.

A batch of 2,048 interactions touches some 5,000 of Gowalla's 70,839 rows, and dense Adam rewrites
all of them in every step: seven passes over the table, most of the time of a step. Sparse Adam
variants skip untouched rows, which changes the algorithm (their momentum stands still). Here the
skipped steps are made up for in closed form when a row is read next, so that the result is that
of dense Adam (Kingma & Ba, ICLR 2015) within float tolerance:

A row untouched since step t0 has gradient 0, so m and v shrink by b1 and b2 a step, and step i
moves the row by -lr_i m0 b1^(i-t0) / (1-b1^i) / sqrt(v0 b2^(i-t0) / (1-b2^i)). Summed over the
missed steps that is -m0 / sqrt(v0) * S[t0] with S[t0] = sum_i lr_i r^(i-t0) sqrt(1-b2^i) / (1-b1^i)
and r = b1 / sqrt(b2): one number per t0, kept up to date in a short window because r^i vanishes.
eps is 1e-12 instead of the usual 1e-8: gradients of a mean over 2,048 pairs are near 1e-6, so that
1e-8 would be no mere guard against 0/0 but a second learning rate for rare ids, and inexact here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.optim.adam import adam

from bench.method.rows import Rows

BETA1, BETA2, EPS = 0.9, 0.999, 1e-12
_RATIO = BETA1 / math.sqrt(BETA2)
_PIECE = 1024  # rows that are brought up to date at a time
_WINDOW = 400  # r^400 = 6e-19: steps further back no longer move a float32


class _Slot:
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
        """One step of a share of the learning rate; no gradient is a gradient of zero."""
        parameter, grad = self.parameter, self.parameter.grad
        rows: Tensor | None = None
        if grad is None or grad.is_sparse:
            # A new array of zeros in each step would cost more than the step: one is kept.
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


class _Lazy(_Slot):
    """State of a table whose untouched rows are brought up to date when they are read."""

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
            # Most of the table is read: plain dense gradients are cheaper.
            self.flush()
            if index.shape == (rows,) and _rising(index):
                return self.parameter  # all rows in order: nothing to copy
            return functional.embedding(index, self.parameter)
        flat = index.reshape(-1)
        inverse: Tensor | None = None
        if not _rising(flat):
            flat, inverse = torch.unique(flat, return_inverse=True)
        weight, m, v = self._current(flat)
        weight.requires_grad_()
        self.pending = (flat, weight, m, v)
        if inverse is None:
            return weight.view(*index.shape, weight.shape[1])
        return functional.embedding(inverse.view(index.shape), weight)

    def _current(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Weights and moments of rows as dense Adam would have them now."""
        # index_select copies whole rows; indexing by a tensor goes entry by entry.
        parameter, m, v = (
            table.index_select(0, rows) for table in (self.parameter.detach(), self.m, self.v)
        )
        if self.count:
            self._catch_up(parameter, m, v, self.last.index_select(0, rows))
        return parameter, m, v

    def _catch_up(self, parameter: Tensor, m: Tensor, v: Tensor, last: Tensor) -> None:
        """Makes up, in place, for the steps since `last`, int64 [rows]."""
        behind = (self.count - last).unsqueeze(1).to(m.dtype)
        move = self.missed[last].unsqueeze(1)
        parameter.addcdiv_(m * move, v.sqrt().add_(EPS), value=-1)
        m.mul_(torch.pow(BETA1, behind))
        v.mul_(torch.pow(BETA2, behind))

    def _put(self, rows: Tensor, parameter: Tensor, m: Tensor, v: Tensor) -> None:
        self.parameter.detach().index_copy_(0, rows, parameter)
        self.m.index_copy_(0, rows, m)
        self.v.index_copy_(0, rows, v)

    def advance(self, share: float) -> None:
        """One step, for the rows that were read if only some were; `share` of the learning rate."""
        pending, self.pending = self.pending, None
        if self.parameter.grad is not None or pending is None:
            if pending is not None:
                self._merge(pending)
            self.flush()
            self.dense(share)
            self.count += 1
            self._extend(share)
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
        """A table read in two ways in one step: the compact gradient joins the dense one."""
        rows, weight, _, _ = pending
        if weight.grad is not None:
            assert self.parameter.grad is not None
            self.parameter.grad.index_add_(0, rows, weight.grad)

    def _extend(self, share: float) -> None:
        """Adds the step just done to S of every earlier one."""
        now = self.count
        if now >= len(self.missed):
            self.missed = functional.pad(self.missed, (0, len(self.missed)))
        scale = self.lr * share * math.sqrt(1 - BETA2**now) / (1 - BETA1**now)
        start = max(0, now - _WINDOW)
        self.missed[start:now] += (self._powers[start - now :] * scale).to(self.missed.dtype)

    def flush(self) -> None:
        """Brings every row up to date."""
        if not self.stale:
            return
        # All rows, in pieces that stay in a core's cache; for those up to date nothing changes.
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
        tables: lookup tables among them. On a CPU, those without decay are updated lazily; on an
            accelerator a dense step costs less than finding out which rows a batch has.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], tables: Iterable[Rows] = ()) -> None:
        by_weight = {id(table.weight): table for table in tables}
        self._slots: list[_Slot] = []
        self._tables: list[Rows] = []
        for group in groups:
            for parameter in group["params"]:
                decay = group.get("weight_decay", 0.0)
                table = by_weight.get(id(parameter))
                if table is not None and not decay and parameter.device.type == "cpu":
                    slot = _Lazy(table, group["lr"])
                    table.reader = slot
                    self._tables.append(table)
                    self._slots.append(slot)
                else:
                    self._slots.append(_Slot(parameter, group["lr"], decay))

    def step(self, share: float = 1.0) -> None:
        """Applies the gradients, at a share of each learning rate, and forgets them."""
        for slot in self._slots:
            if isinstance(slot, _Lazy):
                slot.advance(share)
            else:
                slot.dense(share)

    def flush(self) -> None:
        """Makes the parameters what dense Adam would have made them; before anyone reads them."""
        for slot in self._slots:
            if isinstance(slot, _Lazy):
                slot.flush()

    def close(self) -> None:
        """Flushes and lets go of the tables."""
        self.flush()
        for table in self._tables:
            table.reader = None

    def state(self) -> dict[str, Tensor]:
        """Moments and step counts, for a checkpoint (flushes)."""
        self.flush()
        state: dict[str, Tensor] = {}
        for number, slot in enumerate(self._slots):
            state |= {f"{number}.m": slot.m, f"{number}.v": slot.v, f"{number}.step": slot.step}
        return state

    def load(self, state: dict[str, Tensor]) -> None:
        """Takes up what `state` returned."""
        for number, slot in enumerate(self._slots):
            slot.m.copy_(state[f"{number}.m"])
            slot.v.copy_(state[f"{number}.v"])
            slot.step.copy_(state[f"{number}.step"])
            if isinstance(slot, _Lazy):
                slot.count = int(slot.step)
                slot.last.fill_(slot.count)
                slot.missed = torch.zeros(slot.count + _WINDOW)
