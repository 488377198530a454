"""The largest entries of each row of a wide matrix of scores, exactly and without sorting it.

Columns form groups, groups form larger groups, and the maximum of each group is computed. At least
50 entries reach the 50th highest maximum of the top level. Only groups whose maximum reaches this
bound are searched, level by level, and little more than the top 50 is left in the end. Ties need no
special care unless a row's top 50 consists mostly of ties (all scores 0, for example). In such a
row the first columns with the tied score are looked up.

Scores that are dot products are computed twice. The first pass rounds the factors to bfloat16 where
the processor has instructions for it, which takes a third of the time. The error of a rough score
is at most a known share of the product of the rows' lengths, which gives the set of all entries
that can be among the first. The second pass computes these few products in float64, rounded to
float32, and only they decide. On a processor without such instructions the first pass is in
float32, and the result is the same.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

_FANS = (8, 8, 4)  # members of a group at each level, starting from the columns
GROUP = 256  # their product; a width that is a multiple of it is fastest
_START = 2  # level that is searched completely; below, only groups that reach the bound
_FEW = 8  # groups searched per wanted entry, at most; a row with more is mostly ties
# Two factors rounded to 8 bits of mantissa, and the rounding of sums of up to 4,096 products.
_ROUGH = 2.0**-8 + 2.0**-12

_PIECE = 2048  # products computed together

_INT32 = 2**31 - 1


class Maxima:
    """Maxima of groups of columns, level by level, in arrays that are allocated once.

    Args:
        scores: an example [b, W] of the arrays to come, which may have fewer rows.
        count: wanted entries; a level with fewer than twice as many groups is left out.
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
    # At least `count` entries of a row reach `least`, so that no lower entry is among the first.
    least = levels[-1].topk(count, dim=1, sorted=False).values.amin(1)
    bound = least.clone()

    def spare(rows: Tensor, columns: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """In rows with too many entries, leave out those equal to `least` and raise the bound."""
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
    """Compute products [b, d] x [d, W] into `out`, as exactly as `top_products` needs them."""
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
    """Like `top_columns`, for products of users and items, rounded to float32.

    Args:
        rough: [b, W], from `rough_products`; -inf for items that are no candidates.
        users: float32 [b, d].
        items: float32 [W, d].
        longest: the largest Euclidean length of an item.
        count: how many.
        maxima: for such scores and this count, to save allocations.

    Returns:
        int64 [b, count].
    """
    levels = (maxima or Maxima(rough, count))(rough)
    # At least `count` rough products reach the bound of the top level, and their true values are
    # at most one error lower. The rough form of any product that reaches those true values is at
    # most one more error lower: two errors in all.
    slack = users.norm(dim=1) * (longest * (2 * _ROUGH))
    least = levels[-1].topk(count, dim=1, sorted=False).values.amin(1) - slack
    crowded = torch.zeros(len(rough), dtype=torch.bool, device=rough.device)

    def drop(rows: Tensor, columns: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Leave out rows with too many candidates, which are mostly ties or near ties."""
        many = torch.bincount(rows, minlength=len(rough)) > _FEW * count
        if not bool(many.any()):
            return rows, columns, values
        crowded.logical_or_(many)
        kept = _where(~many.index_select(0, rows))
        return rows[kept], columns[kept], values[kept]

    rows, columns, values = _reaching(levels, least, drop)
    # A row with too few candidates is filled with items that are none (-inf).
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
    exact = torch.mm(users[whole].double(), items.T.double()).float()
    exact[rough[whole] == -torch.inf] = -torch.inf
    best[whole] = top_columns(exact, count)
    return best


def _products(users: Tensor, items: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """users[rows] . items[columns], summed in float64 and rounded to float32 [n]."""
    found = users.new_empty(len(rows))
    # In pieces, so that rows are still in a core's cache when they are summed.
    pieces = zip(rows.split(_PIECE), columns.split(_PIECE), found.split(_PIECE), strict=True)
    for row, column, out in pieces:
        factors = users.index_select(0, row).double().mul_(items.index_select(0, column))
        out.copy_(factors.sum(1))
    return found


def _where(flags: Tensor) -> Tensor:
    """Indices of the flags that are set, of a flat tensor."""
    if flags.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(flags.numpy()))  # vectorised, unlike PyTorch's
    return torch.nonzero(flags).squeeze(1)


def _reaching(levels: list[Tensor], bound: Tensor, thin: _Thin) -> tuple[Tensor, Tensor, Tensor]:
    """Find the entries that reach their row's bound: rows, columns and values.

    Args:
        levels: as from `Maxima`.
        bound: [b]; `thin` may raise it.
        thin: leaves out some of the entries found at a level, given by row, column and value.
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
        # [members, groups]: the other order would have inner loops over the short side, slower.
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
    """Find the first entries that equal `least`, until each row has `count`.

    Args:
        scores: [b, W].
        found: row numbers of the entries found so far.
        least: [b], the tied score.
        where: bool [b], the rows to search.
        count: entries that a row needs.

    Returns:
        Rows and columns.
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
    """The first `count` columns of each row, from at least `count` entries per row, unordered."""
    # Bits of a float32 are in the order of values, except negative ones; -0 + 0 is 0.
    if values.dtype == torch.float32:
        bits = (values + 0.0).view(torch.int32)
        bits = torch.where(bits < 0, bits ^ _INT32, bits).long()
    else:
        bits = torch.unique(values, return_inverse=True)[1]
    # One integer per entry orders by row, then by falling score, then by column. Sorting these
    # once is far cheaper than a top-k of each row.
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
