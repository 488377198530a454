"""What a method is given: the table that it has to provide, and where training stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from bench.budget import Budget

if TYPE_CHECKING:
    from bench.data.csr import CSR

_MOST_COLUMNS = 1024  # of a wide table


Need = Literal["interactions", "teacher"]
"""What a method can ask for: fields of `Table` that are None unless the class names them."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Training interactions in compressed sparse rows; validation and test pairs are never here.

    Attributes:
        starts: int64 [users + 1]; user u has `items[starts[u] : starts[u + 1]]`.
        items: int64 [n], numbers of items from 0, rising within a user.
        count: number of items.
    """

    starts: Tensor
    items: Tensor
    count: int

    @classmethod
    def of(cls, train: CSR, items: int) -> Pairs:
        """The pairs of a training matrix, in memory of their own."""
        where = torch.from_numpy(train.indices.astype("int64"))
        return cls(torch.from_numpy(train.indptr.copy()), where, items)

    def users(self) -> Tensor:
        """The user of each pair, int64 [n]; stands beside `items`."""
        degrees = self.starts.diff()
        return torch.arange(len(degrees), device=degrees.device).repeat_interleave(degrees)

    def matrix(self) -> Tensor:
        """The pairs as a sparse matrix of ones: float32 [users, items], coalesced COO."""
        ones = torch.ones(len(self.items), device=self.items.device)
        shape = (len(self.starts) - 1, self.count)
        where = torch.stack((self.users(), self.items))
        return torch.sparse_coo_tensor(where, ones, shape, is_coalesced=True, check_invariants=True)


@dataclass(frozen=True, eq=False)
class Table:
    """The embedding that a method has to provide.

    Users, and items, are numbered by falling count of training interactions, unless a run asks for
    another numbering: a low number is a frequent id.

    Attributes:
        users: number of users, ids 0..users-1.
        items: number of items, ids users..users+items-1.
        dim: columns of every row.
        budget: the cap on the packed state; None for methods that no budget binds.
        seed: of this run, for choices that `pack` stores (hash functions).
        std: standard deviation that the entries of composed rows start from. The same for every
            method on a board, because the initial scale decides small-budget results.
        counts: int64 [N], training interactions of each id; None when rows are rebuilt from a
            packed state, so that nothing is used there that was not stored.
        wide: whether rows may have more columns than `dim`, where the bytes allow it: columns are
            a choice for backbones that score by products.
        interactions: the training pairs, for methods whose `needs` names them; to be read only.
            None for other methods, and when rows are rebuilt from a packed state.
        teacher: float32 [N, dim], rows of a trained full table, for methods whose `needs` names
            it; to be read only. None as `interactions` is, and while sizes are planned.
        backbone: name and config of the backbone, which the header of the file states.
    """

    users: int
    items: int
    dim: int
    budget: Budget | None = None
    seed: int = 0
    std: float = 0.1
    counts: Tensor | None = None
    wide: bool = False
    interactions: Pairs | None = None
    teacher: Tensor | None = None
    backbone: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ids(self) -> int:
        """N, the number of users and items."""
        return self.users + self.items

    @property
    def most_columns(self) -> int:
        """The most columns that a row may have."""
        return _MOST_COLUMNS if self.wide else self.dim

    def parts(self, joint: bool) -> tuple[int, ...]:
        """Numbers of ids of the fields that share rows: (N,), or (users, items) apart."""
        return (self.ids,) if joint else (self.users, self.items)

    def locate(self, ids: Tensor, joint: bool) -> tuple[Tensor, Tensor]:
        """The part of `parts` that each id is in, and its number there; int64 as `ids`."""
        if joint:
            return torch.zeros_like(ids), ids
        item = (ids >= self.users).to(ids.dtype)
        return item, ids - item * self.users

    def bare(self) -> Table:
        """The shape alone, all that a packed state may be read with."""
        return replace(
            self, budget=None, seed=0, std=0.1, counts=None, interactions=None, teacher=None
        )

    @property
    def cap(self) -> Budget:
        """The budget of a method that must have one.

        Raises:
            ValueError: there is none.
        """
        if self.budget is None:
            raise ValueError("this method needs a budget, and the table has none")
        return self.budget


@dataclass(frozen=True)
class Phase:
    """A stretch of training.

    Attributes:
        name: shown in progress and records.
        until_budget: a search: it takes `search_epochs` of the run's epochs at most, ends as soon
            as `live()` fits the budget, and no epoch of it is kept for its validation score.
        rewind: start from the initial weights (`reset` with the run's seed) and a new backbone.
        fresh_optimizer: start with new optimiser state.
    """

    name: str
    until_budget: bool = False
    rewind: bool = True
    fresh_optimizer: bool = True


@dataclass(frozen=True)
class Progress:
    """Where a phase stands: `step` of at most `steps`, in `epoch` (from 0) of at most `epochs`."""

    step: int
    steps: int
    epoch: int
    epochs: int
