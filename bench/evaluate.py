"""Full-ranking evaluation: every item that a user has not seen in training is a candidate.

Scores are made in blocks of users by one GEMM each, seen items are masked in place, and the top 50
are found exactly without sorting. Maxima are taken of groups of columns, groups of groups and so
on. The 50th highest maximum at the top is a score that at least 50 items reach, so that only groups
whose maximum reaches it have to be opened, level by level; what is left at the bottom is little
more than the top 50. Equal scores rank in a fixed random order of the items, because the order of
ids carries information (low ids are popular in many files) and hashed items tie exactly. All items
that tie are opened alike, so ties cost nothing unless they are so many that a user's top 50 is
mostly ties (all scores 0, say); then the first columns that hold the tied score are looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.data import CSR, Interactions
from bench.errors import DataError

KS = (5, 10, 20, 50)
_TOP = max(KS)
_FANS = (8, 8, 4)  # members of a group at each level, from the columns up
_GROUP = 256  # their product; the columns are padded to a multiple of it
_FEW = 8  # groups opened for each item wanted, at most; a row that has more is mostly ties
_ORDER_SEED = 20_231_204

_INT32 = 2**31 - 1

Scores = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(user ids [b], item order [I], out [b, W >= I]) -> scores in out[:, :I], in that order."""


@dataclass(frozen=True)
class Result:
    """Metrics of one evaluation.

    Attributes:
        metrics: mean over the users that have a test item, by name (`recall@20`, `ndcg@20`, ...).
        users: int64 [T], those users, ascending.
        per_user: float32 [T] by metric name.
        top: int32 [T, 50], the best items of each user, best first.
    """

    metrics: dict[str, float]
    users: np.ndarray
    per_user: dict[str, np.ndarray]
    top: np.ndarray


class Evaluator:
    """Ranks all items for the users of one part of the data.

    Args:
        part: held-out interactions; users without any are left out.
        seen: interactions to mask (training; at test time validation, too).
        items: number of items.
        device: where scores are computed.
        block: users a GEMM; results do not depend on it.
        limit: evaluate a fixed random subset of so many users (validation in training only).

    Raises:
        DataError: no user has a held-out interaction, so that there is nothing to rank for.
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
        self._width = -(-items // _GROUP) * _GROUP
        self._part = part
        self._wanted = _Pairs(part, users, self._place)
        self._masked = [_Pairs(csr, users, self._place) for csr in seen]

    def __call__(self, scores: Scores) -> Result:
        """Ranks with a model's scores and measures."""
        device, width = self.device, self._width
        buffer = torch.empty(self.block, width, device=device)
        hit = torch.zeros(self.block, width, dtype=torch.bool, device=device)
        order = self.order.to(device)
        tops, hits = [], []
        for start in range(0, len(self.users), self.block):
            stop = min(start + self.block, len(self.users))
            out = buffer[: stop - start]
            ids = torch.from_numpy(self.users[start:stop]).to(device)
            scores(ids, order, out)
            out[:, self.items :] = -torch.inf
            for pairs in self._masked:
                rows, columns = pairs.slice(start, stop)
                flat = torch.from_numpy(rows * width + columns).to(device)
                out.view(-1)[flat] = -torch.inf
            best = top_columns(out, min(_TOP, self.items))
            rows, columns = self._wanted.slice(start, stop)
            flat = torch.from_numpy(rows * width + columns).to(device)
            hit.view(-1)[flat] = True
            hits.append(hit[: stop - start].gather(1, best).cpu())
            hit.view(-1)[flat] = False
            tops.append(order[best.clamp(max=self.items - 1)].to(torch.int32).cpu())
        return self._measure(torch.cat(hits), torch.cat(tops))

    def _measure(self, hits: Tensor, top: Tensor) -> Result:
        wanted = torch.from_numpy(np.diff(self._part.indptr)[self.users])
        per_user = ranking_metrics(hits, wanted)
        return Result(
            metrics={name: float(values.mean()) for name, values in per_user.items()},
            users=self.users,
            per_user={name: values.numpy().astype(np.float32) for name, values in per_user.items()},
            top=top.numpy(),
        )


