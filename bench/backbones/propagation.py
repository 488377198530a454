"""Propagation on the graph of training interactions: sums of powers of one symmetric matrix."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from bench.data import CSR

_LARGEST_INT32 = 2**31 - 1


def normalised_graph(train: CSR, items: int) -> tuple[Tensor, Tensor, Tensor]:
    """Make A = D^-1/2 [0 R; R^T 0] D^-1/2 of the training interactions R, without self-loops.

    Ids without a training interaction have an empty row.

    Args:
        train: training interactions, users x items.
        items: number of items.

    Returns:
        Row starts [N + 1], columns [2 nnz] (rising in each row) and values float32 [2 nnz] of A.
        Indices are int32 where they fit, which is what MKL and cuSPARSE take without a copy.
    """
    users = train.indptr.size - 1
    size = users + items
    person = torch.from_numpy(train.rows())
    item = torch.from_numpy(train.indices).to(torch.int64) + users
    rows, columns = torch.cat((person, item)), torch.cat((item, person))
    # Users' rows are in order already; items' rows get in order without disturbing that.
    order = torch.argsort(rows, stable=True)
    rows, columns = rows[order], columns[order]
    degrees = torch.bincount(rows, minlength=size)
    starts = torch.zeros(size + 1, dtype=torch.int64)
    torch.cumsum(degrees, 0, out=starts[1:])
    scale = degrees.clamp(min=1).double().rsqrt()
    values = (scale[rows] * scale[columns]).float()
    if len(rows) <= _LARGEST_INT32:
        starts, columns = starts.int(), columns.int()
    return starts, columns, values


def sparse_matrix(starts: Tensor, columns: Tensor, values: Tensor) -> Tensor:
    """Make a square CSR tensor over the given arrays, which are not copied."""
    size = len(starts) - 1
    with warnings.catch_warnings():
        # "Sparse CSR tensor support is in beta state"; the product is all that is used here.
        warnings.simplefilter("ignore", UserWarning)
        return torch.sparse_csr_tensor(
            starts, columns, values, (size, size), check_invariants=False
        )


def mean_of_layers(rows: Tensor, graph: Tensor, layers: int) -> Tensor:
    """Work out (E + A E + ... + A^L E) / (L + 1) for a symmetric A.

    A polynomial in a symmetric matrix is symmetric, so that the gradient is the same polynomial of
    the incoming gradient: nothing is transposed, and no layer is kept for the backward pass.

    Args:
        rows: E, float32 [N, dim].
        graph: A, CSR [N, N]. Its symmetry is not checked.
        layers: L, at least 0.
    """
    mean: Tensor = _Mean.apply(rows, graph, layers)
    return mean


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, graph: Tensor, layers: int) -> Tensor:
        ctx.graph, ctx.layers = graph, layers
        return _horner(rows, graph, layers)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return _horner(grads[0].contiguous(), ctx.graph, ctx.layers), None, None


def _horner(rows: Tensor, graph: Tensor, layers: int) -> Tensor:
    """E + A (E + A (E + ...)): each layer is one product that adds E on the way."""
    share = 1 / (layers + 1)
    total = rows
    for layer in range(layers):
        scale = share if layer == layers - 1 else 1.0
        total = torch.addmm(rows, graph, total, beta=scale, alpha=scale)
    return total if layers else rows.clone()
