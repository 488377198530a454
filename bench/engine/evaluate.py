"""Full-ranking evaluation: every item that a user has not seen in training is a candidate.

Scores are computed for blocks of users, seen items are masked in place, and the top 50 are found
exactly (`bench.engine.scan`, and `bench.engine.topk` for what it leaves). Items with equal scores
are ranked in a fixed random order. The order of ids would not do: low ids are popular in many
files, and items that share a hashed row tie.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bench.compiled import available
from bench.data import CSR, Interactions
from bench.engine.places import Places
from bench.engine.scan import Scan
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
        self._width = -(-items // GROUP) * GROUP
        self._part = part
        self._wanted = _Pairs([part], users, place.numpy())
        self._seen = _Pairs(seen, users, place.numpy())
        self._unseen = items - np.diff(self._seen.starts)

    @torch.inference_mode()  # backbones with parameters would record gradients
    def __call__(self, scores: Scores | Vectors) -> Result:
        """Rank all items for every user with a model's scores, and compute the metrics."""
        device, order = self.device, self.order.to(self.device)
        hit = torch.zeros(self.block, self._width, dtype=torch.bool, device=device)
        rank = self._ranker(scores, order)
        tops, hits = [], []
        for start in range(0, len(self.users), self.block):
            rows = np.arange(start, min(start + self.block, len(self.users)))
            best = rank(rows)
            wanted = self._wanted.flat(rows, self._width, device)
            hit.view(-1)[wanted] = True
            hits.append(hit[: len(rows)].gather(1, best).cpu())
            hit.view(-1)[wanted] = False
            tops.append(order[best.clamp(max=self.items - 1)].to(torch.int32).cpu())
        return self._measure(torch.cat(hits), torch.cat(tops))

    @torch.inference_mode()
    def metrics(self, scores: Scores | Vectors) -> dict[str, float]:
        """The metrics alone: the same numbers, in less time where scores are dot products."""
        if not isinstance(scores, Vectors) or self.device.type != "cpu" or not available():
            return self(scores).metrics
        find = Places(scores.users, scores.items[self.order], _TOP)
        users, hits = torch.from_numpy(self.users), torch.zeros(len(self.users), _TOP).bool()
        for start in range(0, len(self.users), self.block):
            part = slice(start, min(start + self.block, len(self.users)))
            places = find(users[part], self._seen.part(part), self._wanted.part(part))
            starts = self._wanted.starts[part.start : part.stop + 1]
            rows = np.repeat(np.arange(part.start, part.stop), np.diff(starts))
            shown = places < _TOP
            hits.numpy()[rows[shown], places[shown]] = True
        return _means(ranking_metrics(hits, self._held_out()))

    def _held_out(self) -> Tensor:
        """Held-out items of each user, int64 [T]."""
        return torch.from_numpy(np.diff(self._part.indptr)[self.users])

    def _ranker(self, scores: Scores | Vectors, order: Tensor) -> _Rank:
        """The function that finds the best items of a block of users."""
        count = min(_TOP, self.items)
        users = torch.from_numpy(self.users).to(self.device)
        plain = _Plain(scores, users, order, count, self._seen, (self.block, self._width))
        if not isinstance(scores, Vectors) or self.device.type != "cpu" or not available():
            return plain
        scan = Scan(scores.users, scores.items[order], count, self.block)

        def by_scan(rows: np.ndarray) -> Tensor:
            seen = self._seen
            starts = seen.starts[rows[0] : rows[-1] + 2]
            best = torch.from_numpy(
                scan(users[rows[0] : rows[-1] + 1], seen.columns, starts)
            ).long()
            left = (best[:, 0] < 0).nonzero().squeeze(1)
            if len(left):
                best[left] = plain(rows[left.numpy()])
            return best

        return by_scan

    def _measure(self, hits: Tensor, top: Tensor) -> Result:
        per_user = ranking_metrics(hits, self._held_out())
        if np.min(self._unseen) < top.shape[1]:  # what a user has seen stands last
            unseen = torch.as_tensor(self._unseen).expand(len(top))
            top = top.masked_fill(torch.arange(top.shape[1]) >= unseen[:, None], -1)
        return Result(
            metrics=_means(per_user),
            users=self.users,
            per_user={name: values.numpy().astype(np.float32) for name, values in per_user.items()},
            top=top.numpy(),
        )


