"""Loading the compiled loops before they are needed, so that forked processes have them."""

from __future__ import annotations

import numpy as np
import torch

from bench.backbones.similarity import Similarity
from bench.compiled import available
from bench.data import CSR
from bench.engine.adam import Adam
from bench.engine.evaluate import Evaluator, Vectors
from bench.engine.grouped_loss import grouped_loss
from bench.engine.losses import grouping
from bench.engine.objectives import Softmax
from bench.method.bags import sums_of_rows
from bench.method.precision import Storage
from bench.method.rounding import fit
from bench.method.rows import Rows


def warm_up() -> None:
    """Load the loops of a training step and of a ranking, or compile them."""
    if not available():
        return
    rows = torch.ones(3, 2, requires_grad=True)
    vectors = Similarity(similarity="cosine").scaled(rows)
    users, items = torch.zeros(1, dtype=torch.int64), torch.ones(1, dtype=torch.int64)
    how = grouping(Softmax())
    assert how is not None
    grouped_loss(vectors, users, items, items + 1, how).backward()
    sums_of_rows(rows, torch.zeros(1, 2, dtype=torch.int64)).sum().backward()
    _step_of_adam()
    ones, storage = torch.ones(2, 2), Storage(4, "normal", "row")
    fit(ones, storage, None)
    fit(ones, storage, ones[:, :1])
    held = CSR(np.array([0, 1]), np.array([1], np.int32))
    evaluator = Evaluator(held, [], 2)
    evaluator(Vectors(ones, ones))
    evaluator.metrics(Vectors(ones, ones))


def _step_of_adam() -> None:
    table = Rows(9, 2)
    table.normal(1.0, torch.Generator())
    adam = Adam([{"params": [table.weight], "lr": 1.0}], [table])
    table(torch.tensor([1, 2])).sum().backward()
    adam.step()
