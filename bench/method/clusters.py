"""K-means, for methods that store codes: Lloyd's algorithm (IEEE Trans. Inf. Theory 1982)."""

from __future__ import annotations

import torch
from torch import Tensor

_ROUNDS = 25
_PIECE = 2**22  # distances at a time: 16 MB


def nearest(points: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest centre of each point; of equally near ones the first.

    Args:
        points: float32 [n, k].
        centres: float32 [m, k].

    Returns:
        int64 [n], and the squared distances float32 [n].
    """
    half = centres.square().sum(1) / 2
    found, best = [], []
    for piece in points.split(max(1, _PIECE // max(1, len(centres)))):
        most = torch.addmm(-half, piece, centres.T).max(1)  # -distance²/2 + |point|²/2
        found.append(most.indices)
        best.append((piece.square().sum(1) - 2 * most.values).clamp(min=0))
    return torch.cat(found), torch.cat(best)


def k_means(points: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Centres that have a small squared distance to the points.

    Starts from points that are drawn. A centre without points moves to one of the points that are
    farthest from theirs. With no more points than centres, the points are the first centres.

    Args:
        points: float32 [n, k], n at least 1.
        count: of centres.
        generator: on the CPU; its state decides the result.

    Returns:
        float32 [count, k], and the nearest centre of each point, int64 [n].
    """
    n = len(points)
    centres = points.new_zeros(count, points.shape[1])
    if n <= count:
        centres[:n] = points
        return centres, torch.arange(n, device=points.device)
    centres = points[torch.randperm(n, generator=generator)[:count]].clone()
    before: Tensor | None = None
    for _ in range(_ROUNDS):
        codes, distances = nearest(points, centres)
        if before is not None and torch.equal(codes, before):
            break
        before = codes
        sizes = torch.bincount(codes, minlength=count)
        sums = torch.zeros_like(centres).index_add_(0, codes, points)
        centres = sums / sizes.clamp(min=1).unsqueeze(1)
        empty = (sizes == 0).nonzero().squeeze(1)
        if len(empty):
            centres[empty] = points[distances.topk(min(len(empty), n)).indices]
    return centres, nearest(points, centres)[0]
