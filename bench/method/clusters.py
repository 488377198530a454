"""K-means, for methods that store codes: Lloyd's algorithm (IEEE Trans. Inf. Theory 1982)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Assign = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

_ROUNDS = 25
_FAST_ROUNDS = 15  # where a sample is enough: the squared distance is .5 % larger
_PIECE = 2**22  # distances at a time: 16 MB
_SMALL_PIECE = 2**19  # 2 MB, which stay in a cache


def nearest(points: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest centre of each point; of equally near ones the first.

    Args:
        points: float32 [n, k].
        centres: float32 [m, k].

    Returns:
        int64 [n], and the squared distances float32 [n].
    """
    half = -centres.square().sum(1) / 2
    size = max(1, _PIECE // max(1, len(centres)))
    # One array for all pieces: small results between large ones would split the memory.
    scores = points.new_empty(min(size, len(points)), len(centres))
    found = torch.empty(len(points), dtype=torch.int64, device=points.device)
    best = points.new_empty(len(points))
    for start in range(0, len(points), size):
        here = slice(start, start + size)
        piece = points[here]
        part = torch.addmm(half, piece, centres.T, out=scores[: len(piece)])
        # -distance²/2 + |point|²/2
        torch.max(part, 1, out=(best[here], found[here]))
    return found, (points.square().sum(1) - 2 * best).clamp(min=0)


def _about_nearest(points: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """As `nearest`, in less than half the time; nearly equal distances may be mistaken.

    The last bits of a distance are replaced by the number of its centre. So one maximum, which is
    computed for several values at a time, finds both; a maximum with its place is not.
    """
    half = centres.square().sum(1) / 2
    number = torch.arange(len(centres), dtype=torch.int32, device=points.device)
    bits = 2 ** (len(centres) - 1).bit_length() - 1
    found, best = [], []
    for piece in points.split(max(1, _SMALL_PIECE // len(centres))):
        scores = torch.addmm(-half, piece, centres.T)
        scores.view(torch.int32).bitwise_and_(~bits).bitwise_or_(number)
        most = scores.amax(1)
        found.append(most.view(torch.int32) & bits)
        best.append((piece.square().sum(1) - 2 * most).clamp(min=0))
    return torch.cat(found).long(), torch.cat(best)


def k_means(
    points: Tensor, count: int, generator: torch.Generator, sample: int | None = None
) -> tuple[Tensor, Tensor]:
    """Centres that have a small squared distance to the points.

    Starts from points that are drawn. A centre without points moves to one of the points that are
    farthest from theirs. With no more points than centres, the points are the first centres.

    Args:
        points: float32 [n, k], n at least 1.
        count: of centres.
        generator: on the CPU; its state decides the result.
        sample: how many points the centres are computed from, at most; nearly equal distances may
            be mistaken on the way. None: all points, and exact distances.

    Returns:
        float32 [count, k], and the nearest centre of each point, int64 [n].
    """
    n = len(points)
    if n <= count:
        centres = points.new_zeros(count, points.shape[1])
        centres[:n] = points
        return centres, torch.arange(n, device=points.device)
    order = torch.randperm(n, generator=generator)
    centres = points[order[:count]].clone()
    if sample is None:
        centres = _moved(points, centres, _ROUNDS, nearest)
    else:
        some = points if n <= sample else points[order[:sample]]
        centres = _moved(some, centres, _FAST_ROUNDS, _about_nearest)
    return centres, nearest(points, centres)[0]


def _moved(points: Tensor, centres: Tensor, rounds: int, assign: Assign) -> Tensor:
    """The centres after some rounds, fewer if no point changes its centre."""
    n, count = len(points), len(centres)
    before: Tensor | None = None
    for _ in range(rounds):
        codes, distances = assign(points, centres)
        if before is not None and torch.equal(codes, before):
            break
        before = codes
        sizes = torch.bincount(codes, minlength=count)
        sums = torch.zeros_like(centres).index_add_(0, codes, points)
        centres = sums / sizes.clamp(min=1).unsqueeze(1)
        empty = (sizes == 0).nonzero().squeeze(1)
        if len(empty):
            centres[empty] = points[distances.topk(min(len(empty), n)).indices]
    return centres
