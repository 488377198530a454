"""The largest entries of each row of a wide matrix of scores, exactly and without sorting it.

Maxima are taken of groups of columns, groups of groups and so on. The 50th highest maximum at the
top is a score that at least 50 entries reach, so that only groups whose maximum reaches it have to
be opened, level by level; what is left at the bottom is little more than the top 50. All entries
that tie are opened alike, so ties cost nothing unless they are so many that a row's top 50 is
mostly ties (all scores 0, say); then the first columns that hold the tied score are looked up.

Where scores are dot products, they are first made roughly: from factors rounded to bfloat16, where
the processor has instructions for it, which takes a third of the time. A rough score is off by no
more than a known share of the rows' lengths, so that whatever might be among the first is known;
of these few entries the products are made again in float32, and those alone decide. On a processor
without such instructions the first products are in float32, too, and the result is the same.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

_FANS = (8, 8, 4)  # members of a group at each level, from the columns up
GROUP = 256  # their product; a width that is a multiple of it is fastest
_START = 2  # level that is searched whole; below it, only groups that reach the bound are
_FEW = 8  # groups opened for each entry wanted, at most; a row that has more is mostly ties
# Two factors rounded to 8 bits of mantissa, and the rounding of sums of up to 4,096 products.
_ROUGH = 2.0**-8 + 2.0**-12

_PIECE = 2048  # products made together

_INT32 = 2**31 - 1


class Maxima:
    """Maxima of ever larger groups of columns, into arrays that are allocated once.

    Args:
        scores: an array [b, W] like those to come; they may have fewer rows.
        count: entries that will be asked for: there are no levels with too few groups to choose.
    """

    def __init__(self, scores: Tensor, count: int) -> None:
        rows, width = scores.shape
        self._levels: list[Tensor] = []
        for fan in _FANS:
            if width % fan or width // fan < 2 * count:
                break
            width //= fan
            self._levels.append(scores.new_empty(rows, width))

    def __call__(self, scores: Tensor) -> list[Tensor]:
        """The scores [b, W] and their levels, valid until the next call."""
        levels = [scores]
        for level in self._levels:
            rows, width = len(scores), level.shape[1]
            # The maximum runs over rows of a [fan, width] matrix, which vectorises.
            groups = levels[-1].view(rows, -1, width)
            levels.append(torch.amax(groups, 1, out=level[:rows]))
        return levels


_Thin = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]


def top_columns(scores: Tensor, count: int, maxima: Maxima | None = None) -> Tensor:
    """Columns of the largest `count` entries of each row, best first, ties by column.

    Args:
        scores: [b, W], W at least `count`; not changed, no NaN.
        count: how many, at most 50 or so.
        maxima: for such scores and this count, to save allocations.

    Returns:
        int64 [b, count].
    """
    levels = (maxima or Maxima(scores, count))(scores)
    # At least `count` entries of a row reach this, so that none below it can be among the first.
    least = levels[-1].topk(count, dim=1, sorted=False).values.amin(1)
    bound = least.clone()

    def spare(rows: Tensor, columns: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Leaves out what equals `least` in rows that have too many; raises their bound."""
        many = torch.bincount(rows, minlength=len(bound)) > _FEW * count
        if not bool(many.any()):
            return rows, columns, values
        above = torch.nextafter(least, torch.full_like(least, torch.inf))
        bound.copy_(torch.where(many, above, bound))
        kept = _where(values >= bound.index_select(0, rows))
        return rows[kept], columns[kept], values[kept]

    rows, columns, values = _reaching(levels, bound, spare)
    if bool((bound > least).any()):
        tied = _first_equal(scores, rows, least, bound > least, count)
        rows, columns = torch.cat((rows, tied[0])), torch.cat((columns, tied[1]))
        values = torch.cat((values, least.index_select(0, tied[0])))
    return _best(rows, columns, values, scores.shape, count)


