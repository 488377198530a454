"""How much of the original ranking compressed vectors keep."""

from __future__ import annotations

import numpy as np
import torch

from bench.compress.vectors import Vectors
from bench.data import CSR, Interactions
from bench.engine.evaluate import Evaluator
from bench.engine.evaluate import Vectors as Scored

K = 20
"""Length of the rankings that are compared."""

_USERS = 2000  # whose rankings are compared; the error of their mean is below .005


class Judge:
    """Compares rankings with those of the original vectors, and with test interactions if given.

    Args:
        vectors: the original ones.
        data: in the numbers of the vectors' rows; None without test interactions.
    """

    def __init__(self, vectors: Vectors, data: Interactions | None = None) -> None:
        count, items = len(vectors.users), len(vectors.items)
        some = np.random.Generator(np.random.PCG64(0)).permutation(count)[:_USERS]
        first = CSR.from_pairs(some, np.zeros_like(some), count)[0]
        whole = Evaluator(first, [], items)(_scored(vectors.users, vectors.items))
        best = whole.top[:, :K]
        wanted = CSR.from_pairs(np.repeat(whole.users, best.shape[1]), best.reshape(-1), count)[0]
        self._kept = Evaluator(wanted, [], items)
        self._users = count
        self._test = Evaluator(data.test, [data.train, data.valid], items) if data else None

    def __call__(self, rows: torch.Tensor) -> dict[str, float]:
        """Compare.

        Args:
            rows: float32 [N, d], users first.

        Returns:
            `kept`: share of the original top 20 that are in the top 20; with test interactions
            also `ndcg@20` and `recall@20` on them.
        """
        scored = Scored(rows[: self._users].contiguous(), rows[self._users :].contiguous())
        found = {"kept": self._kept(scored).metrics[f"recall@{K}"]}
        if self._test:
            metrics = self._test(scored).metrics
            found |= {key: metrics[key] for key in (f"ndcg@{K}", f"recall@{K}")}
        return found


def _scored(users: np.ndarray, items: np.ndarray) -> Scored:
    return Scored(torch.from_numpy(users), torch.from_numpy(items))
