"""Random interactions for the tests of backbones."""

from __future__ import annotations

import numpy as np

from bench.data import CSR, Interactions


def random_data(users: int, items: int, seed: int, empty_item: bool = False) -> Interactions:
    """Every user has training, validation and test items; with `empty_item`, item 0 has none."""
    rng = np.random.default_rng(seed)
    taste = rng.normal(size=(users, 3)) @ rng.normal(size=(3, items))
    order = np.argsort(-taste - rng.gumbel(size=taste.shape), axis=1)
    if empty_item:
        order = np.stack([row[row != 0] for row in order])
    parts = []
    for columns in (slice(0, 8), slice(8, 10), slice(10, 12)):
        chosen = order[:, columns]
        who = np.repeat(np.arange(users), chosen.shape[1])
        parts.append(CSR.from_pairs(who, chosen.ravel(), users)[0])
    return Interactions("random", "random-s0", "Random", "", users, items, *parts)
