"""Compressed sparse rows: which items each user has."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class CSR:
    """A binary user-by-item matrix; the items of a user stand together, in rising order.

    Attributes:
        indptr: int64 [rows + 1]; row u holds `indices[indptr[u] : indptr[u + 1]]`.
        indices: int32 [nnz]; item ids, sorted and unique within a row.
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]

    @classmethod
    def empty(cls, rows: int) -> CSR:
        """Make a matrix of `rows` rows without an entry."""
        return cls(np.zeros(rows + 1, dtype=np.int64), np.zeros(0, dtype=np.int32))

    @classmethod
    def from_pairs(
        cls, users: NDArray[np.integer], items: NDArray[np.integer], rows: int
    ) -> tuple[CSR, int]:
        """Build from pairs in any order; also says how many repeated pairs were left out.

        Args:
            users: integers [n], 0 to rows - 1.
            items: integers [n], 0 to 2**31 - 2.
            rows: number of rows of the result.
        """
        # One sort of a joint key is several times faster than a lexsort over two arrays.
        keys = (users.astype(np.int64) << 31) | items.astype(np.int64)
        if keys.size and not bool((keys[1:] > keys[:-1]).all()):
            keys = np.sort(keys)
            first = np.ones(keys.size, dtype=bool)
            np.not_equal(keys[1:], keys[:-1], out=first[1:])
            keys = keys[first]
        return cls.from_keys(keys, rows), int(users.size - keys.size)

    @classmethod
    def from_keys(cls, keys: NDArray[np.int64], rows: int) -> CSR:
        """Build from rising, unique keys as `keys` returns them."""
        degrees = np.bincount(keys >> 31, minlength=rows)
        indptr = np.zeros(rows + 1, dtype=np.int64)
        np.cumsum(degrees, out=indptr[1:])
        return cls(indptr, (keys & 0x7FFFFFFF).astype(np.int32))

    @property
    def nnz(self) -> int:
        """Number of interactions."""
        return int(self.indices.size)

    def rows(self) -> NDArray[np.int64]:
        """Row of each entry, int64 [nnz]; stands beside `indices`."""
        return np.repeat(np.arange(self.indptr.size - 1, dtype=np.int64), self.degrees())

    def row(self, user: int) -> NDArray[np.int32]:
        """Items of one user, int32 [its degree], rising."""
        return self.indices[self.indptr[user] : self.indptr[user + 1]]

    def degrees(self) -> NDArray[np.int64]:
        """Count the entries of each row, int64 [rows]."""
        return np.diff(self.indptr)

    def keys(self) -> NDArray[np.int64]:
        """Each pair as one sortable number, `user * 2**31 + item`: int64 [nnz], rising."""
        return (self.rows() << 31) | self.indices

    def fingerprint(self) -> str:
        """Hex sha256 of the sorted (user, item) pairs as little-endian int32."""
        pairs = np.empty((self.nnz, 2), dtype="<i4")
        pairs[:, 0] = self.rows()
        pairs[:, 1] = self.indices
        return hashlib.sha256(pairs.tobytes()).hexdigest()
