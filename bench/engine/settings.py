"""Settings of the training loop."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from bench.data.numbering import Numbering
from bench.engine.objectives import BPR, Objective


class Training(BaseModel):
    """Settings of the training loop, the same for all methods of a board.

    Attributes:
        objective: the loss.
        optimizer: Adam with betas 0.9 and 0.999, eps 1e-12 and no weight decay; see
            `bench.engine.adam`.
        lr: learning rate.
        schedule: `constant`, or `linear`: the learning rate falls to 0 over the most epochs that
            a phase may take; in a search it is constant.
        l2: weight of half the squared norm of the rows of a batch, per interaction.
        batch: positives per step.
        user_pairs: most training pairs of a user that follow each other in the order of an epoch.
            With 1 all pairs are in random order. A batch scores the negatives once for each of its
            users, so that 2 halve the largest part of a step's work.
        epochs: most epochs of a run, all its phases together: passes over the training data.
        search_epochs: most of them that a search takes, which ends when it fits the budget.
        patience: evaluations without a better validation NDCG@20 until a phase ends. They count
            from where training sees rounded values, if the method stores such.
        eval_every: epochs between evaluations; the last epoch of a phase is always evaluated.
        valid_users: size of the fixed random subset of users that training validates on; 0 for
            all. Reported validation and test metrics are always over all users.
        init_std: standard deviation of the entries of composed rows at the start.
        refit: train again on training and validation data, for the best number of epochs.
        numbering: order of users' and items' ids in training; see `bench.data.numbering`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    objective: Objective = BPR()
    optimizer: Literal["adam"] = "adam"
    lr: float = Field(1e-3, gt=0)
    schedule: Literal["constant", "linear"] = "constant"
    l2: float = Field(0.0, ge=0)
    batch: int = Field(2048, ge=1)
    user_pairs: int = Field(1, ge=1)
    epochs: int = Field(50, ge=1)
    search_epochs: int = Field(10, ge=1)
    patience: int = Field(5, ge=1)
    eval_every: int = Field(1, ge=1)
    valid_users: int = Field(0, ge=0)
    init_std: float = Field(0.1, gt=0)
    refit: bool = False
    numbering: Numbering = "popularity"

    @model_serializer(mode="wrap")
    def _without_plain_order(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out `user_pairs` where it is 1: records from before it keep their ids."""
        content: dict[str, Any] = handler(self)
        if self.user_pairs == 1:
            del content["user_pairs"]
        return content
