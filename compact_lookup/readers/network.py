"""Rows that a network makes of hash values."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from compact_lookup.container import File
from compact_lookup.values import Index, Rows, Values

_PRIME, _VALUES, _PIECE = 2**31 - 1, 10**6, 4096


def _coefficients(seed: int, count: int) -> NDArray[np.int64]:
    """Factors and shifts of hash functions, by splitmix64: int64 [2, count]."""
    drawn, state, mask = [], seed, 2**64 - 1
    for _ in range(2 * count):
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & mask
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB & mask
        drawn.append(1 + (z ^ (z >> 31)) % (_PRIME - 1))
    return np.array(drawn, np.int64).reshape(2, count)


def _mish(values: Rows) -> Rows:
    return values * np.tanh(np.logaddexp(np.float32(0), values))


def _normalised(values: Rows) -> Rows:
    centred = values - values.mean(1, keepdims=True)
    return centred / np.sqrt(np.square(centred).mean(1, keepdims=True) + np.float32(1e-5))


def network(file: File) -> Callable[[Index], Rows]:
    """Hash values in -1..1, then layers; each but the last is normalised and goes through Mish."""
    config = file.config
    hashes, layers = file.whole(config["hashes"], 2**16), file.whole(config["layers"], 64)
    sizes = [hashes, *[file.whole(config["hidden"], 2**20)] * layers, file.columns]
    weights = [
        Values(file, f"weight{layer}", (after, before))(np.arange(after))
        for layer, (before, after) in enumerate(pairwise(sizes))
    ]
    biases = [file.array(f"bias{n}", np.float32, (size,)) for n, size in enumerate(sizes[1:])]
    factors, shifts = _coefficients(int(file.array("seed", np.int64, (1,))[0]), hashes)

    def some(ids: Index) -> Rows:
        hashed = (ids[:, None] * factors + shifts) % _PRIME % _VALUES
        found = hashed.astype(np.float32) * np.float32(2 / (_VALUES - 1)) - np.float32(1)
        for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            found = found @ weight.T + bias
            if layer < layers:
                found = _mish(_normalised(found))
        return found

    def look_up(ids: Index) -> Rows:
        pieces = [some(ids[at : at + _PIECE]) for at in range(0, len(ids), _PIECE)]
        return np.concatenate(pieces) if pieces else np.zeros((0, file.columns), np.float32)

    return look_up


METHODS = {"dhe": network}
