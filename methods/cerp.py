"""CERP: sums of two small tables that are pruned to complement each other."""

from __future__ import annotations

from math import ceil
from typing import Any, ClassVar

import torch
from torch import Tensor

from bench.method import (
    WIDTHS,
    Choice,
    LogRange,
    Progress,
    Pruned,
    Range,
    Table,
    columns,
    fill_columns,
    solve_width,
    widen,
)

SATURATION = 100.0  # K of the regulariser; tanh(K x) counts |x| above .03 as present


class CERP(Pruned):
    """e_i = P[i mod b] + Q[i // ceil(N / b)], both pruned together.

    The regulariser -gamma mean tanh^2(K e) keeps composed entries away from zero, so that the two
    tables are pruned at different places; gamma halves after each epoch of the search. e are the
    composed rows of a batch; under a graph backbone, those before propagation. The paper's code
    sums over the batch instead (so that gamma depends on the batch size); with its batch of 60 rows
    of 128 columns its gamma of 1 is 7,680 here. It also counts an item as often as a batch has it;
    here users and items count once.

    What else differs from the paper's code is said in `bench.method.pruning`.

    P and Q are kept stacked: the budget is joint, and how many entries each keeps is free. Rows of
    Q that no id refers to (277 of 5,000 for Gowalla) do not exist here; in the reference code they
    are pruned for nothing and counted as savings.
    """

    name = "cerp"
    title = "CERP"
    paper = "Liang et al., ICDM 2023"
    family = "pruning"
    paper_title = (
        "Learning Compact Compositional Embeddings via Regularized Pruning for Recommendation"
    )
    year = 2023
    url = "https://arxiv.org/abs/2309.03518"
    stores = "kept values of two tables, their positions"
    space: ClassVar = {
        "sparsity": Range(0.05, 0.95),
        "gamma": LogRange(1e-4, 10.0),
        "threshold_start": LogRange(1e-3, 0.5),
        "joint": Choice((True, False)),
        "width_factor": WIDTHS,
        "scale": Choice((None, "side"), coarse=True),
    }
    revision = 2
    # The code's gamma of 1; see above. All columns, and buckets that keep half of their entries.
    published: ClassVar = {"joint": True, "sparsity": 0.5, "gamma": 7680.0}

    class Config(Pruned.Config):
        """Knobs of the two tables.

        `buckets`: b, rows of P; solved from `sparsity`, the share of entries pruned. `gamma`:
        weight of the regulariser in the first epoch, per entry. `joint`: users and items share P
        and Q, as in the paper's code, or have their own.
        """

        buckets: int = 0
        sparsity: float = 0.5
        gamma: float = 1.0
        joint: bool = True

    @staticmethod
    def layout(table: Table, config: Config) -> list[tuple[int, int, int]]:
        """(b, m, rows of Q) of each part: m = ceil(n / b) consecutive ids share a row of Q."""
        parts = []
        for ids in table.parts(config.joint):
            buckets = max(1, round(config.buckets * ids / table.ids))
            block = ceil(ids / buckets)
            parts.append((buckets, block, ceil(ids / block)))
        return parts

    @classmethod
    def shape(cls, table: Table, config: Config) -> tuple[int, int]:
        rows = sum(b + rows for b, _, rows in cls.layout(table, config))
        return rows, columns(table, config)

    @classmethod
    def plan(cls, table: Table, config: Config) -> Config:
        if config.buckets or config.kept:
            return cls.solve_buckets(table, solve_width(table, config))

        def solve(one: Any) -> Any:
            return cls.with_all_entries(table, one, lambda tried: cls.solve_buckets(table, tried))

        return fill_columns(cls, table, config, solve)

    @classmethod
    def solve_buckets(cls, table: Table, config: Config) -> Config:
        """Set `buckets` and `kept`; keep those that are set.

        Raises:
            Infeasible: the budget does not hold a single entry.
        """

        def fits(buckets: int) -> bool:
            one = config.but(buckets=buckets)
            if any(block == 1 for _, block, _ in cls.layout(table, one)):
                return False  # a bucket for each id: then Q has a row for each id, too
            rows, columns = cls.shape(table, one)
            entries = rows * columns
            # All entries need no positions, and may take less space than half of them.
            enough = (max(1, ceil((1 - config.sparsity) * entries)), entries)
            return any(cls.file_size(table, one.but(kept=n)).within(table.cap) for n in enough)

        if not config.buckets:
            # Below sqrt(N) buckets ids begin to share both rows.
            low = ceil(table.ids / min(table.parts(config.joint)) ** 0.5)
            high = table.ids
            while low < high:
                middle = (low + high + 1) // 2
                low, high = (middle, high) if fits(middle) else (low, middle - 1)
            config = config.but(buckets=low)
        return config.but(kept=config.kept or cls.most_kept(table, config))

    @property
    def first_rows(self) -> int | None:
        (buckets, _, rows), *others = self.layout(self.table, self.config)
        return buckets + rows if others else None

    def start(self, generator: torch.Generator) -> None:
        self.stored.normal(self.table.std / 2**0.5, generator)

    def forward(self, ids: Tensor) -> Tensor:
        part, own = self.table.locate(ids, self.config.joint)
        start, rows = 0, []
        for buckets, block, count in self.layout(self.table, self.config):
            first = start + own % buckets
            second = start + buckets + torch.div(own, block, rounding_mode="floor")
            rows.append(torch.stack((first, second), -1))
            start += buckets + count
        index = torch.where(part.unsqueeze(-1) == 0, rows[0], rows[-1])
        return widen(self.entries(index).sum(-2), self.table)

    def outcome(self) -> str:
        buckets = sum(count for count, _, _ in self.layout(self.table, self.config))
        pruned = 1 - self.mask.float().mean()
        return f"{buckets:,} buckets for {self.table.ids:,} ids, {pruned:.0%} pruned"

    def penalty(self, rows: Tensor, progress: Progress) -> Tensor | float:
        if not self.searching or not self.config.gamma:
            return 0.0
        gamma = self.config.gamma * 0.5**progress.epoch
        return -gamma * torch.tanh(SATURATION * rows[:, : self.mask.shape[1]]).square().mean()
