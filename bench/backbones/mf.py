"""Matrix factorisation: the score is a dot product or a cosine."""

from __future__ import annotations

from torch import Tensor

from bench.backbones.base import Backbone
from bench.backbones.similarity import Similarity


class MF(Backbone):
    """Koren, Bell & Volinsky (Computer 2009), without biases."""

    name = "mf"
    title = "MF"
    narrow = True

    Config = Similarity

    def embed(self, rows: Tensor) -> Tensor:
        return self.config.scaled(rows)