class _Pairs:
    """(row, column) pairs of a sparse matrix by ranges of selected rows, columns re-ordered."""

    def __init__(self, csr: CSR, users: np.ndarray, place: np.ndarray) -> None:
        lengths = np.diff(csr.indptr)[users]
        self._ends = np.concatenate(([0], np.cumsum(lengths)))
        starts = np.repeat(csr.indptr[users] - self._ends[:-1], lengths)
        self._columns = place[csr.indices[starts + np.arange(self._ends[-1])]]
        self._rows = np.repeat(np.arange(len(users)), lengths)

    def slice(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        low, high = self._ends[start], self._ends[stop]
        return self._rows[low:high] - start, self._columns[low:high]


def top_columns(scores: Tensor, count: int) -> Tensor:
    """Columns of the largest `count` entries of each row, best first, ties by column.

    Args:
        scores: [b, W], W at least `count`; not changed, no NaN. A multiple of 256 is
            fastest.
        count: how many, at most 50 or so.

    Returns:
        int64 [b, count].
    """
    levels = _maxima(scores, count)
    # At least `count` entries of a row reach this, so that none below it can be among the first.
    least = levels[-1].topk(count, dim=1, sorted=False).values.amin(1)
    bound = least.clone()
    # Row numbers and columns of the entries that reach the bound, level by level downwards.
    wide = torch.int64 if scores.numel() > _INT32 else torch.int32
    rows, columns = (
        index.to(wide) for index in torch.nonzero(levels[-1] >= bound.unsqueeze(1), as_tuple=True)
    )
    values = levels[-1].view(-1).index_select(0, rows * levels[-1].shape[1] + columns)
    rows, columns, values = _spare(rows, columns, values, bound, least, count)
    for above, below in zip(levels[:0:-1], levels[-2::-1], strict=True):
        width = above.shape[1]
        step = torch.arange(0, below.shape[1], width, dtype=wide, device=scores.device)
        # Entry x of a level is the maximum of x, x + width, x + 2 width, ... of the level below.
        # [members, groups]: loops over the short side inside would cost more than the rest.
        members = columns + step.unsqueeze(1)
        found = below.view(-1).index_select(0, (members + rows * below.shape[1]).view(-1))
        limit = bound.index_select(0, rows)
        at = torch.nonzero((found.view(members.shape) >= limit).view(-1)).squeeze(1)
        rows = rows.repeat(len(step)).index_select(0, at)
        columns, values = members.view(-1).index_select(0, at), found.index_select(0, at)
        rows, columns, values = _spare(rows, columns, values, bound, least, count)
    if bool((bound > least).any()):
        tied = _first_equal(scores, rows, least, bound > least, count)
        rows, columns = torch.cat((rows, tied[0].to(wide))), torch.cat((columns, tied[1].to(wide)))
        values = torch.cat((values, least.index_select(0, tied[0])))
    return _best(rows.long(), columns.long(), values, scores.shape, count)


def _maxima(scores: Tensor, count: int) -> list[Tensor]:
    """The scores and the maxima of ever larger groups, while there are enough groups to choose."""
    levels = [scores]
    for fan in _FANS:
        rows, width = levels[-1].shape
        if width % fan or width // fan < 2 * count:
            break
        # The maximum runs over rows of a [fan, width / fan] matrix, which vectorises.
        levels.append(levels[-1].view(rows, fan, width // fan).amax(1))
    return levels


def _spare(
    rows: Tensor, columns: Tensor, values: Tensor, bound: Tensor, least: Tensor, count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Leaves out the entries that equal `least` in rows that have too many; raises their bound."""
    many = torch.bincount(rows, minlength=len(bound)) > _FEW * count
    if not bool(many.any()):
        return rows, columns, values
    above = torch.nextafter(least, torch.full_like(least, torch.inf))
    bound.copy_(torch.where(many, above, bound))
    kept = torch.nonzero(values >= bound.index_select(0, rows)).squeeze(1)
    return rows[kept], columns[kept], values[kept]


def _first_equal(
    scores: Tensor, found: Tensor, least: Tensor, where: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    """Rows and columns of the first entries that equal `least`, until each row has `count`.

    Args:
        scores: [b, W].
        found: row numbers of the entries found already.
        least: [b], the tied score.
        where: bool [b], the rows to search.
        count: entries that a row needs.
    """
    have = torch.bincount(found, minlength=len(scores))
    left = torch.nonzero(where & (have < count)).squeeze(1)
    parts: list[tuple[Tensor, Tensor]] = []
    start, size = 0, 8 * count
    while len(left):
        equal = scores[left, start : start + size] == least[left].unsqueeze(1)
        place = equal.cumsum(1, dtype=torch.int32) + have[left].unsqueeze(1)
        row, column = torch.nonzero(equal & (place <= count), as_tuple=True)
        parts.append((left[row], column + start))
        have[left] = place[:, -1].long()
        left = left[have[left] < count]
        start, size = start + size, 4 * size
    if not parts:
        return left, left
    return torch.cat([row for row, _ in parts]), torch.cat([column for _, column in parts])


def _best(rows: Tensor, columns: Tensor, values: Tensor, shape: torch.Size, count: int) -> Tensor:
    """The first `count` columns of each row, from entries in any order, at least `count` a row."""
    # The bits of a float32 are in order but for negative ones; adding 0 makes -0 a 0.
    if values.dtype == torch.float32:
        bits = (values + 0.0).view(torch.int32)
        bits = torch.where(bits < 0, bits ^ _INT32, bits).long()
    else:
        bits = torch.unique(values, return_inverse=True)[1]
    # One whole number an entry that rises with the row, falls with the score and rises with the
    # column: one sort of them is far cheaper than a top-k of each row.
    low = (shape[1] - 1).bit_length()
    keys = (_INT32 - bits << low) + columns
    if low + 32 + (shape[0] - 1).bit_length() < 64:
        keys = _sorted((rows << low + 32) + keys)
    else:
        order = keys.argsort()
        keys = keys[order[rows[order].argsort(stable=True)]]
    counts = torch.bincount(rows, minlength=shape[0])
    starts = (counts.cumsum(0) - counts).unsqueeze(1)
    return keys[starts + torch.arange(count, device=rows.device)] & ((1 << low) - 1)


def _sorted(keys: Tensor) -> Tensor:
    if keys.device.type == "cpu":
        return torch.from_numpy(np.sort(keys.numpy()))  # vectorised, unlike PyTorch's
    return keys.sort().values


def ranking_metrics(hits: Tensor, wanted: Tensor) -> dict[str, Tensor]:
    """Recall and NDCG at every cut-off, per user.

    Recall@k = hits / |T_u|. NDCG@k is binary: sum of 1/log2(rank + 1) over hits, divided by the
    same for min(k, |T_u|) hits at the top (Jarvelin & Kekalainen, TOIS 2002).

    Args:
        hits: bool [T, n], whether the item at each rank is a held-out one.
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
    """What a board needs of each user and of groups of items; see the record's `.npz`.

    Quintiles split users by training interactions, and items so that each quintile has a fifth of
    all training interactions (0: the long tail, 4: the head).
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
    shown = (result.users[:, None] * data.items + result.top[:, :20]).ravel()
    at = np.minimum(np.searchsorted(wanted, shown), len(wanted) - 1)
    found = result.top[:, :20].ravel()[wanted[at] == shown]
    return {
        "users": result.users.astype(np.int32),
        "recall@20": result.per_user["recall@20"],
        "ndcg@20": result.per_user["ndcg@20"],
        "activity": np.searchsorted(edges, activity[result.users], side="right").astype(np.uint8),
        "item_hits": np.bincount(bucket[found], minlength=5).astype(np.int64),
        "item_total": np.bincount(bucket[data.test.indices], minlength=5).astype(np.int64),
    }
