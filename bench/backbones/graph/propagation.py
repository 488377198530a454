"""Propagation on the graph of training interactions: powers of a symmetric matrix, averaged."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from bench.compiled import available
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
    return Graph(starts, columns, values, scale.float())


@dataclass(frozen=True)
class Graph:
    """A square sparse matrix A, as `normalised_graph` makes it.

    Attributes:
        starts: row starts, int [N + 1].
        columns: int [nnz], in rising order within each row.
        values: float32 [nnz]; of row i and column j `scale[i] scale[j]`.
        scale: float32 [N].
    """

    starts: Tensor
    columns: Tensor
    values: Tensor
    scale: Tensor

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
    mean: Tensor = _All.apply(rows, graph, layers)
    return mean


def some_of_mean(rows: Tensor, graph: Graph, layers: int, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Some rows of the mean of layers, and the same rows of E.

    The last product of the forward pass is computed for these rows only, and the first one of the
    backward pass from these rows only. The gradients of both results reach E in one array.

    Args:
        rows: as of `mean_of_layers`.
        graph: likewise.
        layers: likewise.
        ids: int64 [n], distinct.

    Returns:
        [n, dim] and [n, dim].
    """
    mean, own = _Some.apply(rows, graph, layers, ids)
    return mean, own


class _All(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, graph: Graph, layers: int) -> Tensor:
        ctx.graph, ctx.layers = graph, layers
        return _mean(rows.contiguous(), graph, layers)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return _mean(grads[0].contiguous(), ctx.graph, ctx.layers), None, None


class _Some(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, graph: Graph, layers: int, ids: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        ctx.graph, ctx.layers, ctx.ids, ctx.shape = graph, layers, ids, rows.shape
        own = rows.index_select(0, ids)
        if layers and _compiles(rows):
            return _compiled(False, rows.contiguous(), graph, layers, ids), own
        return _mean(rows, graph, layers).index_select(0, ids), own

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, None, None, None]:
        by_mean, by_own = grads
        if by_mean is None:
            total = None if by_own is None else by_own.new_zeros(ctx.shape)
        elif ctx.layers and _compiles(by_mean):
            total = _compiled(True, by_mean.contiguous(), ctx.graph, ctx.layers, ctx.ids)
        else:
            placed = by_mean.new_zeros(ctx.shape).index_add_(0, ctx.ids, by_mean)
            total = _mean(placed, ctx.graph, ctx.layers)
        if by_own is not None and total is not None:
            total.index_add_(0, ctx.ids, by_own)
        return total, None, None, None


def _mean(rows: Tensor, graph: Graph, layers: int) -> Tensor:
    if layers and _compiles(rows):
        return _compiled(False, rows, graph, layers, torch.arange(len(rows)))
    # E + A (E + A (E + ...)), divided by the number of terms in the last step.
    total = rows
    for layer in range(layers):
        share = 1 / (layers + 1) if layer == layers - 1 else 1.0
        total = graph.product(total, share).add_(rows, alpha=share)
    return total if layers else rows.clone()


def _compiles(rows: Tensor) -> bool:
    """Whether the compiled loops take such rows."""
    return rows.device.type == "cpu" and rows.dtype == torch.float32 and available()


def _compiled(back: bool, rows: Tensor, graph: Graph, layers: int, ids: Tensor) -> Tensor:
    """Rows of all -> rows of `ids`, or back, on a CPU.

    Parts of the columns do not depend on each other. They are computed with as many threads as
    PyTorch has, and the result is the same with any number of them.
    """
    from bench.backbones.graph import kernels

    width, lanes = rows.shape[1], kernels.LANES
    kernel = kernels.mean_to_all if back else kernels.mean_of_some
    padded = rows.detach()
    if width % lanes:
        padded = functional.pad(padded, (0, -width % lanes))
    out = torch.empty(len(graph.scale) if back else len(ids), padded.shape[1])
    source, target = padded.numpy(), out.numpy()
    arrays = (graph.starts.numpy(), graph.columns.numpy(), graph.scale.numpy())

    def part(first: int) -> None:
        kernel(source, first, *arrays, layers, ids.numpy(), target)

    parts = range(0, padded.shape[1], lanes)
    threads = min(torch.get_num_threads(), len(parts))
    if threads <= 1:
        for first in parts:
            part(first)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(part, parts))
    return out if out.shape[1] == width else out[:, :width].contiguous()
