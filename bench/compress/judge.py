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
    """Compares rankings with those of the original vectors, and with interactions if given.

    Args:
        vectors: the original ones.
        data: in the numbers of the vectors' rows; None without interactions.
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
        self._tests = {}
        if data is not None and len(data.valid.indices):
            self._tests["valid"] = Evaluator(data.valid, [data.train], items)
        if data is not None:
            self._tests["test"] = Evaluator(data.test, [data.train, data.valid], items)

    @property
    def rule(self) -> tuple[str, str]:
        """The metric by which a table is best, and the same in words."""
        if "valid" in self._tests:
            return f"valid ndcg@{K}", f"the highest NDCG@{K} on validation interactions"
        return "kept", f"the largest share of the original top {K}"

    def __call__(self, rows: torch.Tensor) -> dict[str, float]:
        """Compare.

        Args:
            rows: float32 [N, d], users first.

        Returns:
            `kept`: share of the original top 20 that are in the top 20; with a data set also
            `valid ndcg@20`, `test ndcg@20` and so on, on its interactions.
        """
        scored = Scored(rows[: self._users].contiguous(), rows[self._users :].contiguous())
        found = {"kept": self._kept(scored).metrics[f"recall@{K}"]}
        for name, test in self._tests.items():
            metrics = test(scored).metrics
            found |= {f"{name} {key}": metrics[key] for key in (f"ndcg@{K}", f"recall@{K}")}
        return found


def _scored(users: np.ndarray, items: np.ndarray) -> Scored:
    return Scored(torch.from_numpy(users), torch.from_numpy(items))
