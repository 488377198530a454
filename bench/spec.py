"""What a run is: everything that may change its numbers, in one canonical form."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from bench.budget import Budget
from bench.data.numbering import Numbering
from bench.objectives import BPR, Objective

SCHEMA = 1
PROTOCOL = 1  # raise it when the split, the metrics or the stopping rule change


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Training(_Part):
    """Settings of the one training loop, the same for all methods of a board.

    Attributes:
        objective: what is minimised.
        optimizer: Adam with betas .9, .999, eps 1e-12 and no decay; see `bench.optim`.
        lr: learning rate.
        schedule: the learning rate stays `constant` or falls `linear`ly to 0 over the epochs cap.
        l2: weight of half the squared rows of a batch, per interaction.
        batch: positives a step.
        epochs: cap for a phase that ends by validation.
        search_epochs: cap for a search that ends by budget.
        patience: evaluations without a better validation NDCG@20 before a phase ends.
        eval_every: epochs between evaluations.
        valid_users: a fixed random subset of users that training validates on; 0 for all. Reported
            validation and test metrics are always over all users.
        init_std: standard deviation of the entries of composed rows at the start.
        refit: train again on train + validation, for the epochs that validation chose.
        numbering: of users and items while training; see `bench.data.numbering`.
    """

    objective: Objective = BPR()
    optimizer: Literal["adam"] = "adam"
    lr: float = Field(1e-3, gt=0)
    schedule: Literal["constant", "linear"] = "constant"
    l2: float = Field(0.0, ge=0)
    batch: int = Field(2048, ge=1)
    epochs: int = Field(50, ge=1)
    search_epochs: int = Field(10, ge=1)
    patience: int = Field(5, ge=1)
    eval_every: int = Field(1, ge=1)
    valid_users: int = Field(0, ge=0)
    init_std: float = Field(0.1, gt=0)
    refit: bool = False
    numbering: Numbering = "popularity"


class DatasetPart(_Part):
    """Which data: the split's id and the fingerprint of its pairs."""

    name: str
    split: str
    fingerprint: str


class BackbonePart(_Part):
    """Which backbone, with its resolved configuration."""

    name: str
    config: dict[str, Any]


class MethodPart(_Part):
    """Which method, with its resolved configuration: size knobs solved."""

    name: str
    revision: int
    config: dict[str, Any]


class BudgetPart(_Part):
    """The cap in the unit of its accounting."""

    cap: int
    accounting: Literal["bytes", "values"]

    def budget(self) -> Budget:
        """As the methods take it."""
        return Budget(self.cap, self.accounting)


class RunSpec(_Part):
    """One run. Equal specs give equal ids, and on one machine equal numbers."""

    schema_: int = Field(SCHEMA, alias="schema")
    protocol: int = PROTOCOL
    dataset: DatasetPart
    backbone: BackbonePart
    dim: int = Field(ge=1)
    method: MethodPart
    budget: BudgetPart | None
    training: Training | None
    seed: int = Field(ge=0)

    def canonical(self) -> dict[str, Any]:
        """As a record holds it."""
        return self.model_dump(mode="json", by_alias=True)

    @property
    def id(self) -> str:
        """First 12 hex digits of the sha256 of the canonical JSON."""
        return run_id(self.canonical())


def run_id(canonical: dict[str, Any]) -> str:
    """Id of a spec in the form that a record holds."""
    text = json.dumps(canonical, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
