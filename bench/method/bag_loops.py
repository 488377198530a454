"""Loops that add rows up, compiled by numba; for `bench.method.bags`."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from bench.compiled import compiled


@compiled
def add_up(table: NDArray[Any], index: NDArray[Any], out: NDArray[Any]) -> None:
    """Sums of rows: float32 [rows, d], int64 [n, k] -> `out` [n, d]."""
    for i in range(len(index)):
        total = out[i]
        row = table[index[i, 0]]
        for d in range(len(total)):
            total[d] = row[d]
        for j in range(1, index.shape[1]):
            row = table[index[i, j]]
            for d in range(len(total)):
                total[d] += row[d]


@compiled
def add_back(grads: NDArray[Any], index: NDArray[Any], out: NDArray[Any]) -> None:
    """Add the gradient of each sum to all its rows: float32 [n, d] -> `out` [rows, d]."""
    for i in range(len(index)):
        grad = grads[i]
        for j in range(index.shape[1]):
            total = out[index[i, j]]
            for d in range(len(grad)):
                total[d] += grad[d]
