"""Full-ranking evaluation: every item that a user has not seen in training is a candidate.

Scores are computed for blocks of users, seen items are masked in place, and the top 50 are found
exactly (`bench.engine.topk`). Items with equal scores are ranked in a fixed random order. The order
of ids would not do: low ids are popular in many files, and items that share a hashed row tie.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bench.data import CSR, Interactions
from bench.engine.topk import GROUP, Maxima, rough_products, top_columns, top_products
from bench.errors import DataError

KS = (5, 10, 20, 50)
_TOP = max(KS)
_ORDER_SEED = 20_231_204

Scores = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(user ids [b], item order [I], out [b, W >= I]) -> scores in out[:, :I], in that order."""


@dataclass(frozen=True)
class Vectors:
    """Scores that are dot products of rows: users float32 [U, d] and items float32 [I, d].

    They are ranked faster than scores that a function computes.
    """

    users: Tensor
    items: Tensor


@dataclass(frozen=True)
class Result:
    """Metrics of one evaluation.

    Attributes:
        metrics: means over the users that have a held-out item, by name (`recall@20`, ...).
        users: int64 [T], those users, ascending.
        per_user: float32 [T] by metric name.
        top: int32 [T, 50], the best items of each user, best first; -1 where a user has seen all
            others.
    """

    metrics: dict[str, float]
    users: np.ndarray
    per_user: dict[str, np.ndarray]
    top: np.ndarray


