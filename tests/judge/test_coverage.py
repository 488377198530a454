"""Coverage counts what users are shown, not what they have seen already."""

from __future__ import annotations

import numpy as np
import torch

from bench.data import CSR
from bench.engine.evaluate import Evaluator, Vectors
from bench.judge.ranking import metrics_record


def matrix(rows: list[list[int]]) -> CSR:
    starts = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    return CSR(starts, np.array([item for row in rows for item in sorted(row)], dtype=np.int32))


def coverage(seen: list[list[int]], wanted: list[list[int]], items: int) -> float:
    evaluator = Evaluator(matrix(wanted), [matrix(seen)], items)
    generator = torch.Generator().manual_seed(0)
    users = torch.randn(len(seen), 4, generator=generator)
    found = evaluator(Vectors(users, torch.randn(items, 4, generator=generator)))
    return metrics_record(found, None, items).test["coverage@20"]


def test_seen_items_that_fill_the_top_do_not_count():
    """One user has seen 27 of 30 items: 3 are left for the top 20."""
    assert coverage([list(range(27))], [[28]], 30) == 3 / 30


def test_items_that_another_user_is_shown_count_once():
    seen = [list(range(27)), list(range(3, 30))]
    assert coverage(seen, [[28], [1]], 30) == 6 / 30


def test_a_catalogue_smaller_than_k_is_covered_by_what_is_unseen():
    assert coverage([[0, 1]], [[2]], 5) == 3 / 5
