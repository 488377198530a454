"""Settings of the training objectives. `bench.engine.losses` computes them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Union

from pydantic import BaseModel, ConfigDict, Field


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


class _SharedNegatives(_Objective):
    """Base of objectives whose negatives are uniform items that a batch shares."""

    negatives: int = Field(1024, ge=1)

    shared: ClassVar[bool] = True

    def negatives_shape(self, batch: int) -> tuple[int, ...]:
        """Shape of the negatives of a batch."""
        return (self.negatives,)


class Softmax(_SharedNegatives):
    """Sampled softmax with negatives shared by the batch: cross-entropy at a temperature.

    `negatives`: uniform items per batch; `temperature`: divisor of the scores.
    """

    name: Literal["softmax"] = "softmax"
    temperature: float = Field(1.0, gt=0)


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


class Squared(_Objective):
    """Squared loss over the whole matrix, as in iALS (Hu, Koren & Volinsky, ICDM 2008).

    mean over positives of (1 - y)^2 + `weight` x mean over all user-item cells of y^2. The second
    term is the sum of the elements of (U'U) * (V'V) (Gramians, as in iALS++, Rendle et al. 2021).
    It takes N d^2 operations per step instead of a pass over all cells, so that large batches are
    cheaper. Each step needs the rows of all ids, and the backbone's score must be a dot product.
    """

    name: Literal["squared"] = "squared"
    weight: float = Field(30.0, ge=0)

    shared: ClassVar[bool] = False  # there are none
    whole: ClassVar[bool] = True

    def negatives_shape(self, batch: int) -> tuple[int, ...]:
        """No negatives are drawn."""
        return (0,)


Objective = Annotated[Union[BPR, Softmax, Contrastive, Squared], Field(discriminator="name")]  # noqa: UP007
