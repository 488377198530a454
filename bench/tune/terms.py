"""The terms of a tuning: what all of its trials share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bench.data import Interactions
from bench.engine.settings import Training
from bench.errors import SpecError
from bench.runs.settings import shared_backbone, shared_training, untuned, with_override
from bench.runs.suite import Suite
from bench.tune.study import AGAIN, FINALISTS, FULL, SHORT, promoted

SEED = 1000
"""Least seed of a tuning. Boards use seeds from 0, so that no setting was selected on theirs."""

SHARE = 1 / 3
"""Share of the passes over the data that a trial has at first."""


@dataclass(frozen=True)
class Terms:
    """What all trials share.

    Attributes:
        suite: settings of the runs, with one backbone. Its tuned settings of methods are not used.
        trials: number of trials of each method at each budget.
        start: names or files of tuned settings; the search tries them first.
        seed: seed of the runs, and of the sampler; the second seed is the next number.
        plain: the suite as trials take it.
    """

    suite: Suite
    trials: int
    start: tuple[str, ...] = ()
    seed: int = SEED
    plain: Suite = field(init=False)

    def __post_init__(self) -> None:
        if len(self.suite.backbones) != 1:
            raise SpecError(
                f"tuning is for one backbone, the suite has {', '.join(self.suite.backbones)};"
                " name one with --backbone"
            )
        if self.seed < SEED:
            raise SpecError(
                f"--seed {self.seed}: leaderboards use small seeds; take one from {SEED} on, so"
                " that no setting is selected on a reported seed"
            )
        # A refit leaves no validation part.
        plain = with_override(untuned(self.suite, self.backbone), {"training.refit": False})
        object.__setattr__(self, "plain", plain)

    @property
    def backbone(self) -> str:
        """The backbone."""
        return self.suite.backbones[0]

    @property
    def training(self) -> Training:
        """The training settings of all trials, except the learning rate."""
        return shared_training(self.plain, self.backbone)

    def run_seed(self, stage: str) -> int:
        """Return the seed of the runs of a stage."""
        return self.seed + (stage == AGAIN)

    def passes(self, stage: str) -> dict[str, int]:
        """Return the settings that limit the passes over the data in a stage."""
        if stage != SHORT:
            return {}
        training = self.training
        most = {"epochs": training.epochs, "search_epochs": training.search_epochs}
        return {f"training.{name}": max(1, round(SHARE * many)) for name, many in most.items()}

    def work(self) -> dict[str, float]:
        """Return the passes of a trial in each stage, as a share of those of a run."""
        return {SHORT: SHARE, FULL: 1.0, AGAIN: 1.0}

    def stages(self) -> dict[str, int]:
        """Return the number of trials that a study can have in each stage."""
        # Two that were known before, and one with half of its rate.
        full = min(self.trials, promoted(self.trials) + 2) + 1
        return {SHORT: self.trials, FULL: full, AGAIN: min(full, FINALISTS)}

    def conditions(self, data: Interactions) -> dict[str, Any]:
        """The conditions of the tuning, for the file of the best settings."""
        return {
            "dataset": data.name,
            "split": data.split,
            "fingerprint": data.fingerprint[:12],
            "backbone": self.backbone,
            "backbone_config": shared_backbone(self.plain, self.backbone),
            "dim": self.suite.dim,
            "accounting": self.suite.accounting,
            "selected_by": "validation NDCG@20, mean of two seeds",
            "trials": self.trials,
            "seeds": [self.run_seed(FULL), self.run_seed(AGAIN)],
            "start": list(self.start),
            "training": self.training.model_dump(mode="json"),
        }
