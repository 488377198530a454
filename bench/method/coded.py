"""Rows of words: codes of each id, and books that the codes are looked up in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from bench.budget import Bits
from bench.method.base import Field, Method, Rows, Table
from bench.method.codes import pack_codes, unpack_codes
from bench.method.narrow import widen
from bench.method.precision import Storage

_LEAST = 0.8  # share of the columns that has to be left when they are divided among parts


class Coded(Method):
    """e_i = [book_1[c_i1], ..., book_D[c_iD]], with books of users and books of items.

    A subclass sets codes and books in `reset`.

    Attributes:
        books: words of all books, float32 [2 parts words, part]: users' books first.
        codes: uint8 [N, parts].
    """

    codes: Tensor

    class Config(Method.Config):
        """Knobs of the codes.

        `bits`: of a value of the books; a word has a byte for its scale. `word_bits`: bits of a
        code; a book has 2 to that power words. `columns`: of a row; none: all. `parts`: codes an
        id; `part`: columns of a word; both solved from the budget.
        """

        bits: Bits | None = 8
        word_bits: int = Field(8, ge=1, le=8)
        columns: int | None = Field(None, ge=1)
        parts: int = 0
        part: int = 0

    @classmethod
    def most(cls, table: Table, config: Any) -> int:
        """Columns of a row, if the budget holds them."""
        return min(config.columns or table.dim, table.dim)

    @classmethod
    def shapes(cls, columns: int) -> list[tuple[int, int]]:
        """Parts and columns of a word that make up about so many columns, parts rising."""
        found = [(parts, columns // parts) for parts in range(1, columns + 1)]
        return [(parts, part) for parts, part in found if parts * part >= _LEAST * columns]

    @classmethod
    def plan(cls, table: Table, config: Any) -> Any:
        if config.parts and config.part:
            return config
        most = cls.most(table, config)
        for parts, part in reversed(cls.shapes(most)):
            wanted = config.but(parts=parts, part=part)
            if cls.file_size(table, wanted).within(table.cap):
                return wanted
        # Not even one code for all columns: as many columns as there is room for.
        return cls.solve("part", table, config.but(parts=1), low=1, high=most)

    @classmethod
    def storage(cls, config: Any, array: str) -> Storage | None:
        # Words belong to no id, so that no scale can be left out.
        storage = super().storage(config, array) if array == "books.weight" else None
        return storage and replace(storage, scale="row")

    def build(self) -> None:
        config = self.config
        self.words = 2**config.word_bits
        self.books = Rows(2 * config.parts * self.words, config.part)
        codes = torch.zeros(self.table.ids, config.parts, dtype=torch.uint8)
        self.register_buffer("codes", codes)

    @property
    def width(self) -> int:
        return int(self.config.parts * self.config.part)

    def places(self, ids: Tensor, codes: Tensor) -> Tensor:
        """Rows of `books`: int64 [*] and [*, parts] -> int64 [*, parts]."""
        side, _ = self.table.locate(ids, joint=False)
        parts = torch.arange(self.config.parts, device=ids.device)
        return (side.unsqueeze(-1) * self.config.parts + parts) * self.words + codes

    def compose(self, words: Tensor) -> Tensor:
        """A row from its words: float32 [*, parts, part] -> [*, width]."""
        return words.flatten(-2)

    def forward(self, ids: Tensor) -> Tensor:
        words = self.books(self.places(ids, self.codes[ids].long()))
        return widen(self.compose(words), self.table)

    def outcome(self) -> str:
        config = self.config
        return f"{config.parts} codes of {config.word_bits} bits, {self.width} columns"

    @classmethod
    def streams(cls, table: Table, config: Any) -> dict[str, tuple[Tensor, int]]:
        """The ids whose codes a packed array holds, int64 [n], and the bits of a code."""
        return {"codes": (torch.arange(table.ids, device="cpu"), config.word_bits)}

    def pack(self) -> dict[str, Tensor]:
        packed = super().pack()
        codes = packed.pop("codes")
        for name, (ids, bits) in self.streams(self.table, self.config).items():
            own = codes[: len(ids)] if codes.is_meta else codes[ids]
            packed[name] = pack_codes(own, bits)
        return packed

    @classmethod
    def unpack(cls, packed: Mapping[str, Tensor], table: Table, config: Any) -> Method:
        others = dict(packed)
        codes = torch.zeros(table.ids, config.parts, dtype=torch.uint8)
        for name, (ids, bits) in cls.streams(table, config).items():
            codes[ids] = unpack_codes(others.pop(name), bits, (len(ids), config.parts)).cpu()
        return super().unpack({**others, "codes": codes}, table, config)
