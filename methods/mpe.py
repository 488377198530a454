"""MPE: the number of bits is learned for groups of ids of similar frequency."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from bench.method import (
    Arrays,
    Choice,
    Field,
    LogRange,
    Method,
    Phase,
    Progress,
    Rows,
    Size,
    Table,
    f32,
    largest,
    pack_numbers,
    stream_bytes,
    unpack_numbers,
    widen,
)

BITS = (0, 1, 2, 3, 4, 5, 6)
TEMPERATURE = 3e-3
_RISE = 1e4  # by how much the price of a bit grows in the course of the search
_PACE = 10  # by how much the logits gamma / 3e-3 can change in the course of the search
# Distances between 2^b equidistant levels of least squared error for N(0, 1) (Max, IRE Trans. Inf.
# Theory 1960), by b. There is nothing to learn at 0 bits.
_NORMAL = (1.0, 1.5958, 0.9957, 0.5860, 0.3352, 0.1881, 0.1041)


def whole_numbers(rows: Tensor, steps: Tensor, bits: Tensor, shift: Tensor) -> Tensor:
    """round((x - shift) / s - 1/2), clipped to -2^(b-1)..2^(b-1) - 1: [n, k].

    Args:
        rows: x, float32 [n, k].
        steps: s, float32 [n, 1].
        bits: b, int64 [n, 1].
        shift: float32 [k].
    """
    half = torch.exp2(bits.float() - 1)
    exact = (rows - shift) / steps - 0.5
    scaled = torch.maximum(torch.minimum(exact, half - 1), -half)
    # The gradient goes through rounding, and not beyond the clipping.
    return scaled + (scaled.round() - scaled).detach() if scaled.requires_grad else scaled.round()


def rounded(rows: Tensor, steps: Tensor, bits: Tensor, shift: Tensor) -> Tensor:
    """Rows by LSQ+ (Bhalgat et al., CVPRW 2020), and zeros for 0 bits; as `whole_numbers`."""
    found = (whole_numbers(rows, steps, bits, shift) + 0.5) * steps + shift
    return torch.where(bits > 0, found, 0.0)


class MPE(Method):
    """row = r_g sum over b of p_gb LSQ+_b(row / r_g), p_g = softmax(gamma_g / 3e-3), in group g.

    Users and items are divided into groups of equal size by frequency. The loss has
    price x sum over g of E[bits of g] / (count_g / least count), so that rare ids lose bits first.
    When the search ends, a group takes the largest b with p_gb >= 1/14, and rows are trained again
    from their initial values, with the learned step sizes.

    Differences from the paper: it has no budget and tries prices. Here the price rises during the
    search until the bits fit; what is then too much is taken from the rarest groups, and what is
    left is given to the most frequent ones. The columns come from the budget and from `mean_bits`.
    Rows are rounded in units of r_g, the root mean square of the group, which is measured while
    rows grow and stored. In units of their own, step sizes of one scale for all cannot follow rows
    that grow tenfold in the first ten steps: most values are clipped then and learn nothing.
    The 2^b levels lie symmetrically, q + 1/2 in place of q, as few levels need it.
    """

    name = "mpe"
    title = "MPE"
    paper = "Li et al., arXiv 2024"
    family = "mixed precision"
    paper_title = "Mixed-Precision Embeddings for Large-Scale Recommendation Models"
    year = 2024
    url = "https://arxiv.org/abs/2409.20305"
    stores = "codes of 0 to 6 bits, bits and scales of groups, step sizes"
    revision = 2
    space: ClassVar = {
        "mean_bits": Choice((2.0, 3.0, 4.0)),
        "price": LogRange(1e-3, 1.0),
        "step_rate": LogRange(0.01, 1.0),
    }
    phases = (Phase("search", until_budget=True), Phase("retrain"))

    bits: Tensor
    group: Tensor
    scale: Tensor

    class Config(Method.Config):
        """Knobs of the search.

        `groups`: of users and of items, each. `mean_bits`: bits of a value on average. `price`:
        weight of the expected bits when the search begins. `step_rate`: learning rate of shifts
        and of the logarithms of step sizes, as a share of that of rows. `width`: columns,
        `capacity`: bytes of all codes; both are solved from the budget.
        """

        own_precision = True

        groups: int = Field(32, ge=1, le=1024)
        mean_bits: float = Field(3.0, ge=1, le=6)
        price: float = Field(1e-2, gt=0)
        step_rate: float = Field(0.1, gt=0, le=1)
        width: int = 0
        capacity: int = 0

    @classmethod
    def plan(cls, table: Table, config: Config) -> Config:
        if not config.width:
            # First as many columns as `mean_bits` allow, then all bytes that are left for codes.
            def wide(columns: int) -> Size:
                sized = config.but(width=columns)
                codes = stream_bytes(round(table.ids * columns * config.mean_bits), 1)
                codes = max(codes, cls.code_bytes(table, sized, 1))
                return cls.file_size(table, sized.but(capacity=codes))

            config = config.but(width=largest(wide, table.cap, high=table.most_columns))
        low, high = (cls.code_bytes(table, config, bits) for bits in (1, BITS[-1]))
        return cls.solve("capacity", table, config, low=low, high=high)

    @classmethod
    def sizes(cls, table: Table, config: Config) -> list[int]:
        """Ids of each group, in the order of ids."""
        found = []
        for ids in (table.users, table.items):
            groups = min(ids, config.groups)
            ends = [ids * group // groups for group in range(groups + 1)]
            found += [end - start for start, end in pairwise(ends)]
        return found

    @classmethod
    def code_bytes(cls, table: Table, config: Config, bits: int | list[int]) -> int:
        """Bytes of all codes, for the bits of all groups or of each; a group begins with a byte."""
        sizes = cls.sizes(table, config)
        each = [bits] * len(sizes) if isinstance(bits, int) else bits
        return sum(stream_bytes(n * config.width, b) for n, b in zip(sizes, each, strict=True) if b)

    @classmethod
    def arrays(cls, table: Table, config: Config) -> Arrays:
        return {
            "codes": (torch.uint8, (config.capacity,)),
            "group_bits": (torch.uint8, (stream_bytes(len(cls.sizes(table, config)), 3),)),
            "steps": f32(len(BITS)),
            "shift": f32(config.width),
            "scale": f32(len(cls.sizes(table, config))),
        }

    def build(self) -> None:
        sizes = self.sizes(self.table, self.config)
        self.stored = Rows(self.table.ids, self.config.width)
        self.choice = nn.Parameter(torch.zeros(len(sizes), len(BITS)))
        self.log_steps = nn.Parameter(torch.zeros(len(BITS)))
        self.shift = nn.Parameter(torch.zeros(self.config.width))
        # Before a search has decided, all groups have the same bits.
        size, config = self.config.capacity, self.config
        fitting = [b for b in BITS if self.code_bytes(self.table, config, b) <= size]
        self.register_buffer("bits", torch.full((len(sizes),), fitting[-1]))
        group = torch.arange(len(sizes)).repeat_interleave(
            torch.tensor(sizes), output_size=self.table.ids
        )
        self.register_buffer("group", group, persistent=False)
        self.register_buffer("scale", torch.ones(len(sizes)))
        self.measured = -1
        self.searching = self.chosen = self.final = False

    @property
    def width(self) -> int:
        return self.config.width

    def reset(self, generator: torch.Generator) -> None:
        self.stored.normal(self.table.std, generator)
        self.measure()
        if self.chosen:
            return  # the second training keeps bits, step sizes and shifts
        with torch.no_grad():
            self.shift.zero_()
            self.log_steps.copy_(torch.tensor(_NORMAL).log())

    def begin(self, phase: Phase, progress: Progress, lr: float) -> None:
        self.searching = phase.until_budget
        self.search_steps = max(1, progress.steps)
        self.measured = -1
        if self.searching:
            with torch.no_grad():
                self.choice.zero_()

    def groups(self, lr: float) -> Iterable[dict[str, Any]]:
        yield {"params": [self.stored.weight], "lr": lr}
        yield {"params": [self.log_steps, self.shift], "lr": lr * self.config.step_rate}
        if self.searching:
            yield {"params": [self.choice], "lr": TEMPERATURE * _PACE / self.search_steps}

    @property
    def steps(self) -> Tensor:
        """Step sizes in units of a group's scale, by bits: float32 [7]."""
        return self.log_steps.exp()

    def advance(self, phase: Phase, progress: Progress) -> None:
        super().advance(phase, progress)
        # Rows grow fast at first, so that scales are measured after 0, 1, 2, 4, ... steps there.
        if progress.step & (progress.step - 1) == 0 or progress.epoch != self.measured:
            self.measure()
            self.measured = progress.epoch

    @torch.no_grad()
    def measure(self) -> None:
        """Set the scale of each group to the root mean square of its rows."""
        squares = self.stored.weight.square().mean(1)
        sizes = torch.bincount(self.group)
        sums = torch.zeros_like(self.scale).index_add_(0, self.group, squares)
        self.scale.copy_((sums / sizes).sqrt().clamp(min=1e-9))

    def forward(self, ids: Tensor) -> Tensor:
        rows = self.stored(ids)
        if self.final:
            return widen(rows, self.table)
        group = self.group[ids.reshape(-1)]
        scale = self.scale[group].unsqueeze(1)
        flat = rows.reshape(-1, self.width) / scale
        if self.searching:
            shares = embedding(group, (self.choice / TEMPERATURE).softmax(1))
            found = torch.zeros_like(flat)
            for place, bits in enumerate(BITS[1:], 1):
                steps, width = self.steps[place].view(1, 1), group.new_full((1, 1), bits)
                part = rounded(flat, steps, width, self.shift)
                found = found + shares[:, place : place + 1] * part
        else:
            own = self.bits[group].unsqueeze(1)
            found = rounded(flat, self.steps[own], own, self.shift)
        return widen((found * scale).view(rows.shape), self.table)

    def penalty(self, rows: Tensor, progress: Progress) -> Tensor | float:
        if not self.searching:
            return 0.0
        price = self.config.price * _RISE ** (progress.step / max(1, progress.steps))
        expected = (self.choice / TEMPERATURE).softmax(1) @ self.choice.new_tensor(BITS)
        counts = self.frequency()
        return price * (expected * (counts.min() / counts)).sum()

    def frequency(self) -> Tensor:
        """Mean training interactions of the ids of each group, at least 1: float32 [groups]."""
        counts = self.table.counts
        if counts is None:
            return torch.ones_like(self.choice[:, 0])
        sizes = self.sizes(self.table, self.config)
        means = [one.float().mean() for one in counts.split(sizes)]
        return torch.stack(means).clamp(min=1).to(self.choice.device)

    def bytes_of(self, bits: list[int]) -> int:
        """Bytes of all codes with these bits of each group."""
        return self.code_bytes(self.table, self.config, bits)

    @torch.no_grad()
    def favourites(self) -> list[int]:
        """The largest number of bits of each group whose probability is 1/14 or more."""
        likely = (self.choice / TEMPERATURE).softmax(1) >= 1 / (2 * len(BITS))
        return (likely * torch.tensor(BITS, device=likely.device)).amax(1).tolist()

    def live(self) -> int:
        return self.bytes_of(self.favourites())

    def target(self) -> int:
        return self.config.capacity

    def finish(self, phase: Phase) -> None:
        if not phase.until_budget:
            return
        bits, capacity = self.favourites(), self.config.capacity
        rising = self.frequency().argsort(stable=True).tolist()
        while self.bytes_of(bits) > capacity:
            for group in rising:
                if bits[group] and self.bytes_of(bits) > capacity:
                    bits[group] -= 1
        raised = True
        while raised:
            raised = False
            for group in reversed(rising):
                more = [b + (place == group) for place, b in enumerate(bits)]
                if bits[group] < BITS[-1] and self.bytes_of(more) <= capacity:
                    bits, raised = more, True
        self.bits.copy_(torch.tensor(bits))
        self.searching, self.chosen = False, True

    @torch.no_grad()
    def pack(self) -> dict[str, Tensor]:
        sizes, streams = self.sizes(self.table, self.config), []
        table = self.stored.weight / self.scale[self.group].unsqueeze(1)
        for rows, bits in zip(table.split(sizes), self.bits.tolist(), strict=True):
            if bits:
                width = self.bits.new_full((1, 1), bits)
                whole = whole_numbers(rows, self.steps[bits].view(1, 1), width, self.shift)
                streams.append(pack_numbers(whole.long() + 2 ** (bits - 1), bits))
        codes = torch.cat(streams) if streams else self.bits.new_zeros(0, dtype=torch.uint8)
        spare = codes.new_zeros(self.config.capacity - len(codes))
        return {
            "codes": torch.cat((codes, spare)),
            "group_bits": pack_numbers(self.bits, 3),
            "steps": self.steps.detach(),
            "shift": self.shift.detach(),
            "scale": self.scale,
        }

    @classmethod
    @torch.no_grad()
    def unpack(cls, packed: Mapping[str, Tensor], table: Table, config: Config) -> MPE:
        method = cls(table, config).to(packed["steps"].device)
        sizes, start = cls.sizes(table, config), 0
        widths = unpack_numbers(packed["group_bits"], 3, len(sizes))
        parts = method.stored.weight.zero_().split(sizes)
        for rows, bits, scale in zip(parts, widths.tolist(), packed["scale"], strict=True):
            if bits:
                size = stream_bytes(rows.numel(), bits)
                codes = unpack_numbers(packed["codes"][start : start + size], bits, rows.numel())
                whole = (codes - 2 ** (bits - 1)).float().view(rows.shape)
                rows.copy_(((whole + 0.5) * packed["steps"][bits] + packed["shift"]) * scale)
                start += size
        method.final = True
        return method.requires_grad_(False)
