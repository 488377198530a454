"""Why runs do not number ids as files do: in those of Gowalla, neighbours were visited together."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.data import real_data

from bench.data import load
from bench.data.numbering import number
from bench.engine.evaluate import Evaluator

pytestmark = pytest.mark.data


def nearest_number_recall(data) -> float:
    """Recall@20 of recommending the items whose numbers are next to those a user has had."""

    def scores(users, order, out):
        for row, user in enumerate(users.tolist()):
            had = data.train.row(user).astype(np.int64)
            everything = np.arange(data.items)
            at = np.searchsorted(had, everything)
            below = np.abs(everything - had[np.clip(at - 1, 0, len(had) - 1)])
            above = np.abs(had[np.clip(at, 0, len(had) - 1)] - everything)
            near = -np.minimum(below, above).astype(np.float32)
            out[row, : len(order)] = torch.from_numpy(near)[order]
        return out

    seen = [data.train, data.valid]
    return Evaluator(data.test, seen, data.items, limit=1500)(scores).metrics["recall@20"]


def test_the_numbers_of_gowallas_files_tell_what_belongs_together():
    data = load("gowalla", data_dir=real_data())
    told = nearest_number_recall(data)
    assert told > 0.02  # half of what popularity has; chance is 0.0005
    for how in ("popularity", "random"):
        assert nearest_number_recall(number(data, how).data) < told / 5