def rough_products(users: Tensor, columns: Tensor, out: Tensor) -> None:
    """Makes products [b, d] x [d, W] into `out`, each off by no more than `top_products` allows."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        torch.mm(users, columns, out=out)
    finally:
        torch.set_float32_matmul_precision(before)


def top_products(
    rough: Tensor,
    users: Tensor,
    items: Tensor,
    longest: Tensor,
    count: int,
    maxima: Maxima | None = None,
) -> Tensor:
    """As `top_columns`, of the products of users and items in float32.

    Args:
        rough: [b, W], from `rough_products`; -inf where an item is no candidate.
        users: float32 [b, d].
        items: float32 [W, d].
        longest: the largest Euclidean length of an item.
        count: how many.
        maxima: for such scores and this count, to save allocations.

    Returns:
        int64 [b, count].
    """
    levels = (maxima or Maxima(rough, count))(rough)
    # At least `count` true products are at most one error below the rough ones that reach `least`;
    # a product that reaches those is at most one more error below in its rough form.
    slack = users.norm(dim=1) * (longest * (2 * _ROUGH))
    least = levels[-1].topk(count, dim=1, sorted=False).values.amin(1) - slack
    crowded = torch.zeros(len(rough), dtype=torch.bool, device=rough.device)

    def drop(rows: Tensor, columns: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Leaves out rows with too many candidates: they are mostly ties, or nearly so."""
        many = torch.bincount(rows, minlength=len(rough)) > _FEW * count
        if not bool(many.any()):
            return rows, columns, values
        crowded.logical_or_(many)
        kept = _where(~many.index_select(0, rows))
        return rows[kept], columns[kept], values[kept]

    rows, columns, values = _reaching(levels, least, drop)
    # Of what is no candidate, enough is found to fill rows that have too few candidates.
    values = _products(users, items, rows, columns).masked_fill_(values == -torch.inf, -torch.inf)
    if not bool(crowded.any()):
        return _best(rows, columns, values, rough.shape, count)
    best = rows.new_empty(len(rough), count)
    plain = torch.nonzero(~crowded).squeeze(1)
    if len(plain):
        place = torch.cumsum(~crowded, 0) - 1
        shape = torch.Size((len(plain), rough.shape[1]))
        best[plain] = _best(place[rows], columns, values, shape, count)
    whole = torch.nonzero(crowded).squeeze(1)
    exact = torch.mm(users[whole], items.T)
    exact[rough[whole] == -torch.inf] = -torch.inf
    best[whole] = top_columns(exact, count)
    return best


def _products(users: Tensor, items: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """users[rows] . items[columns], float32 [n]; each by itself, whatever is beside it."""
    found = users.new_empty(len(rows))
    # Piece by piece, so that a piece's rows are still in a core's cache when they are added up.
    pieces = zip(rows.split(_PIECE), columns.split(_PIECE), found.split(_PIECE), strict=True)
    for row, column, out in pieces:
        factors = users.index_select(0, row).mul_(items.index_select(0, column))
        torch.sum(factors, 1, out=out)
    return found


def _where(flags: Tensor) -> Tensor:
    """Places of the flags that are set, of a flat tensor."""
    if flags.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(flags.numpy()))  # vectorised, unlike PyTorch's
    return torch.nonzero(flags).squeeze(1)


def _reaching(levels: list[Tensor], bound: Tensor, thin: _Thin) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, columns and values of the entries that reach their row's bound.

    Args:
        levels: as from `Maxima`.
        bound: [b]; what `thin` changes in it counts from then on.
        thin: what leaves out some of what was found at a level, by rows, columns and values.
    """
    start = min(_START, len(levels) - 1)
    level = levels[start]
    width = level.shape[1]
    at = _where((level >= bound.unsqueeze(1)).view(-1))
    rows = torch.div(at, width, rounding_mode="floor")
    rows, columns, values = thin(rows, at - rows * width, level.view(-1).index_select(0, at))
    for below in reversed(levels[:start]):
        groups, wide = len(rows), below.shape[1]
        # Entry x of a level is the maximum of x, x + width, x + 2 width, ... of the level below.
        # [members, groups]: loops over the short side inside would cost more than the rest.
        steps = torch.arange(0, wide, width, device=rows.device)
        members = (rows * wide + columns) + steps.unsqueeze(1)
        found = below.view(-1).index_select(0, members.view(-1))
        reach = found.view(members.shape) >= bound.index_select(0, rows)
        at = _where(reach.view(-1))
        member = torch.div(at, max(1, groups), rounding_mode="floor")
        group = at - member * groups
        rows = rows.index_select(0, group)
        columns = columns.index_select(0, group).add_(member, alpha=width)
        rows, columns, values = thin(rows, columns, found.index_select(0, at))
        width = wide
    return rows, columns, values


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
