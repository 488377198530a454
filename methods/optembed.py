"""OptEmbed: rows and columns are pruned, guided by a supernet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bench.method import (
    USERS,
    Arrays,
    Choice,
    Field,
    LogRange,
    Method,
    Narrow,
    Phase,
    Progress,
    Rows,
    Table,
    columns,
    divide,
    f32,
    fill_columns,
    model_validator,
    pack_numbers,
    solve_width,
    stream_bytes,
    unpack_numbers,
    widen,
    width_field,
)


class _Step(torch.autograd.Function):
    """1 where x > 0, with the paper's surrogate for its derivative."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        size = ctx.saved_tensors[0].abs()
        slope = torch.where(size <= 0.4, 2 - 4 * size, torch.where(size <= 1, 0.4, 0.0))
        return gradient * slope


class OptEmbed(Method):
    """Rows whose L1 norm is below a learned threshold of their side are dropped.

    The supernet learns a threshold t for users and one for items. A row counts if |e|_1 > t; the
    loss has alpha sum exp(-t), which raises thresholds. In each step a random number of columns
    takes part, so that the first columns matter most and rows can be cut to a prefix. Then as many
    rows are kept as the budget holds, those of the largest |e|_1 - t, and the kept ones are trained
    again from the initial values. A dropped row is zero.

    The paper then searches the columns of each side by evolution. With two sides the search space
    is two numbers, so that they are knobs here: `width_factor` and `item_columns`. Rates of the
    thresholds are paced to the steps of the run; the paper's are for a run of given length.
    """

    name = "optembed"
    title = "OptEmbed"
    paper = "Lyu et al., CIKM 2022"
    family = "pruning"
    paper_title = "OptEmbed: Learning Optimal Embedding Table for Click-through Rate Prediction"
    year = 2022
    url = "https://arxiv.org/abs/2208.04482"
    stores = "kept rows of users and of items, which ids keep theirs"
    revision = 2
    space: ClassVar = {
        "alpha": LogRange(1e-6, 1e-2),
        "kept_user_share": USERS,
        "width_factor": Choice((0.9, 1.0, 1.05, 1.1, 1.2, 1.5), coarse=True),
    }
    published: ClassVar = {"width_factor": None, "kept_user_share": None}
    phases = (Phase("supernet", until_budget=True), Phase("retrain"))

    index_maps = ("rows",)
    mask: Tensor
    prefix: Tensor

    class Config(Narrow):
        """Knobs of the cut.

        `alpha`: weight of the term that raises thresholds. `item_columns`: columns of items as a
        share of those of users; scores that are products gain nothing from fewer.
        `kept_user_share`: users' share of the kept rows, of which a side takes no more than it has
        ids; none: in proportion to the numbers of ids. `kept`: rows kept, solved from the budget.
        By default nearly all rows are kept and columns are few: an id without a row is never
        recommended, or gets no recommendation.
        """

        width_factor: float | None = width_field(1.0)
        alpha: float = Field(3e-4, gt=0)
        item_columns: float = Field(1.0, gt=0, le=1)
        kept_user_share: float | None = Field(0.5, gt=0, lt=1)
        kept: int = 0

        @model_validator(mode="after")
        def _rows_are_rounded_as_they_are_stored(self) -> OptEmbed.Config:
            # Training rounds rows whole, before it knows which are kept. Scales that depend on
            # other rows or columns would be other ones in the file.
            whole = self.item_columns == 1 and self.scale != "side" and self.scale_bits != 4
            if self.bits not in (None, 16, 32) and not whole:
                raise ValueError(
                    "fewer than 16 bits need item_columns = 1, the scale row or item, and"
                    " scale_bits = 8"
                )
            return self

    @classmethod
    def plan(cls, table: Table, config: Config) -> Config:
        if config.kept:
            return solve_width(table, config)
        return fill_columns(
            cls, table, config, lambda one: cls.solve("kept", table, one, low=2, high=table.ids)
        )

    @classmethod
    def shapes(cls, table: Table, config: Config) -> tuple[tuple[int, int], tuple[int, int]]:
        """Kept rows and their columns, of users and of items."""
        wide, most = columns(table, config), (table.users, table.items)
        users, items = divide(config.kept, config.kept_user_share, most)
        return (users, wide), (items, max(1, round(wide * config.item_columns)))

    @classmethod
    def arrays(cls, table: Table, config: Config) -> Arrays:
        users, items = cls.shapes(table, config)
        mask = torch.uint8, (stream_bytes(table.ids, 1),)
        return {"users": f32(*users), "items": f32(*items), "rows": mask}

    @classmethod
    def packed_maps(cls, table: Table, config: Config) -> dict[str, tuple[int, int]]:
        return {"rows": (table.ids, 2)}  # each id is dropped, or kept

    @classmethod
    def user_rows(cls, table: Table, config: Config) -> dict[str, int]:
        (users, _), _ = cls.shapes(table, config)
        return {"users": users}

    def build(self) -> None:
        self.stored = Rows(self.table.ids, self.width)
        self.thresholds = nn.Parameter(torch.zeros(2))
        self.register_buffer("mask", torch.ones(self.table.ids, dtype=torch.bool))
        self.register_buffer("prefix", torch.ones(2, self.width), persistent=False)
        self.searching, self.rate = False, 0.0

    @property
    def width(self) -> int:
        return columns(self.table, self.config)

    def reset(self, generator: torch.Generator) -> None:
        self.stored.normal(self.table.std, generator)  # the mask stays, for the second training

    def begin(self, phase: Phase, progress: Progress, lr: float) -> None:
        self.searching = phase.until_budget
        if not self.searching:
            self._choose_columns([columns for _, columns in self.shapes(self.table, self.config)])
            return
        with torch.no_grad():
            self.mask.fill_(True)
            self.thresholds.zero_()
        # In the search a threshold can reach the norm of a row whose entries moved a tenth of what
        # Adam may have moved them.
        self.rate = self.width * (self.table.std / max(1, progress.steps) + lr / 10)

    def advance(self, phase: Phase, progress: Progress) -> None:
        super().advance(phase, progress)
        if self.searching:
            # Drawn from the seed and the step, so that a continued run draws the same.
            generator = torch.Generator().manual_seed(self.table.seed * 1_000_003 + progress.step)
            drawn = torch.randint(1, self.width + 1, (2,), generator=generator)
            self._choose_columns(drawn.tolist())

    def _choose_columns(self, counts: list[int]) -> None:
        for side, count in enumerate(counts):
            self.prefix[side].zero_()[:count] = 1

    def groups(self, lr: float) -> Iterable[dict[str, Any]]:
        yield {"params": [self.stored.weight], "lr": lr}
        if self.searching:
            yield {"params": [self.thresholds], "lr": self.rate}

    def penalty(self, rows: Tensor, progress: Progress) -> Tensor | float:
        return self.config.alpha * torch.exp(-self.thresholds).sum() if self.searching else 0.0

    def forward(self, ids: Tensor) -> Tensor:
        side = (ids >= self.table.users).long()
        rows = self.stored(ids)
        if self.searching:
            norms = rows.abs().sum(-1)
            kept = _Step.apply(norms - self.thresholds[side]).unsqueeze(-1)  # type: ignore[no-untyped-call]
            return widen(rows * kept * self.prefix[side], self.table)
        kept = self.mask[ids].unsqueeze(-1)
        return widen(rows * kept * self.prefix[side], self.table)

    @torch.no_grad()
    def _margins(self) -> tuple[Tensor, ...]:
        norms = self.stored.weight.abs().sum(1)
        users, items = norms.split([self.table.users, self.table.items])
        return users - self.thresholds[0], items - self.thresholds[1]

    def live(self) -> int:
        return sum(int((margins > 0).sum()) for margins in self._margins())

    def target(self) -> int:
        return self.config.kept

    @torch.no_grad()
    def finish(self, phase: Phase) -> None:
        if not phase.until_budget:
            return
        kept = [rows for rows, _ in self.shapes(self.table, self.config)]
        masks = []
        for margins, count in zip(self._margins(), kept, strict=True):
            order = margins.sort(descending=True, stable=True).indices
            masks.append(torch.zeros_like(margins, dtype=torch.bool))
            masks[-1][order[:count]] = True
        self.mask.copy_(torch.cat(masks))
        self.searching = False

    def pack(self) -> dict[str, Tensor]:
        parts = self.stored.weight.detach().split([self.table.users, self.table.items])
        masks = self.mask.split([self.table.users, self.table.items])
        shapes = self.shapes(self.table, self.config)
        users, items = (
            part[mask][:, :wide].contiguous()
            for part, mask, (_, wide) in zip(parts, masks, shapes, strict=True)
        )
        return {"users": users, "items": items, "rows": pack_numbers(self.mask, 1)}

    @classmethod
    def unpack(cls, packed: Mapping[str, Tensor], table: Table, config: Config) -> OptEmbed:
        method = cls(table, config)
        mask = unpack_numbers(packed["rows"], 1, table.ids).bool()
        with torch.no_grad():
            method.mask.copy_(mask)
            method.stored.weight.zero_()
            for name, here in (
                ("users", slice(0, table.users)),
                ("items", slice(table.users, None)),
            ):
                values = packed[name]
                method.stored.weight[here, : values.shape[1]][mask[here]] = values
        return method.to(mask.device).requires_grad_(False)
