"""Clusters of users and items in the graph of training interactions."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from bench.method.clusters import k_means, nearest
from bench.method.factors import directions
from bench.method.table import Pairs

_COMPONENTS = 32
_ROUNDS = 8
_MORE = 8  # columns beyond those asked for, which make the subspace iteration exact enough
_POINTS = 20  # points a centre that k-means sees; the others take the nearest centre


def components(matrix: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The first left and right singular vectors of a sparse matrix, by subspace iteration.

    Args:
        matrix: sparse float32 [n, m].
        count: how many.
        generator: on the CPU; its state decides the result.

    Returns:
        float32 [n, count] and [m, count]; zeros, where the matrix has fewer.
    """
    rows, columns = matrix.shape
    size = min(count + _MORE, rows, columns)
    base = torch.linalg.qr(torch.randn(columns, size, generator=generator)).Q
    turned = matrix.T.coalesce()
    for _ in range(_ROUNDS):
        base = torch.linalg.qr(torch.sparse.mm(turned, torch.sparse.mm(matrix, base))).Q
    left, _, right = torch.linalg.svd(torch.sparse.mm(matrix, base), full_matrices=False)
    found = left[:, :count], (base @ right.T)[:, :count]
    missing = count - found[0].shape[1]
    users, items = (pad(side, (0, missing)) for side in found)
    return users, items


def normalised(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """D_u^-1/2 R D_i^-1/2 and the degrees D_u and D_i of a sparse float32 matrix R [n, m].

    Its first singular vectors are the roots of the degrees. A row or a column without entries
    has the degree 1.
    """
    users, items = (torch.sparse.sum(matrix, axis).to_dense().clamp(min=1) for axis in (1, 0))
    row, column = matrix.indices()
    normal = torch.sparse_coo_tensor(
        matrix.indices(),
        (users[row] * items[column]).rsqrt(),
        matrix.shape,
        is_coalesced=True,
        check_invariants=True,
    )
    return normal, users, items


def spectral_vectors(pairs: Pairs, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Directions of users and of items whose neighbourhoods are alike.

    They are the first 32 singular vectors of D_u^-1/2 R D_i^-1/2 (Dhillon, KDD 2001), times their
    singular values, as rows of length 1. Users and items of a cluster are close to each other, too.

    Args:
        pairs: training interactions R.
        generator: on the CPU; its state decides the result.

    Returns:
        float32 [users, 32] and [items, 32].
    """
    normal, users, items = normalised(pairs.matrix())
    left, right = components(normal, _COMPONENTS, generator)
    # By singular value, so that components beyond the rank of the matrix count for nothing.
    size = torch.sparse.mm(normal, right).norm(dim=0)
    sides = (left / users.sqrt().unsqueeze(1), right / items.sqrt().unsqueeze(1))
    first, second = (directions(side * size) for side in sides)
    return first, second


def spectral_clusters(points: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """The cluster of each point: float32 [n, k] -> int64 [n], below `count`."""
    if not len(points):
        return torch.zeros(0, dtype=torch.int64, device=points.device)
    some = torch.randperm(len(points), generator=generator)[: _POINTS * count]
    centres, _ = k_means(points[some], count, generator)
    return nearest(points, centres)[0]
