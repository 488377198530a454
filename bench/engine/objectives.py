"""Training objectives: losses of scores, for every backbone and method."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Union

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional

from bench.backbones.base import Backbone
from bench.engine.shared_loss import Derivative, shared_loss
from bench.errors import BenchError


class _Objective(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    whole: ClassVar[bool] = False  # takes the vectors of all ids instead of negatives


class BPR(_Objective):
    """Pairwise ranking (Rendle et al., UAI 2009): mean of softplus(y_ui- - y_ui+).

    `negatives`: items per positive that its user has not seen, drawn again in every epoch. With
    `shared`, the whole batch shares uniform items; hundreds cost as much as a few per positive.
    """

    name: Literal["bpr"] = "bpr"
    negatives: int = Field(1, ge=1)
    shared: bool = False

    def negatives_shape(self, batch: int) -> tuple[int, ...]:
        """Shape of the negatives of a batch."""
        return (self.negatives,) if self.shared else (batch, self.negatives)

    def loss(
        self, backbone: Backbone, users: Tensor, positives: Tensor, negatives: Tensor
    ) -> Tensor:
        """Mean loss; users and positives [B, width], negatives [B, k, width] or [k, width]."""
        if self.shared:
            if backbone.dot:
                return shared_loss(users, positives, negatives, self._derive)
            above, below = backbone.pairs(users, positives), backbone.matrix(users, negatives)
            return functional.softplus(below - above.unsqueeze(1)).mean()
        above, below = backbone.contrast(users, positives, negatives)
        return functional.softplus(below - above).mean()

    @staticmethod
    def _derive(above: Tensor, below: Tensor) -> Derivative:
        below.sub_(above.unsqueeze(1))
        loss = functional.softplus(below).mean()
        share = below.new_full((len(below), 1), 1 / below.numel())
        push = below.sigmoid_()
        return Derivative(loss, -push.sum(1).mul_(share.squeeze(1)), push, share)


class _SharedNegatives(_Objective):
    """Base of objectives whose negatives are uniform items that a batch shares."""

    negatives: int = Field(1024, ge=1)

    def negatives_shape(self, batch: int) -> tuple[int, ...]:
        """Shape of the negatives of a batch."""
        return (self.negatives,)


class Softmax(_SharedNegatives):
    """Sampled softmax with negatives shared by the batch: cross-entropy at a temperature.

    `negatives`: uniform items per batch; `temperature`: divisor of the scores.
    """

    name: Literal["softmax"] = "softmax"
    temperature: float = Field(1.0, gt=0)

    def loss(
        self, backbone: Backbone, users: Tensor, positives: Tensor, negatives: Tensor
    ) -> Tensor:
        """Mean loss; users and positives [B, width], negatives [k, width]."""
        if backbone.dot:
            return shared_loss(users, positives, negatives, self._derive, 1 / self.temperature)
        above = backbone.pairs(users, positives) / self.temperature
        below = backbone.matrix(users, negatives) / self.temperature
        return (torch.logaddexp(above, below.logsumexp(1)) - above).mean()

    @staticmethod
    def _derive(above: Tensor, below: Tensor) -> Derivative:
        top = torch.maximum(below.amax(1), above)
        below.sub_(top.unsqueeze(1)).exp_()
        hit = (above - top).exp_()
        total = below.sum(1).add_(hit)
        share = 1 / (total * len(above))  # turns exp into probabilities / batch
        pull = hit.mul_(share).sub_(1 / len(above))
        return Derivative((total.log_() + top - above).mean(), pull, below, share.unsqueeze(1))


class Contrastive(_SharedNegatives):
    """Cosine contrastive loss (Mao et al., CIKM 2021, eq. 2), with negatives shared by the batch.

    mean of 1 - y_ui+ + `weight` x mean over negatives of max(0, y_ui- - `margin`). The loss has
    no lower bound unless the similarity is a cosine.

    `negatives`: uniform items per batch; `margin`: scores of negatives up to it cost nothing;
    `weight`: weight of the negatives.
    """

    name: Literal["ccl"] = "ccl"
    margin: float = Field(0.9, gt=-1, lt=1)
    weight: float = Field(150.0, gt=0)

    def loss(
        self, backbone: Backbone, users: Tensor, positives: Tensor, negatives: Tensor
    ) -> Tensor:
        """Mean loss; users and positives [B, width], negatives [k, width]."""
        if backbone.dot:
            return shared_loss(users, positives, negatives, self._derive)
        above, below = backbone.pairs(users, positives), backbone.matrix(users, negatives)
        return (1 - above).mean() + self.weight * functional.relu(below - self.margin).mean()

    def _derive(self, above: Tensor, below: Tensor) -> Derivative:
        over = functional.relu_(below.sub_(self.margin))
        loss = (1 - above).mean() + self.weight * over.mean()
        share = below.new_full((len(below), 1), self.weight / below.numel())
        pull = above.new_full((len(above),), -1 / len(above))
        return Derivative(loss, pull, over.sign_(), share)


class Squared(_Objective):
    """Squared loss over the whole matrix, as in iALS (Hu, Koren & Volinsky, ICDM 2008).

    mean over positives of (1 - y)^2 + `weight` x mean over all user-item cells of y^2. The second
    term is the sum of the elements of (U'U) * (V'V) (Gramians, as in iALS++, Rendle et al. 2021).
    It takes N d^2 operations per step instead of a pass over all cells, so that large batches are
    cheaper. Each step needs the rows of all ids, and the backbone's score must be a dot product.
    """

    name: Literal["squared"] = "squared"
    weight: float = Field(30.0, ge=0)

    whole: ClassVar[bool] = True

    def negatives_shape(self, batch: int) -> tuple[int, ...]:
        """No negatives are drawn."""
        return (0,)

    def loss(
        self, backbone: Backbone, users: Tensor, positives: Tensor, everyone: Tensor
    ) -> Tensor:
        """Mean loss; users and positives [B, width], everyone [N, width].

        Raises:
            BenchError: the backbone's score is not a dot product.
        """
        if not backbone.dot:
            raise BenchError(
                f"objective squared needs a dot-product score, {backbone.name} has none; use"
                " --set training.objective.name=bpr"
            )
        missed = (1 - (users * positives).sum(-1)).square().mean()
        left, right = everyone[: backbone.users], everyone[backbone.users :]
        cells = ((left.T @ left) * (right.T @ right)).sum() / (len(left) * len(right))
        return missed + self.weight * cells


Objective = Annotated[Union[BPR, Softmax, Contrastive, Squared], Field(discriminator="name")]  # noqa: UP007
