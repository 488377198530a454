"""PEP: learnable embedding sizes through learned pruning thresholds."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from bench.method import (
    SCALES,
    USERS,
    WIDTHS,
    LogRange,
    Pruned,
    Table,
    columns,
    fill_columns,
    solve_width,
    widen,
)


class PEP(Pruned):
    """e_i = sign(v_i) relu(|v_i| - sigmoid(s_i)) while searching, v_i under the mask afterwards.

    Thresholds are per entry, as in the reference training scripts. The reference code stops and
    selects on test data; here a search ends at the budget and retraining at the validation score.
    What else differs from it is said in `bench.method.pruning`.
    """

    name = "pep"
    title = "PEP"
    paper = "Liu et al., ICLR 2021"
    family = "pruning"
    paper_title = "Learnable Embedding Sizes for Recommender Systems"
    year = 2021
    url = "https://arxiv.org/abs/2101.07577"
    stores = "kept values of one table, their positions"
    space: ClassVar = {
        "threshold_start": LogRange(1e-3, 0.5),
        "kept_user_share": USERS,
        "width_factor": WIDTHS,
        "scale": SCALES,
    }
    published: ClassVar = {"gain": 1.0}
    revision = 3

    @classmethod
    def shape(cls, table: Table, config: Pruned.Config) -> tuple[int, int]:
        return table.ids, columns(table, config)

    @classmethod
    def plan(cls, table: Table, config: Pruned.Config) -> Pruned.Config:
        if config.kept:
            return solve_width(table, config)

        def solve(one: Pruned.Config) -> Pruned.Config:
            return one.but(kept=cls.most_kept(table, one))

        def solved(one: Pruned.Config) -> Pruned.Config:
            return cls.with_all_entries(table, one, solve)

        return fill_columns(cls, table, config, solved)

    @classmethod
    def user_rows(cls, table: Table, config: Pruned.Config) -> dict[str, int]:
        return {"stored": table.users} if config.scale == "item" else {}

    @property
    def first_rows(self) -> int:
        return self.table.users

    def start(self, generator: torch.Generator) -> None:
        self.stored.normal(self.table.std, generator)

    def outcome(self) -> str:
        return f"{self.kept_share()} of {self.width} columns kept"

    def forward(self, ids: Tensor) -> Tensor:
        return widen(self.entries(ids), self.table)
