"""Matrix factorisation: the score is a dot product or a cosine."""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn import functional

from bench.backbones.base import Backbone


class MF(Backbone):
    """Koren, Bell & Volinsky (Computer 2009), without biases."""

    name = "mf"
    title = "MF"

    class Config(Backbone.Config):
        """`similarity`: dot, or cosine (both sides scaled to length 1)."""

        similarity: Literal["dot", "cosine"] = "dot"

    def embed(self, rows: Tensor) -> Tensor:
        return functional.normalize(rows, dim=-1) if self.config.similarity == "cosine" else rows
