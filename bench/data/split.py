"""Cutting a part of each user's interactions off, the same part on every machine.

Which pairs are cut is a pure function of (seed, purpose, user, item): each pair gets a 64-bit hash,
and a user's pairs with the smallest hashes are cut. A random generator would tie the split to the
order of the rows in a file and to the number of draws before it; a hash does not, so two copies of
a data set in different row order, read by different NumPy releases, give the same split.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.data.csr import CSR

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = 0xFFFFFFFFFFFFFFFF
# Distinct streams, so that the validation cut does not repeat the choice of the test cut.
_PURPOSES = {"valid": 1, "test": 2}


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Apply the finaliser of SplitMix64 (Steele, Lea and Flood, 2014) to each element."""
    z = values ^ (values >> np.uint64(30))
    z = z * np.uint64(0xBF58476D1CE4E5B9)
    z = z ^ (z >> np.uint64(27))
    z = z * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _step(state: NDArray[np.uint64], values: NDArray[np.integer]) -> NDArray[np.uint64]:
    """Hash `values` into `state`; both are arrays, for which unsigned overflow wraps silently."""
    return _mix(state + (values.astype(np.uint64) + np.uint64(1)) * np.uint64(_GOLDEN))


def cut(matrix: CSR, percent: int, seed: int, purpose: str) -> tuple[CSR, CSR]:
    """Cut `percent` of each user's interactions off.

    A user with n interactions gives floor(n * percent / 100), and one more with a chance of the
    remainder, so that `percent` of all interactions is cut on average. Nobody gives the last one:
    a user keeps at least one interaction, and a user with fewer than two gives none.

    Args:
        matrix: what to cut from.
        percent: 0 to 99.
        seed: seed of the split, not of a run.
        purpose: `valid` or `test`.

    Returns:
        What is kept and what is cut off, each with as many rows as `matrix`.
    """
    rows = matrix.rows()
    height = matrix.indptr.size - 1
    start = np.array([(seed * 4 + _PURPOSES[purpose]) * _GOLDEN & _MASK], dtype=np.uint64)
    user_hash = _step(_mix(start), np.arange(height))
    pair_hash = _step(user_hash[rows], matrix.indices)

    degrees = matrix.degrees()
    shares = degrees * percent
    lucky = _mix(user_hash) >> np.uint64(33)
    extra = (lucky.astype(np.int64) % 100) < shares % 100
    quota = np.clip(np.minimum(shares // 100 + extra, degrees - 1), 0, None)

    # 31 bits of row and 33 bits of hash in one key. A sort of values is several times faster than
    # one that gives the order, and the last key that is within the quota says which are.
    joint = (rows.astype(np.uint64) << np.uint64(33)) | (pair_hash >> np.uint64(31))
    del pair_hash
    ordered = np.sort(joint)
    last = ordered[np.maximum(matrix.indptr[:-1] + quota - 1, 0)] if ordered.size else ordered
    taken = joint <= np.where(quota > 0, last, 0)[rows] if ordered.size else np.zeros(0, dtype=bool)
    taken &= (quota > 0)[rows]
    if int(taken.sum()) != int(quota.sum()):
        # Two hashes of a user agree: the smaller item is cut, since a row is in item order.
        order = np.argsort(joint, kind="stable")
        rank = np.arange(rows.size) - matrix.indptr[rows]
        taken = np.zeros(rows.size, dtype=bool)
        taken[order[rank < quota[rows]]] = True
    keys = matrix.keys()
    return CSR.from_keys(keys[~taken], height), CSR.from_keys(keys[taken], height)
