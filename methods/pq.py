"""Product quantisation of a trained table: each part of a row is a word of a book."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from bench.method import (
    Choice,
    Coded,
    Phase,
    directions,
    k_means,
    pack_lengths,
    project,
    unpack_lengths,
)

_SAMPLE = 256  # rows for each word that k-means sees; faiss takes as many


class PQ(Coded):
    """Rows of length 1 are coded, by a k-means for each part of the users' and of the items' rows.

    An item's length is a byte; a user's changes no ranking by products and is not stored, unless
    `user_lengths` is set. Fewer columns than the table has come from `project`.
    """

    name = "pq"
    title = "Product quantisation"
    paper = "Jégou, Douze & Schmid, TPAMI 2011"
    family = "post-training"
    paper_title = "Product Quantization for Nearest Neighbor Search"
    year = 2011
    url = "https://doi.org/10.1109/TPAMI.2010.57"
    stores = "codes and codebooks, lengths of items"
    revision = 2
    needs: ClassVar = {"teacher"}
    phases: ClassVar[tuple[Phase, ...]] = ()
    space: ClassVar = {
        "word_bits": Choice((3, 4, 5, 6, 7, 8)),
        "columns": Choice((None, 16, 24, 32, 48)),
    }

    published: ClassVar = {"bits": 32}

    lengths: Tensor
    middle: Tensor

    class Config(Coded.Config):
        """As of `Coded`. `user_lengths`: whether users' lengths are stored, too."""

        user_lengths: bool = False

    def build(self) -> None:
        super().build()
        stored = self.table.ids if self.config.user_lengths else self.table.items
        self.register_buffer("lengths", torch.zeros(stored, dtype=torch.uint8))
        self.register_buffer("middle", torch.ones(2))

    def reset(self, generator: torch.Generator) -> None:
        self.quantise(self.points(generator), generator)

    def points(self, generator: torch.Generator) -> Tensor:
        """The rows that are coded, float32 [N, width], of length 1."""
        table = self.table
        assert table.teacher is not None
        return directions(project(table.teacher, table.users, self.width, generator, 0.0))

    def quantise(self, points: Tensor, generator: torch.Generator) -> None:
        """Set codes and books for these rows, and the lengths of the teacher's."""
        sides = self.table.users, self.table.items
        found = [self.learn(side, generator) for side in points.split(sides)]
        self.codes.copy_(torch.cat([codes for codes, _ in found]))
        with torch.no_grad():
            self.books.weight.copy_(torch.cat([words for _, words in found]))
        assert self.table.teacher is not None
        lengths = self.table.teacher.norm(dim=1).split(sides)
        (users, user_middle), (items, item_middle) = (pack_lengths(side) for side in lengths)
        self.lengths.copy_(torch.cat((users, items)) if self.config.user_lengths else items)
        self.middle.copy_(torch.cat((user_middle, item_middle)))

    def learn(self, points: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Codes [n, parts] and words [parts words, part] for the rows of a side, [n, width]."""
        parts = points.split(self.config.part, 1)
        found = [self.book(part, self.words, generator) for part in parts]
        return torch.stack([codes for _, codes in found], 1), torch.cat([book for book, _ in found])

    @staticmethod
    def book(rows: Tensor, words: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Words [words, part] and codes [n] for rows [n, part]."""
        return k_means(rows.contiguous(), words, generator, _SAMPLE * words)

    def length(self, ids: Tensor) -> Tensor:
        """Length of each row: int64 [*] -> float32 [*, 1]."""
        side, own = self.table.locate(ids, joint=False)
        if self.config.user_lengths:
            found = self.lengths[ids]
        else:
            found = torch.where(side.bool(), self.lengths[own * side], 128)
        return unpack_lengths(found, self.middle[side]).unsqueeze(-1)

    def forward(self, ids: Tensor) -> Tensor:
        return super().forward(ids) * self.length(ids)


class TrainedPQ(PQ):
    """Product quantisation whose books are trained by the loss; the codes stay as they are."""

    name = "pq-tuned"
    title = "Product quantisation, books trained"
    phases = (Phase("books"),)
    revision = 3