def _means(per_user: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(values.mean()) for name, values in per_user.items()}


_Rank = Callable[[np.ndarray], Tensor]
"""Numbers of evaluated users, rising [b] -> columns of their best items, int64 [b, count]."""


class _Plain:
    """Ranks by tensor operations alone, on any device and for any scores.

    Args:
        scores: the model's.
        users: int64 [T], all users that are evaluated.
        order: int64 [I], the items in the order that decides ties.
        count: wanted items.
        seen: what to mask, by number of the user.
        shape: most users of a block, and columns of its scores, at least I.
    """

    def __init__(
        self,
        scores: Scores | Vectors,
        users: Tensor,
        order: Tensor,
        count: int,
        seen: _Pairs,
        shape: tuple[int, int],
    ) -> None:
        self._scores, self._users, self._order = scores, users, order
        self._count, self._seen, self._shape = count, seen, shape
        self._begun: tuple[Tensor, Maxima] | None = None
        self._sorted: tuple[Tensor, Tensor, Tensor] | None = None

    def __call__(self, rows: np.ndarray) -> Tensor:
        """As `_Rank`."""
        if self._begun is None:
            empty = torch.empty(self._shape, device=self._users.device)
            self._begun = empty, Maxima(empty, self._count)
        buffer, maxima = self._begun
        out = buffer[: len(rows)]
        ids = self._users[torch.from_numpy(rows).to(self._users.device)]
        if isinstance(self._scores, Vectors):
            mine = self._scores.users[ids]
            items, columns, longest = self._in_order(self._scores.items)
            rough_products(mine, columns, out)
            self._mask(rows, out)
            return top_products(out, mine, items, longest, self._count, maxima)
        self._scores(ids, self._order, out)
        self._mask(rows, out)
        return top_columns(out, self._count, maxima)

    def _in_order(self, items: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Items in order, the same as columns, and the largest length."""
        if self._sorted is None:
            rows = functional.pad(items[self._order], (0, 0, 0, self._shape[1] - len(items)))
            # Contiguous columns: a GEMM with few users is a sixth faster.
            self._sorted = rows, rows.T.contiguous(), rows.norm(dim=1).max()
        return self._sorted

    def _mask(self, rows: np.ndarray, out: Tensor) -> None:
        out[:, len(self._order) :] = -torch.inf
        out.view(-1)[self._seen.flat(rows, out.shape[1], out.device)] = -torch.inf


class _Pairs:
    """(row, column) pairs of selected rows of sparse matrices, columns in ranking order.

    Attributes:
        columns: int32, rising within each row.
        starts: int64 [rows + 1], where each row starts in `columns`.
    """

    def __init__(self, parts: Sequence[CSR], users: np.ndarray, place: np.ndarray) -> None:
        counts = np.zeros(len(users), np.int64)
        keys = []
        for csr in parts:
            lengths = np.diff(csr.indptr)[users]
            counts += lengths
            ends = np.cumsum(lengths)
            at = np.repeat(csr.indptr[users] - (ends - lengths), lengths) + np.arange(ends[-1])
            rows = np.repeat(np.arange(len(users)), lengths)
            keys.append(rows * len(place) + place[csr.indices[at]])
        self.starts = np.concatenate(([0], np.cumsum(counts)))
        ordered = np.sort(np.concatenate(keys)) if keys else np.empty(0, np.int64)
        self.columns = (ordered % len(place)).astype(np.int32)

    def part(self, rows: slice) -> tuple[np.ndarray, np.ndarray]:
        """All columns, and where those of consecutive rows start and end."""
        return self.columns, self.starts[rows.start : rows.stop + 1]

    def flat(self, rows: np.ndarray, width: int, device: torch.device) -> Tensor:
        """Places of the pairs of some rows in a flat array [len(rows), width]."""
        lengths = self.starts[rows + 1] - self.starts[rows]
        ends = np.cumsum(lengths)
        at = np.repeat(self.starts[rows] - (ends - lengths), lengths) + np.arange(ends[-1])
        owners = np.repeat(np.arange(len(rows)), lengths)
        return torch.from_numpy(owners * width + self.columns[at]).to(device)


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
