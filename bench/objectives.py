"""Training objectives. They see scores, so they work with every backbone and method."""

from __future__ import annotations

from typing import Annotated, Literal, Union

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional

from bench.backbones.base import Backbone


class _Objective(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BPR(_Objective):
    """Pairwise ranking (Rendle et al., UAI 2009): mean of softplus(y_ui- - y_ui+).

    `negatives`: unseen items for each positive, drawn anew in every epoch.
    """

    name: Literal["bpr"] = "bpr"
    negatives: int = Field(1, ge=1)

    def negatives_shape(self, batch: int) -> tuple[int, ...]:
        """Shape of the negatives of a batch."""
        return batch, self.negatives

    def loss(self, backbone: Backbone, users: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
        """Mean loss; users and positives [B, width], negatives [B, k, width]."""
        above = backbone.pairs(users, positives).unsqueeze(1)
        below = backbone.pairs(users.unsqueeze(1), negatives)
        return functional.softplus(below - above).mean()


class Softmax(_Objective):
    """Sampled softmax with negatives shared by the batch: cross-entropy at a temperature.

    `negatives`: uniform items a batch; `temperature`: scores are divided by it.
    """

    name: Literal["softmax"] = "softmax"
    negatives: int = Field(1024, ge=1)
    temperature: float = Field(1.0, gt=0)

    def negatives_shape(self, batch: int) -> tuple[int, ...]:
        """Shape of the negatives of a batch."""
        return (self.negatives,)

    def loss(self, backbone: Backbone, users: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
        """Mean loss; users and positives [B, width], negatives [k, width]."""
        above = backbone.pairs(users, positives) / self.temperature
        below = backbone.matrix(users, negatives) / self.temperature
        return (torch.logaddexp(above, below.logsumexp(1)) - above).mean()


Objective = Annotated[Union[BPR, Softmax], Field(discriminator="name")]  # noqa: UP007
