"""DPQ: codes and books that are trained together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from bench.methods.pq import PQ
from torch import Tensor
from torch.nn import functional

from bench.method import (
    Choice,
    Field,
    LogRange,
    Method,
    Phase,
    Progress,
    Rows,
    Table,
    widen,
)

_PIECE = 1024  # ids whose words are searched together


class DPQ(PQ):
    """Each id has a query while training; its row is the words nearest to the query.

    The gradient of a word passes to the query that chose it, and words follow their queries: the
    authors' `vq` form. Codes are computed anew at the end, and queries are not stored. Differences
    from the authors' code: queries and books start from product quantisation of a trained table,
    because random ones collapse to few words; words get the gradient of the loss, too; distances
    have no batch normalisation; rows start at length 1 and have stored lengths, as of `pq`.
    """

    name = "dpq"
    title = "DPQ"
    paper = "Chen, Li & Sun, ICML 2020"
    family = "learned codes"
    paper_title = "Differentiable Product Quantization for End-to-End Embedding Compression"
    year = 2020
    url = "https://arxiv.org/abs/1908.09756"
    phases: ClassVar[tuple[Phase, ...]] = (Phase("train"),)
    revision = 3
    space: ClassVar = {
        "word_bits": Choice((3, 4, 5, 6, 8)),
        "columns": Choice((None, 16, 32, 48)),
        "pull": LogRange(0.01, 10.0),
    }

    class Config(PQ.Config):
        """As of `pq`. `pull`: weight of the distance of words from the queries that chose them."""

        pull: float = Field(1.0, gt=0)

    def build(self) -> None:
        super().build()
        self.queries: Rows | None = Rows(self.table.ids, self.width)
        self._apart: Tensor | float = 0.0

    def reset(self, generator: torch.Generator) -> None:
        points = self.points(generator)
        self.quantise(points, generator)
        assert self.queries is not None
        with torch.no_grad():
            self.queries.weight.copy_(points)

    def allowed(self, ids: Tensor) -> Tensor | None:
        """How many of the first words of a book each id may use, int64 [n]; None: all."""
        return None

    @torch.no_grad()
    def choose(self, ids: Tensor, queries: Tensor, books: Tensor) -> Tensor:
        """Numbers of the nearest words.

        Args:
            ids: int64 [n].
            queries: float32 [n, parts, part].
            books: float32 [2, parts, words, part].

        Returns:
            int64 [n, parts].
        """
        side, _ = self.table.locate(ids, joint=False)
        most = self.allowed(ids)
        number = torch.arange(self.words, device=ids.device)
        codes = torch.empty(queries.shape[:2], dtype=torch.int64, device=ids.device)
        for which, words in enumerate(books):
            half = words.square().sum(-1).unsqueeze(1) / 2
            for here in (side == which).nonzero().squeeze(1).split(_PIECE):
                mine = queries.index_select(0, here).transpose(0, 1)
                near = torch.baddbmm(half, mine, words.transpose(1, 2), beta=-1)
                if most is not None:
                    near.masked_fill_(number >= most[here].unsqueeze(1), -torch.inf)
                codes[here] = near.argmax(-1).T
        return codes

    def forward(self, ids: Tensor) -> Tensor:
        if self.queries is None:
            return super().forward(ids)
        flat, config = ids.reshape(-1), self.config
        every = self.books(torch.arange(len(self.books.weight), device=ids.device))
        queries = self.queries(flat).view(-1, config.parts, config.part)
        books = every.view(2, config.parts, self.words, config.part)
        codes = self.choose(flat, queries.detach(), books.detach())
        words = functional.embedding(self.places(flat, codes), every)
        if torch.is_grad_enabled():
            self._apart = (words - queries.detach()).square().sum((1, 2)).mean()
            words = words + (queries - queries.detach())
        rows = self.compose(words) * self.length(flat)
        return widen(rows.view(*ids.shape, -1), self.table)

    def penalty(self, rows: Tensor, progress: Progress) -> Tensor | float:
        return self._apart * self.config.pull

    def pack(self) -> dict[str, Tensor]:
        if self.queries is not None and not self.codes.is_meta:
            ids, config = torch.arange(self.table.ids, device=self.codes.device), self.config
            with torch.no_grad():
                every = self.books(torch.arange(len(self.books.weight), device=ids.device))
                queries = self.queries(ids).view(-1, config.parts, config.part)
            books = every.view(2, config.parts, self.words, config.part)
            self.codes.copy_(self.choose(ids, queries, books))
        packed = super().pack()
        packed.pop("queries.weight", None)
        return packed

    @classmethod
    def unpack(cls, packed: Mapping[str, Tensor], table: Table, config: Config) -> Method:
        queries = torch.zeros(table.ids, config.parts * config.part)
        method = super().unpack({**packed, "queries.weight": queries}, table, config)
        method.queries = None
        return method


class MGQE(DPQ):
    """DPQ whose rare ids use only the first words of each book, so that their codes are shorter.

    The most frequent share `head` of the users and of the items use all words.
    """

    name = "mgqe"
    title = "MGQE"
    paper = "Kang et al., WWW 2020"
    paper_title = (
        "Learning Multi-granular Quantized Embeddings for Large-Vocab Categorical Features in "
        "Recommender Systems"
    )
    year = 2020
    url = "https://arxiv.org/abs/2002.08530"
    stores = "codes, shorter for rare ids, codebooks, lengths of items"
    space: ClassVar = {
        "word_bits": Choice((4, 5, 6, 8)),
        "tail_bits": Choice((2, 3, 4, 6)),
        "columns": Choice((None, 16, 32, 48)),
    }

    class Config(DPQ.Config):
        """As of `dpq`. `tail_bits`: bits of a rare id's code; `head`: share of frequent ids."""

        tail_bits: int = Field(6, ge=1, le=8)
        head: float = Field(0.1, gt=0, lt=1)

    @classmethod
    def heads(cls, table: Table, config: Config) -> tuple[int, int]:
        """How many of the first users, and of the first items, are frequent ids."""
        users, items = (max(1, round(config.head * n)) for n in (table.users, table.items))
        return users, items

    @classmethod
    def frequent(cls, table: Table, config: Config, ids: Tensor) -> Tensor:
        """Which ids are frequent: int64 [n] -> bool [n]."""
        side, own = table.locate(ids, joint=False)
        users, items = cls.heads(table, config)
        return own < torch.where(side.bool(), items, users)

    @classmethod
    def streams(cls, table: Table, config: Config) -> dict[str, tuple[Tensor, int]]:
        ids = torch.arange(table.ids, device="cpu")
        head = cls.frequent(table, config, ids)
        tail = min(config.tail_bits, config.word_bits)
        return {"codes": (ids[head], config.word_bits), "codes.tail": (ids[~head], tail)}

    @property
    def tail_words(self) -> int:
        """Words that a rare id may use."""
        return int(2 ** min(self.config.tail_bits, self.config.word_bits))

    def allowed(self, ids: Tensor) -> Tensor:
        head = self.frequent(self.table, self.config, ids)
        return torch.where(head, self.words, self.tail_words)

    def learn(self, points: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """As of `pq`; the first words are those of all ids, the others those of frequent ones."""
        users, items = self.heads(self.table, self.config)
        head = users if len(points) == self.table.users else items
        codes, books = [], []
        for part in points.split(self.config.part, 1):
            first, code = self.book(part, self.tail_words, generator)
            books.append(first)
            codes.append(code)
            if self.words > self.tail_words:
                more, _ = self.book(part[:head], self.words - self.tail_words, generator)
                books.append(more)
        return torch.stack(codes, 1), torch.cat(books)
