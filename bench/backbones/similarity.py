"""Dot product, cosine and what lies between, for backbones that score by a product of rows."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional

from bench.backbones.base import Backbone

_SHORTEST = 1e-12  # rows below, as all-zero ones, are not scaled up to more than this allows


class Similarity(Backbone.Config):
    """Own knobs.

    `similarity`: dot, or cosine (both sides scaled to length 1). `lengths`: under cosine, the
    power of its own length that a row keeps: none is the cosine, 1 would be the dot product.
    Angles alone have no room for how popular an item is; a small power gives it some, in the
    values that the row has anyway, without the dot product's slow start.
    """

    similarity: Literal["dot", "cosine"] = "dot"
    lengths: float | None = Field(None, gt=0, lt=1)

    @model_validator(mode="after")
    def _lengths_need_cosine(self) -> Similarity:
        if self.lengths is not None and self.similarity != "cosine":
            raise ValueError("lengths is for similarity = 'cosine'; a dot product has all of them")
        return self

    def scaled(self, rows: Tensor) -> Tensor:
        """Rows whose dot products are the similarity: [n, dim] -> [n, dim]."""
        if self.similarity == "dot":
            return rows
        if self.lengths is None:
            return functional.normalize(rows, dim=-1, eps=_SHORTEST)
        length = rows.norm(dim=-1, keepdim=True).clamp(min=_SHORTEST)
        return rows * length.pow(self.lengths - 1)
