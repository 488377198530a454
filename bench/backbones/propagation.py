"""Propagation on the graph of training interactions: powers of a symmetric matrix, averaged."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from bench.data import CSR

_LARGEST_INT32 = 2**31 - 1


def normalised_graph(train: CSR, items: int) -> Graph:
    """Make A = D^-1/2 [0 R; R^T 0] D^-1/2 of the training interactions R, without self-loops.

    Ids without a training interaction have an empty row.

    Args:
        train: training interactions, users x items.
        items: number of items.

    Returns:
        A. Its indices are int32 where they fit, which halves the memory that a product reads.
    """
    users = train.indptr.size - 1
    size = users + items
    user = torch.from_numpy(train.rows())
    item = torch.from_numpy(train.indices).to(torch.int64) + users
    rows, columns = torch.cat((user, item)), torch.cat((item, user))
    # A stable sort keeps the columns of each row in rising order.
    order = torch.argsort(rows, stable=True)
    rows, columns = rows[order], columns[order]
    degrees = torch.bincount(rows, minlength=size)
    starts = torch.zeros(size + 1, dtype=torch.int64)
    torch.cumsum(degrees, 0, out=starts[1:])
    scale = degrees.clamp(min=1).double().rsqrt()
    values = (scale[rows] * scale[columns]).float()
    if len(rows) <= _LARGEST_INT32:
        starts, columns = starts.int(), columns.int()
    return Graph(starts, columns, values)


@dataclass(frozen=True)
class Graph:
    """A square sparse matrix A, as `normalised_graph` makes it.

    Attributes:
        starts: row starts, int [N + 1].
        columns: int [nnz], in rising order within each row.
        values: float32 [nnz].
    """

    starts: Tensor
    columns: Tensor
    values: Tensor

    def product(self, rows: Tensor, scale: float = 1.0) -> Tensor:
        """`scale` A E: float [N, dim] -> [N, dim], a new array."""
        values = self.values.to(rows.dtype)
        if scale != 1:
            values = values * scale
        if rows.device.type == "cpu":
            # A row of the product is a weighted sum of rows. The kernel for embedding bags computes
            # such sums in a third of the time of MKL's CSR product.
            return functional.embedding_bag(
                self.columns,
                rows,
                self.starts,
                mode="sum",
                per_sample_weights=values,
                include_last_offset=True,
            )
        with warnings.catch_warnings():
            # "Sparse CSR tensor support is in beta state"; only the product is used here.
            warnings.simplefilter("ignore", UserWarning)
            matrix = torch.sparse_csr_tensor(
                self.starts, self.columns, values, (len(rows),) * 2, check_invariants=False
            )
        return torch.mm(matrix, rows)


def mean_of_layers(rows: Tensor, graph: Graph, layers: int) -> Tensor:
    """Compute (E + A E + ... + A^L E) / (L + 1) for a symmetric A.

    A polynomial in a symmetric matrix is symmetric. The gradient is therefore the same polynomial
    of the incoming gradient: nothing is transposed, and no layer is kept for the backward pass.

    Args:
        rows: E, float32 [N, dim].
        graph: A. Its symmetry is not checked.
        layers: L, at least 0.
    """
    mean: Tensor = _Mean.apply(rows, graph, layers)
    return mean


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, graph: Graph, layers: int) -> Tensor:
        ctx.graph, ctx.layers = graph, layers
        return _horner(rows, graph, layers)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return _horner(grads[0].contiguous(), ctx.graph, ctx.layers), None, None


def _horner(rows: Tensor, graph: Graph, layers: int) -> Tensor:
    """E + A (E + A (E + ...)), divided by the number of terms in the last step."""
    total, share = rows, 1.0
    for layer in range(layers):
        share = 1 / (layers + 1) if layer == layers - 1 else 1.0
        total = graph.product(total, share).add_(rows, alpha=share)
    return total if layers else rows.clone()
