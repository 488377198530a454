"""Fewer columns for a trained table: the rows whose products are nearest to its own."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize, pad

_SHORTEST = 1e-12


def directions(rows: Tensor) -> Tensor:
    """Rows of length 1; a row of zeros stays one: float32 [n, k] -> [n, k]."""
    return normalize(rows, dim=1, eps=_SHORTEST)


def rotation(width: int, generator: torch.Generator) -> Tensor:
    """A random rotation, float64 [width, width].

    Rows of users and of items that are rotated alike have the products that they had. Afterwards
    their columns have about the same variance, which is what quantisers work best on.
    """
    drawn = torch.randn(width, width, generator=generator, dtype=torch.float64)
    found, upper = torch.linalg.qr(drawn)
    return found * upper.diagonal().sign()


def project(
    teacher: Tensor,
    users: int,
    width: int,
    generator: torch.Generator | None,
    length_power: float = 1.0,
    user_lengths: bool = False,
) -> Tensor:
    """Rows of `width` columns in place of those of a trained table.

    Products of users' directions and of items' rows are approximated with the least squared error:
    by the singular value decomposition of their matrix, which is that of a small core after a QR
    decomposition of each side. A user's length changes no ranking by products; its row has about
    length 1.

    Args:
        teacher: float32 [N, k], users first.
        users: number of users.
        width: columns of the result, at most k.
        generator: for a rotation of the columns; None: they are the principal ones, the first of
            which hold most of the products.
        length_power: an item counts by its length to this power: 1 for scores that are products, 0
            for cosines. In the result it has its own length again.
        user_lengths: a user's row has its own length again, too, as backbones need that do not
            score by products of rows.

    Returns:
        float32 [N, width].
    """
    rows = teacher.double()
    one = normalize(rows[:users], dim=1, eps=_SHORTEST)
    length = rows[users:].norm(dim=1, keepdim=True).clamp(min=_SHORTEST)
    own_length = rows[:users].norm(dim=1, keepdim=True) if user_lengths else 1.0
    other = rows[users:] / length * length.pow(length_power)
    if width < rows.shape[1] or generator is None:
        (base, left), (own, right) = torch.linalg.qr(one), torch.linalg.qr(other)
        first, size, second = torch.linalg.svd(left @ right.T, full_matrices=False)
        root = size[:width].sqrt()
        one = base @ (first[:, :width] * root)
        other = own @ (second[:width].T * root)
        missing = width - one.shape[1]  # fewer ids of a side than columns
        one, other = pad(one, (0, missing)), pad(other, (0, missing))
    found = torch.cat((one * own_length, other * length.pow(1 - length_power)))
    return (found if generator is None else found @ rotation(width, generator)).float()
