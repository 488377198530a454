"""The embedding tables of a RecBole model: finding and replacing them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.errors import BenchError
from bench.method import Method


@dataclass(frozen=True)
class Pair:
    """A table of users and a table of items of the same width.

    Attributes:
        user: name of the users' table in the model.
        item: name of the items' table.
        width: columns of both.
    """

    user: str
    item: str
    width: int


def find_pairs(model: Any) -> list[Pair]:
    """Find the user and item tables of a RecBole general recommender.

    A table is an `nn.Embedding` with one row for each user or each item. If there are as many users
    as items, its name decides. Tables with one column are biases and stay.

    Raises:
        BenchError: the model has no such tables, or they form no pairs; lists those it has.
    """
    what = type(model).__name__
    if not hasattr(model, "n_users") or not hasattr(model, "n_items"):
        raise BenchError(
            f"{what} is not one of RecBole's general recommenders, which have users and items"
        )
    people: list[str] = []
    things: list[str] = []
    for name, module in model.named_modules():
        if not isinstance(module, nn.Embedding) or module.embedding_dim == 1:
            continue
        last, rows = name.rpartition(".")[2].lower(), module.num_embeddings
        sides = {"user": rows == model.n_users, "item": rows == model.n_items}
        fits = [side for side, fit in sides.items() if fit]
        named = [side for side in fits if side in last]
        if len(side := named or fits) == 1:
            (people if side == ["user"] else things).append(name)
    widths = [[model.get_submodule(n).embedding_dim for n in names] for names in (people, things)]
    if not people or widths[0] != widths[1]:
        have = ", ".join(
            f"{name} ({width})"
            for names, sizes in zip((people, things), widths, strict=True)
            for name, width in zip(names, sizes, strict=True)
        )
        raise BenchError(
            f"{what} cannot be compacted: it needs nn.Embedding tables of users and of items in"
            f" pairs of equal width, and has {have or 'none'}"
        )
    return [Pair(*pair) for pair in zip(people, things, widths[0], strict=True)]


class Shared(nn.Module):
    """One method's table for all pairs; it records the ids that a training step looks up.

    Without gradients, the rows of all ids are composed once and cached until the weights change,
    because models without `full_sort_predict` look each item up once for each user.
    """

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method
        self.recording = False
        self.seen: list[Tensor] = []
        self._kept: tuple[tuple[tuple[int, int], ...], Tensor] | None = None

    def forward(self, ids: Tensor) -> Tensor:
        """Look rows up: int64 [*] in the joint id space -> float32 [*, sum of widths]."""
        if self.recording:
            self.seen.append(ids.reshape(-1))
        if not torch.is_grad_enabled():
            return functional.embedding(ids, self._rows())
        rows: Tensor = self.method(ids)
        return rows

    def forget(self) -> None:
        """Drop the cached rows."""
        self._kept = None

    def train(self, mode: bool = True) -> Shared:
        """Switch between training and evaluation; drops the cached rows."""
        self.forget()
        return super().train(mode)

    def _rows(self) -> Tensor:
        state = self.method.state_dict()
        version = tuple((tensor.data_ptr(), tensor._version) for tensor in state.values())
        if self._kept is None or self._kept[0] != version:
            device = next(iter(state.values())).device
            ids = torch.arange(self.method.table.ids, device=device)
            self._kept = version, self.method(ids)
        return self._kept[1]


class Lookup(nn.Module):
    """Replaces an `nn.Embedding`: the same calls, with rows from the shared table.

    Attributes:
        num_embeddings, embedding_dim, padding_idx: as of the table that it replaces.
    """

    def __init__(
        self, shared: Shared, offset: int, columns: Sequence[int], replaced: nn.Embedding
    ) -> None:
        super().__init__()
        # In a tuple, so that the table is not registered and saved again with each lookup.
        self._shared = (shared,)
        self._offset, self._columns = offset, list(columns)
        self.num_embeddings = replaced.num_embeddings
        self.embedding_dim = replaced.embedding_dim
        self.padding_idx = replaced.padding_idx

    def forward(self, ids: Tensor) -> Tensor:
        """Look rows up: int64 [*] -> float32 [*, embedding_dim]."""
        rows: Tensor = self._shared[0](ids + self._offset)[..., self._columns]
        if self.padding_idx is not None:
            rows = rows * (ids != self.padding_idx).unsqueeze(-1)
        return rows

    @property
    def weight(self) -> Tensor:
        """All rows, float32 [num_embeddings, embedding_dim]; composed again on each access."""
        device = next(iter(self._shared[0].method.state_dict().values())).device
        rows: Tensor = self(torch.arange(self.num_embeddings, device=device))
        return rows


def replace_tables(model: Any, pairs: Sequence[Pair], shared: Shared) -> None:
    """Replace the tables by lookups.

    The pairs take the columns in turn. A method with fewer columns leaves the last ones zero, and
    no pair may lose all of its own.
    """
    shares = _in_turn([pair.width for pair in pairs])
    for pair, columns in zip(pairs, shares, strict=True):
        for name, offset in ((pair.user, 0), (pair.item, model.n_users)):
            parent, _, last = name.rpartition(".")
            # Through _modules, because the parent may be an nn.ModuleDict.
            modules = model.get_submodule(parent)._modules
            modules[last] = Lookup(shared, offset, columns, modules[last])


def _in_turn(widths: Sequence[int]) -> list[list[int]]:
    """Which of all columns each pair has: one after the other, until a pair has its width."""
    found: list[list[int]] = [[] for _ in widths]
    column = 0
    while any(len(own) < width for own, width in zip(found, widths, strict=True)):
        for own, width in zip(found, widths, strict=True):
            if len(own) < width:
                own.append(column)
                column += 1
    return found
