"""From a run's spec to its metrics: build, train, pack, write, read back, rank.

Boards hand the file to the judge (`bench.judge`). Trials read it back and rank here, on validation
data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.backbones.base import Backbone
from bench.backbones.registry import get_backbone
from bench.data import Interactions
from bench.data.numbering import number
from bench.engine.deploy import look_up
from bench.engine.evaluate import Result
from bench.engine.rank import rank
from bench.judge.ranking import evaluator
from bench.method import Method, Table
from bench.method.file import Packed, read_file, write_file
from bench.runs.spec import RunSpec
from bench.runs.teacher import Lender, Lent


def table_for(spec: RunSpec, data: Interactions) -> Table:
    """The table that a run's method has to provide."""
    assert spec.training is not None
    scorer = get_backbone(spec.backbone.name)
    return Table(
        users=data.users,
        items=data.items,
        dim=spec.dim,
        budget=spec.budget.budget() if spec.budget else None,
        seed=spec.seed,
        std=spec.training.init_std,
        counts=torch.from_numpy(data.counts()),
        wide=scorer.narrow,
        backbone=spec.backbone.model_dump(),
    )


@dataclass(frozen=True)
class Deployed:
    """What would be deployed of a trained method, read back from the bytes of its file.

    Attributes:
        packed: the packed state, within the budget.
        method: rebuilt from it alone.
        rows: float32 [N, width], of all ids.
        backbone: as it was trained.
        device: where it ranks.
    """

    packed: Packed
    method: Method
    rows: Tensor
    backbone: Backbone
    device: str

    def rank(self, data: Interactions, part: str) -> Result:
        """Rank the held-out items of the part `valid` or `test` over all users.

        Items that a user has in an earlier part are left out of the ranking.
        """
        return rank(self.backbone, self.rows, evaluator(data, part, self.device))


class Pipeline:
    """The parts of a run.

    Args:
        spec: of the run; not of the ranking by popularity, which has no parts.
        data: the split that the spec names.
        methods: all known methods.
        device: where to train and rank.
        lender: gives the method the teacher that it may need.

    Attributes:
        data: the split with its ids renumbered as the training asks.
        users: int64 [users], original number of each user.
        table: what the method has to provide.
        lent: what each training started from.
    """

    def __init__(
        self,
        spec: RunSpec,
        data: Interactions,
        methods: Mapping[str, type[Method]],
        device: str = "cpu",
        lender: Lender | None = None,
    ) -> None:
        assert spec.training is not None
        numbered = number(data, spec.training.numbering)
        self.spec, self.device = spec, device
        self.data, self.users = numbered.data, numbered.users
        self.table = table_for(spec, self.data)
        self._kind, self._backbone = methods[spec.method.name], get_backbone(spec.backbone.name)
        self._config = self._kind.Config.model_validate(spec.method.config)
        self._backbone_config = self._backbone.Config.model_validate(spec.backbone.config)
        self._lender = lender or Lender(device=device)
        self.lent: list[Lent] = []

    @property
    def spent(self) -> int:
        """Passes over the data that the teacher of the last build has taken."""
        return sum(phase["epochs"] for phase in self.lent[-1].phases) if self.lent else 0

    def build(self, data: Interactions) -> tuple[Method, Backbone]:
        """An untrained method and a backbone over the training part of `data`."""
        refit = data is not self.data
        lent = self._lender.lend(self._kind, self.spec, self.table, self.data, refit)
        self.lent.append(lent)
        method = self._kind(lent.table, self._config).to(self.device)
        backbone = self._backbone(data, self.spec.dim, self._backbone_config)
        backbone.start = lent.backbone
        return method, backbone.to(self.device)

    def deploy(self, method: Method, backbone: Backbone) -> Deployed:
        """Pack a trained method, check its size, and read it back.

        Raises:
            OverBudget: the packed state is larger than the budget.
            BrokenContract: the method that was read back gives rows that the interface forbids.
        """
        budget = self.spec.budget.budget() if self.spec.budget else None
        packed, found = read_file(self._kind, write_file(method), budget)
        found = found.to(self.device)
        rows = look_up(found, self.table, self.device)
        backbone.eval()
        return Deployed(packed, found, rows, backbone, self.device)
