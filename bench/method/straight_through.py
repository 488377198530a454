"""Training with rounded rows: forward passes see the file's rows, gradients pass unchanged.

Straight-through estimation (Bengio et al., arXiv 1308.3432).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from bench.method.precision import Storage
from bench.method.rounding import as_stored, fit, side_scale
from bench.method.scales import Window
from bench.method.storage import rounded, sides, unscaled


class Rounding:
    """Rows of a table as the file will give them back, while the table is trained.

    Attributes:
        storage: how the table is stored.
        users: how many of its first rows are users'; None where there are no sides.
        aware: share of the training, at its end, that sees rounded rows.
        active: whether training steps see them now; validation always does.
        measured: the epoch in which `measure` was called last.
    """

    def __init__(self, storage: Storage, users: int | None = None) -> None:
        self.storage, self.users = storage, users
        self.aware = storage.aware
        self.active = False
        self.measured: int | None = None
        self._shared: Tensor | None = None  # the scale of each side, for training steps
        self._window: Window | None = None  # of scales in 4 bits, for training steps

    def whole(self, table: Tensor) -> Tensor:
        """The table as the file will give it back: float32 [n, k] -> [n, k]."""
        return rounded(table, self.storage, self.users)

    @torch.no_grad()
    def measure(self, table: Tensor) -> None:
        """Take what training steps share of the scales from the table, float32 [n, k]."""
        storage = self.storage
        if storage.bits == 16:
            return
        if storage.scale == "side":
            parts = sides(len(table), self.users)
            self._shared = torch.cat([side_scale(table[part], storage) for part in parts])
        elif storage.scale_bits == 4:
            _, scale = fit(table[unscaled(storage, self.users) :], storage, None)
            self._window = Window.of(scale.view(-1), 4)

    def straight(self, rows: Tensor, index: Tensor | None = None) -> Tensor:
        """Rounded rows whose gradient is that of the rows: [*, k] -> [*, k].

        Args:
            rows: of the table.
            index: int64 [*], which rows they are; needed where sides differ.
        """
        flat = rows.detach().reshape(-1, rows.shape[-1])
        found = self.nearest(flat, None if index is None else index.reshape(-1))
        return rows + (found.view(rows.shape) - rows.detach())

    def nearest(self, flat: Tensor, index: Tensor | None) -> Tensor:
        """Rounded rows, float32 [n, k] -> [n, k]; `index` as in `straight`, [n]."""
        return self._nearest(flat, index, None)

    def _nearest(self, flat: Tensor, index: Tensor | None, kept: Tensor | None) -> Tensor:
        """As of `nearest`; `kept`: bool [n, k], entries that are stored, None: all."""
        storage = self.storage
        if storage.bits == 16:
            return flat.half().float()
        mine = None if self.users is None or index is None else index < self.users
        if storage.scale == "side" and self._shared is not None:
            scale = self._shared
            scale = scale if mine is None else scale[(~mine).long()]
            return as_stored(flat, storage, scale, kept=kept)
        window = self._window
        found = as_stored(flat, storage, snap=window.snapped if window else None, kept=kept)
        if storage.scale == "item" and mine is not None:
            found = torch.where(mine.unsqueeze(1), normalize(found, dim=1, eps=1e-30), found)
        return found


class KeptRounding(Rounding):
    """A pruned table, of which only the entries are stored that a mask keeps; the others are 0.

    Args:
        storage: how they are stored.
        users: as of `Rounding`.
        mask: gives the mask, bool [n, k].
    """

    def __init__(self, storage: Storage, users: int | None, mask: Callable[[], Tensor]) -> None:
        super().__init__(storage, users)
        self._mask = mask

    def whole(self, table: Tensor) -> Tensor:
        """As of `Rounding`."""
        mask, storage = self._mask(), self.storage
        if storage.bits != 16 and storage.scale == "side":
            shared = side_scale(table[mask].view(1, -1), storage)
            return as_stored(table, storage, shared, kept=mask)
        return rounded(table, storage, self.users, None if mask.all() else mask)

    @torch.no_grad()
    def measure(self, table: Tensor) -> None:
        """As of `Rounding`."""
        mask, storage = self._mask(), self.storage
        if storage.bits == 16:
            return
        if storage.scale == "side":
            self._shared = side_scale(table[mask].view(1, -1), storage)
        elif storage.scale_bits == 4:
            own = unscaled(storage, self.users)
            _, scale = fit(table[own:], storage, None, mask[own:])
            self._window = Window.of(scale.view(-1), 4)

    def nearest(self, flat: Tensor, index: Tensor | None) -> Tensor:
        """As of `Rounding`."""
        assert index is not None
        return self._nearest(flat, index, self._mask().index_select(0, index))


class RangedRounding(Rounding):
    """Ranges of rows that are stored each in its own way.

    Args:
        ranges: how many rows each has, in order, and how they are rounded.
    """

    def __init__(self, ranges: Sequence[tuple[int, Rounding]]) -> None:
        super().__init__(ranges[0][1].storage)
        self.counts = [count for count, _ in ranges]
        self.parts = [rounding for _, rounding in ranges]

    def whole(self, table: Tensor) -> Tensor:
        """As of `Rounding`."""
        pieces = zip(self.parts, table.split(self.counts), strict=True)
        return torch.cat([rounding.whole(piece) for rounding, piece in pieces])

    @torch.no_grad()
    def measure(self, table: Tensor) -> None:
        """As of `Rounding`."""
        for rounding, piece in zip(self.parts, table.split(self.counts), strict=True):
            rounding.measure(piece)

    def nearest(self, flat: Tensor, index: Tensor | None) -> Tensor:
        """As of `Rounding`."""
        assert index is not None
        found, start = torch.empty_like(flat), 0
        for rounding, count in zip(self.parts, self.counts, strict=True):
            here = ((index >= start) & (index < start + count)).nonzero().squeeze(1)
            if len(here):
                own = index.index_select(0, here) - start
                found[here] = rounding.nearest(flat.index_select(0, here), own)
            start += count
        return found