class Evaluator:
    """Ranks all items for the users of one part of the data.

    Args:
        part: held-out interactions; users without any are left out.
        seen: interactions to mask: training, and validation when the test part is ranked.
        items: number of items.
        device: where scores are computed.
        block: users per matrix product, 0 for a default; results do not depend on it.
        limit: size of a fixed random subset of users to rank for, 0 for all.

    Raises:
        DataError: no user has a held-out interaction.
    """

    def __init__(
        self,
        part: CSR,
        seen: Sequence[CSR],
        items: int,
        device: torch.device | str = "cpu",
        block: int = 0,
        limit: int = 0,
    ) -> None:
        users = np.flatnonzero(np.diff(part.indptr) > 0)
        if not len(users):
            raise DataError(
                "a part of the data to evaluate on has no interactions; choose a split that leaves"
                " some for validation and for test"
            )
        if limit and limit < len(users):
            users = np.sort(
                np.random.Generator(np.random.PCG64(_ORDER_SEED)).permutation(users)[:limit]
            )
        self.users = users
        self.items = items
        self.device = torch.device(device)
        self.block = block or (128 if self.device.type == "cpu" else 2048)
        generator = torch.Generator().manual_seed(_ORDER_SEED)
        self.order = torch.randperm(items, generator=generator)
        place = torch.empty_like(self.order)
        place[self.order] = torch.arange(items)
        self._place = place.numpy()
        self._width = -(-items // GROUP) * GROUP
        self._part = part
        self._wanted = _Pairs(part, users, self._place)
        self._masked = [_Pairs(csr, users, self._place) for csr in seen]
        self._unseen = items - sum(np.diff(csr.indptr)[users] for csr in seen)

    @torch.inference_mode()  # backbones with parameters would record gradients
    def __call__(self, scores: Scores | Vectors) -> Result:
        """Rank all items for every user with a model's scores, and compute the metrics."""
        device, width, count = self.device, self._width, min(_TOP, self.items)
        buffer = torch.empty(self.block, width, device=device)
        hit = torch.zeros(self.block, width, dtype=torch.bool, device=device)
        order = self.order.to(device)
        top = _top_of(scores, order, count, buffer)
        tops, hits = [], []
        for start in range(0, len(self.users), self.block):
            stop = min(start + self.block, len(self.users))
            ids = torch.from_numpy(self.users[start:stop]).to(device)
            masked = [self._flat(pairs, start, stop) for pairs in self._masked]
            best = top(ids, masked, buffer[: stop - start])
            wanted = self._flat(self._wanted, start, stop)
            hit.view(-1)[wanted] = True
            hits.append(hit[: stop - start].gather(1, best).cpu())
            hit.view(-1)[wanted] = False
            tops.append(order[best.clamp(max=self.items - 1)].to(torch.int32).cpu())
        return self._measure(torch.cat(hits), torch.cat(tops))

    def _flat(self, pairs: _Pairs, start: int, stop: int) -> Tensor:
        rows, columns = pairs.slice(start, stop)
        return torch.from_numpy(rows * self._width + columns).to(self.device)

    def _measure(self, hits: Tensor, top: Tensor) -> Result:
        wanted = torch.from_numpy(np.diff(self._part.indptr)[self.users])
        per_user = ranking_metrics(hits, wanted)
        if np.min(self._unseen) < top.shape[1]:  # what a user has seen stands last
            unseen = torch.as_tensor(self._unseen).expand(len(top))
            top = top.masked_fill(torch.arange(top.shape[1]) >= unseen[:, None], -1)
        return Result(
            metrics={name: float(values.mean()) for name, values in per_user.items()},
            users=self.users,
            per_user={name: values.numpy().astype(np.float32) for name, values in per_user.items()},
            top=top.numpy(),
        )


_Top = Callable[[Tensor, list[Tensor], Tensor], Tensor]
"""(user ids [b], flat places to mask, buffer [b, W]) -> columns of the best items [b, count]."""


def _top_of(scores: Scores | Vectors, order: Tensor, count: int, buffer: Tensor) -> _Top:
    """The function that finds the best items of a block of users."""
    items, width = len(order), buffer.shape[1]
    maxima = Maxima(buffer, count)

    def mask(out: Tensor, masked: list[Tensor]) -> None:
        out[:, items:] = -torch.inf
        for flat in masked:
            out.view(-1)[flat] = -torch.inf

    if not isinstance(scores, Vectors):

        def by_scores(ids: Tensor, masked: list[Tensor], out: Tensor) -> Tensor:
            scores(ids, order, out)
            mask(out, masked)
            return top_columns(out, count, maxima)

        return by_scores

    users = scores.users
    rows = functional.pad(scores.items[order], (0, 0, 0, width - items))
    columns = rows.T.contiguous()  # column-major: a GEMM with few users is a sixth faster
    longest = rows.norm(dim=1).max()

    def by_products(ids: Tensor, masked: list[Tensor], out: Tensor) -> Tensor:
        mine = users[ids]
        rough_products(mine, columns, out)
        mask(out, masked)
        return top_products(out, mine, rows, longest, count, maxima)

    return by_products


class _Pairs:
    """(row, column) pairs of selected rows of a sparse matrix, columns in ranking order."""

    def __init__(self, csr: CSR, users: np.ndarray, place: np.ndarray) -> None:
        lengths = np.diff(csr.indptr)[users]
        self._ends = np.concatenate(([0], np.cumsum(lengths)))
        starts = np.repeat(csr.indptr[users] - self._ends[:-1], lengths)
        self._columns = place[csr.indices[starts + np.arange(self._ends[-1])]]
        self._rows = np.repeat(np.arange(len(users)), lengths)

    def slice(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        low, high = self._ends[start], self._ends[stop]
        return self._rows[low:high] - start, self._columns[low:high]


def ranking_metrics(hits: Tensor, wanted: Tensor) -> dict[str, Tensor]:
    """Recall and NDCG at every cut-off, per user.

    Recall@k = hits / |T_u|. NDCG@k is binary: sum of 1/log2(rank + 1) over hits, divided by the
    same for min(k, |T_u|) hits at the top (Jarvelin & Kekalainen, TOIS 2002).

    Args:
        hits: bool [T, n], whether the item at each rank is held out.
        wanted: int64 [T], |T_u|, at least 1.

    Returns:
        float64 [T] by name, `recall@k` and `ndcg@k`.
    """
    gains = hits.double()
    if gains.shape[1] < _TOP:
        gains = torch.nn.functional.pad(gains, (0, _TOP - gains.shape[1]))
    discount = 1 / torch.log2(torch.arange(_TOP, dtype=torch.float64) + 2)
    ideal = discount.cumsum(0)
    found, dcg = gains.cumsum(1), (gains * discount).cumsum(1)
    metrics = {}
    for k in KS:
        metrics[f"recall@{k}"] = found[:, k - 1] / wanted
        metrics[f"ndcg@{k}"] = dcg[:, k - 1] / ideal[wanted.clamp(max=k) - 1]
    return metrics


def breakdown(result: Result, data: Interactions) -> dict[str, np.ndarray]:
    """Metrics of each user and hits by popularity of items: the arrays of a record's `.npz` file.

    `activity` is the user's quintile by training interactions. `item_hits` and `item_total` count
    test interactions by group of items; each of the five groups has a fifth of all training
    interactions, from the long tail (0) to the head (4).
    """
    activity = data.train.degrees()
    edges = np.quantile(activity[result.users], (0.2, 0.4, 0.6, 0.8))
    popularity = data.item_counts()
    rising = np.argsort(popularity, kind="stable")
    share = np.cumsum(popularity[rising]) / max(1, popularity.sum())
    bucket = np.empty(data.items, dtype=np.int64)
    bucket[rising] = np.minimum((share * 5).astype(np.int64), 4)
    degrees = np.diff(data.test.indptr)
    rows = np.repeat(np.arange(len(degrees)), degrees)
    wanted = rows * data.items + data.test.indices  # sorted: rows ascend, columns ascend within
    top = result.top[:, :20]
    shown = (result.users[:, None] * data.items + top).ravel()
    at = np.minimum(np.searchsorted(wanted, shown), len(wanted) - 1)
    found = top.ravel()[(wanted[at] == shown) & (top.ravel() >= 0)]
    return {
        "users": result.users.astype(np.int32),
        "test_items": degrees[result.users].astype(np.int32),
        "recall@20": result.per_user["recall@20"],
        "ndcg@20": result.per_user["ndcg@20"],
        "activity": np.searchsorted(edges, activity[result.users], side="right").astype(np.uint8),
        "item_hits": np.bincount(bucket[found], minlength=5).astype(np.int64),
        "item_total": np.bincount(bucket[data.test.indices], minlength=5).astype(np.int64),
    }
