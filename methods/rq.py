"""Residual quantisation of a trained table: a row is a sum of words."""

from __future__ import annotations

from typing import Any

import torch
from bench.methods.pq import PQ
from torch import Tensor

from bench.method import Phase, Table

_MOST = 64  # codes an id


class RQ(PQ):
    """e_i = length_i (book_1[c_i1] + ... + book_D[c_iD]), with books of users and of items.

    Each book codes what the ones before have left of rows of length 1. A book has words as wide as
    a row, so that half of the columns are coded unless `columns` says otherwise. The rest is as of
    `PQ`.
    """

    name = "rq"
    title = "Residual quantisation"
    paper = "Chen, Guan & Wang, Sensors 2010"
    paper_title = "Approximate Nearest Neighbor Search by Residual Vector Quantization"
    year = 2010
    url = "https://doi.org/10.3390/s101211259"

    @classmethod
    def most(cls, table: Table, config: Any) -> int:
        return min(config.columns or max(1, table.dim // 2), table.dim)

    @classmethod
    def shapes(cls, columns: int) -> list[tuple[int, int]]:
        return [(parts, columns) for parts in range(1, _MOST + 1)]

    @property
    def width(self) -> int:
        return int(self.config.part)

    def learn(self, points: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        codes, books, left = [], [], points
        for _ in range(self.config.parts):
            book, code = self.book(left, self.words, generator)
            left = left - book[code]
            codes.append(code)
            books.append(book)
        return torch.stack(codes, 1), torch.cat(books)

    def compose(self, words: Tensor) -> Tensor:
        return words.sum(-2)


class TrainedRQ(RQ):
    """Residual quantisation whose books are trained by the loss; the codes stay as they are."""

    name = "rq-tuned"
    title = "Residual quantisation, books trained"
    phases = (Phase("books"),)
    revision = 3
