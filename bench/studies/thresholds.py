"""Thresholds of learned pruning: whether the loss or the weight decay moves them.

The study trains the search phase of a method twice, with and without weight decay on its
thresholds, and measures them after each epoch. If decay alone moves them, they stay constant in the
second search, and the first search keeps the entries of the largest magnitude.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.backbones.registry import get_backbone
from bench.data import Interactions
from bench.data.numbering import number
from bench.engine.loop import Fit
from bench.errors import SpecError
from bench.method import Method
from bench.method.pruning import Pruned
from bench.runs.pipeline import table_for
from bench.runs.spec import Run


@dataclass(frozen=True)
class Look:
    """Thresholds after an epoch of search.

    Attributes:
        epoch: from 1.
        threshold: median of the thresholds, in the unit of the weights.
        spread: the 95th over the 5th percentile of the thresholds.
        kept: share of the entries above their threshold.
        overlap: share of the kept entries that are also among the entries of the largest magnitude,
            as many as are kept.
        empty_users: share of the users whose composed row is all zero, so that all scores are 0.
        empty_items: share of such items.
        common: columns that are not zero in the rows of both a user and an item, mean over training
            interactions. Only these columns add to their score.
    """

    epoch: int
    threshold: float
    spread: float
    kept: float
    overlap: float
    empty_users: float
    empty_items: float
    common: float


@torch.no_grad()
def look(method: Pruned, epoch: int, pairs: tuple[Tensor, Tensor]) -> Look:
    """Measure the thresholds of a method during its search.

    Args:
        method: the method in its search phase.
        epoch: from 1.
        pairs: ids of users and of items that have interacted, both int64 [pairs].
    """
    present = method(torch.arange(method.table.ids)) != 0
    empty = ~present.any(1)
    size = method.stored.weight.abs().flatten()
    cut = (method.thresholds.sigmoid() * method.gain).flatten()
    kept = size > cut
    count = int(kept.sum())
    largest = torch.zeros_like(kept)
    largest[torch.topk(size, count).indices] = True
    # torch.quantile takes no more than 16 million values.
    low, middle, high = (
        float(cut.kthvalue(max(1, round(share * cut.numel()))).values)
        for share in (0.05, 0.5, 0.95)
    )
    return Look(
        epoch=epoch,
        threshold=middle,
        spread=high / low,
        kept=count / kept.numel(),
        overlap=int((kept & largest).sum()) / count if count else 1.0,
        empty_users=float(empty[: method.table.users].float().mean()),
        empty_items=float(empty[method.table.users :].float().mean()),
        common=float((present[pairs[0]] & present[pairs[1]]).sum(1).float().mean()),
    )


class _SearchEnded(Exception):
    """The search has ended; later phases are not measured."""


def _pairs(data: Interactions, most: int = 50_000) -> tuple[Tensor, Tensor]:
    """Return user and item ids of at most `most` training interactions, evenly spaced."""
    users = data.train.rows()
    chosen = np.linspace(0, len(users) - 1, min(most, len(users))).astype(np.int64)
    items = data.train.indices[chosen].astype(np.int64) + data.users
    return torch.from_numpy(users[chosen]), torch.from_numpy(items)


def examine(run: Run, data: Interactions, kind: type[Method], decay: bool) -> list[Look]:
    """Run the search phase of a run.

    Args:
        run: a planned run of `kind`.
        data: the split of the run.
        kind: a method that prunes by thresholds.
        decay: whether the thresholds have their weight decay.

    Returns:
        A measurement of the thresholds after each epoch.

    Raises:
        SpecError: the method has no thresholds.
    """
    if not issubclass(kind, Pruned):
        raise SpecError(
            f"{run.spec.method.name} does not prune by thresholds; name a method that does"
        )
    training = run.spec.training
    assert training is not None

    class Searched(kind):  # type: ignore[misc, valid-type]
        def groups(self, lr: float) -> Any:
            for group in super().groups(lr):
                yield group if decay else {**group, "weight_decay": 0.0}

    Searched.__name__ = kind.__name__  # initial weights depend on it
    numbered = number(data, training.numbering).data
    table = table_for(run.spec, numbered)
    backbone = get_backbone(run.spec.backbone.name)
    method = Searched(table, kind.Config.model_validate(run.spec.method.config))
    looks: list[Look] = []
    pairs = _pairs(numbered)

    def after(entry: dict[str, Any]) -> None:
        if "live" not in entry:
            raise _SearchEnded
        looks.append(look(method, entry["epoch"], pairs))

    scored = backbone(
        numbered, run.spec.dim, backbone.Config.model_validate(run.spec.backbone.config)
    )
    with suppress(_SearchEnded):
        Fit(method, scored, numbered, training, run.spec.seed, report=after).run()
    return looks
