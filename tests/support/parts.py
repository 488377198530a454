"""Random parts of a data set, as sparse matrices."""

from __future__ import annotations

import numpy as np

from bench.data import CSR


def matrix(rows: list[list[int]]) -> CSR:
    users = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    items = np.array([item for row in rows for item in row], dtype=np.int64)
    return CSR.from_pairs(users, items, len(rows))[0]


def random_parts(users: int, items: int, seed: int, most: int = 10**9) -> tuple[CSR, CSR, CSR]:
    """Disjoint train, valid and test of at most `most` items; some users have no test item."""
    rng = np.random.default_rng(seed)
    parts: list[list[list[int]]] = [[], [], []]
    for user in range(users):
        chosen = rng.permutation(items)[: max(3, min(most, items // 3))]
        cuts = (len(chosen) // 2, len(chosen) // 2 + (1 if user % 4 else 0))
        for part, found in zip(parts, np.split(chosen, cuts), strict=True):
            part.append(sorted(found.tolist()))
        if user % 5 == 2:
            parts[2][-1] = []
    train, valid, test = map(matrix, parts)
    return train, valid, test
