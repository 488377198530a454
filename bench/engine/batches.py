"""Batches: every training pair once per epoch in random order, with new negatives."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bench.data import Interactions
from bench.engine.objectives import Objective

_ROUNDS = 20  # attempts to replace negatives that are positives of their user


class Batch(NamedTuple):
    """int64 ids in the joint id space: users [B], positives [B], negatives [B, k] or [k]."""

    users: Tensor
    positives: Tensor
    negatives: Tensor


def seed_of(*parts: object) -> int:
    """A 63-bit seed from values that can be printed; the same in every process."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


class Sampler:
    """Draws the batches of an epoch on a device, without a Python loop over interactions.

    The seed of an epoch decides all its batches, so that an interrupted epoch can be repeated.

    Args:
        data: the split; its training part is sampled.
        objective: says how many negatives there are.
        batch: positives of a batch.
        device: where batches are made.
        user_pairs: most pairs of a user that follow each other; see `bench.engine.settings`.
    """

    def __init__(
        self,
        data: Interactions,
        objective: Objective,
        batch: int,
        device: torch.device,
        user_pairs: int = 1,
    ) -> None:
        users = np.repeat(np.arange(data.users, dtype=np.int64), np.diff(data.train.indptr))
        items = data.train.indices.astype(np.int64)
        self._users = torch.from_numpy(users).to(device)
        self._items = torch.from_numpy(items).to(device)
        self._keys = self._users * data.items + self._items  # ascending: rows and columns are
        self._first_item, self._item_count = data.users, data.items
        self._objective, self._batch, self._device = objective, batch, device
        self._runs: Tensor | None = None  # where the runs of a user's pairs start; the end is last
        if user_pairs > 1:
            place = np.arange(len(users)) - data.train.indptr[users]
            starts = np.append(np.flatnonzero(place % user_pairs == 0), len(users))
            self._runs = torch.from_numpy(starts).to(device)

    @property
    def steps(self) -> int:
        """Batches per epoch."""
        return -(-len(self._users) // self._batch)

    def epoch(self, seed: int) -> Iterator[Batch]:
        """Batches of one epoch; the last may be smaller."""
        generator = torch.Generator(self._device).manual_seed(seed)
        count = len(self._users)
        order = self._order(generator)
        users, items = self._users[order], self._items[order]
        shape = self._objective.negatives_shape(count)
        own = len(shape) == 2  # each positive has its own negatives; else a batch shares them
        draws = shape if own else (self.steps, *shape)
        negatives = torch.randint(self._item_count, draws, generator=generator, device=self._device)
        if own:
            self._redraw(users, negatives, generator)
        users, positives = users.split(self._batch), (items + self._first_item).split(self._batch)
        negatives += self._first_item
        for step, batch_users in enumerate(users):
            chosen = (
                negatives[step * self._batch : step * self._batch + len(batch_users)]
                if own
                else negatives[step]
            )
            yield Batch(batch_users, positives[step], chosen)

    def _order(self, generator: torch.Generator) -> Tensor:
        """Return all pairs in random order, those of a run one after another."""
        count = len(self._users)
        order = torch.randperm(count, generator=generator, device=self._device)
        if self._runs is None:
            return order
        # Pairs are sorted by user, so this gives each user its own pairs in random order.
        order = order[self._users[order].int().argsort(stable=True)]
        starts, sizes = self._runs[:-1], self._runs.diff()
        chosen = torch.randperm(len(starts), generator=generator, device=self._device)
        starts, sizes = starts[chosen], sizes[chosen]
        shift = starts - (sizes.cumsum(0) - sizes)  # from a place in the epoch to one by user
        places = torch.arange(count, device=self._device) + shift.repeat_interleave(sizes)
        return order[places]

    def _redraw(self, users: Tensor, negatives: Tensor, generator: torch.Generator) -> None:
        """Replace negatives that are training items of their user, in place."""
        flat = negatives.view(-1)
        owners = users.repeat_interleave(negatives.shape[1])
        left = torch.arange(len(flat), device=flat.device)
        for _ in range(_ROUNDS):
            keys = owners[left] * self._item_count + flat[left]
            at = torch.searchsorted(self._keys, keys).clamp_(max=len(self._keys) - 1)
            left = left[self._keys[at] == keys]
            if not len(left):
                return
            flat[left] = torch.randint(
                self._item_count, left.shape, generator=generator, device=flat.device
            )
