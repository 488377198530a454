"""RecJPQ: joint product quantisation with codes from the training pairs."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from bench.method import Choice, Coded, components, normalised

_NOISE = 1e-5  # share of a component's range; it only decides between equal values


class RecJPQ(Coded):
    """Codes come from a singular value decomposition of the training matrix; books are trained.

    The values of the j-th component are sorted and cut into bins of equal counts: the number of the
    bin is the j-th code. The paper codes items; users are coded here in the same way, because a
    budget counts them. With `normalised`, entries are divided by the roots of both degrees, and the
    first component, which then is the degrees alone, is left out: components of plain counts
    are about the most popular items (docs/lab/weak-forms.md). Other differences from the authors'
    code: noise has a seed, books start from the standard deviation that all methods share, and they
    are stored in 8 bits a value.
    """

    name = "recjpq"
    title = "RecJPQ"
    paper = "Petrov & Macdonald, WSDM 2024"
    family = "learned codes"
    paper_title = "RecJPQ: Training Large-Catalogue Sequential Recommenders"
    year = 2024
    url = "https://arxiv.org/abs/2312.06165"
    stores = "codes and codebooks"
    needs: ClassVar = {"interactions"}
    space: ClassVar = {
        "word_bits": Choice((4, 5, 6, 7, 8)),
        "columns": Choice((None, 16, 32, 48)),
        "normalised": Choice((True, False)),
    }
    published: ClassVar = {"bits": 32, "normalised": False}
    revision = 2

    class Config(Coded.Config):
        """`normalised`: the matrix of the components is divided by the roots of its degrees."""

        normalised: bool = True

    def reset(self, generator: torch.Generator) -> None:
        assert self.table.interactions is not None
        matrix, first = self.table.interactions.matrix(), 0
        if self.config.normalised:
            matrix, first = normalised(matrix)[0], 1
        sides = components(matrix, first + self.config.parts, generator)
        coded = [bins(side[:, first:], self.words, generator) for side in sides]
        self.codes.copy_(torch.cat(coded))
        self.books.normal(self.table.std, generator)


def bins(values: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Each column cut into bins of equal counts: float32 [n, k] -> int64 [n, k], below `count`."""
    low, high = values.amin(0), values.amax(0)
    scaled = (values - low) / (high - low).clamp(min=1e-30)
    scaled = scaled + torch.randn(values.shape, generator=generator) * _NOISE
    order = scaled.argsort(dim=0, stable=True)
    place = torch.arange(len(values)).unsqueeze(1).expand_as(order) * count // len(values)
    return torch.empty_like(order).scatter_(0, order, place)
