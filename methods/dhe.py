"""DHE: many hash values of an id go through a small network, which gives the row."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.method import (
    WIDE,
    Choice,
    Field,
    Infeasible,
    Method,
    Narrow,
    Storage,
    Table,
    columns,
    confirm_minimum,
    solve_width,
    widen,
    width_field,
)

PRIME = 2**31 - 1
VALUES = 10**6  # m: values of a hash function, as in the paper
_LEAST = 4  # hidden units; normalisation leaves nothing of one
_ENOUGH = 48  # hidden units below which fewer hash values are better
_HASHES = (1024, 512, 256, 128, 64, 32)
_PIECE = 8192  # ids looked up together where no gradient is needed


@cache
def coefficients(seed: int, count: int) -> tuple[Tensor, Tensor]:
    """Factors and shifts of hash functions, int64 [count] each, in 1..p-1.

    Steps of splitmix64 (Steele et al., OOPSLA 2014), so that a file holds one number instead of
    `2 count`, and any language can repeat them.
    """
    drawn, state, mask = [], seed, 2**64 - 1
    for _ in range(2 * count):
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & mask
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB & mask
        drawn.append(1 + (z ^ (z >> 31)) % (PRIME - 1))
    both = torch.tensor(drawn).view(2, count)
    return both[0], both[1]


class DHE(Method):
    """e_i = network(x_i), x_ij = 2 h_j(i) / (m - 1) - 1, h_j(i) = ((a_j i + c_j) mod p) mod m.

    There is no table: the network is all that is stored. Hidden layers are linear, normalised and
    go through Mish. The paper's batch normalisation would make a row depend on the batch, and its
    statistics would have to be stored; here each vector is normalised by itself, without weights.
    Users and items share the network; their ids differ.
    """

    name = "dhe"
    title = "DHE"
    paper = "Kang et al., KDD 2021"
    family = "neural hashing"
    paper_title = (
        "Learning to Embed Categorical Features without Embedding Tables for Recommendation"
    )
    year = 2021
    url = "https://arxiv.org/abs/2010.10784"
    stores = "weights of a network, one seed"
    revision = 2
    space: ClassVar = {
        "hashes": Choice((0, 128, 256, 1024)),
        "layers": Choice((1, 2, 5)),
        "width_factor": WIDE,
    }
    published: ClassVar = {"hashes": 1024, "layers": 5, "width_factor": None}

    seed: Tensor

    class Config(Narrow):
        """Knobs of the network.

        `hashes`: k, hash values of an id; 0: as many of 1024, 512, ... as leave 48 hidden units.
        `layers`: hidden layers. `hidden`: units of each, solved from the budget.
        """

        width_factor: float | None = width_field(1.2)
        hashes: int = Field(0, ge=0, le=4096)
        layers: int = Field(1, ge=1, le=16)
        hidden: int = 0

    @classmethod
    def plan(cls, table: Table, config: Config) -> Config:
        asked, config, high = config, solve_width(table, config), 16_384
        for hashes in (config.hashes,) if config.hashes else _HASHES:
            found = config.but(hashes=hashes)
            try:
                found = cls.solve("hidden", table, found, low=_LEAST, high=high)
            except Infeasible as error:
                if hashes == _HASHES[-1] or config.hashes:
                    confirm_minimum(cls, table, asked, error)
                    raise
                continue
            if found.hidden >= _ENOUGH:
                break
        return found

    @classmethod
    def storage(cls, config: Config, array: str) -> Storage | None:
        # A layer has few biases, and an error in one of them is in every row.
        return None if array.startswith("bias") else super().storage(config, array)

    @property
    def width(self) -> int:
        return columns(self.table, self.config)

    @property
    def sizes(self) -> list[int]:
        """Units of all layers, from the hash values to the row."""
        config = self.config
        return [config.hashes, *[config.hidden] * config.layers, self.width]

    def build(self) -> None:
        for layer, (before, after) in enumerate(pairwise(self.sizes)):
            self.register_parameter(f"weight{layer}", nn.Parameter(torch.empty(after, before)))
            self.register_parameter(f"bias{layer}", nn.Parameter(torch.empty(after)))
        self.register_buffer("seed", torch.zeros(1, dtype=torch.int64))

    def reset(self, generator: torch.Generator) -> None:
        self.seed.copy_(torch.randint(1, 2**31, (1,), generator=generator))
        with torch.no_grad():
            for layer, before in enumerate(self.sizes[:-1]):
                weight, bias = getattr(self, f"weight{layer}"), getattr(self, f"bias{layer}")
                drawn = torch.randn(weight.shape, generator=generator)
                weight.copy_(drawn.mul_((2 / before) ** 0.5))
                bias.zero_()
            # Mish gives all ids a common part. It is taken out, and the rest has the common scale.
            sample = self.decoded(torch.arange(min(_PIECE, self.table.ids), device=weight.device))
            means = sample.mean(0)
            factor = self.table.std / (sample - means).std().clamp(min=1e-9)
            weight.mul_(factor)
            bias.copy_(-means * factor)

    def encoded(self, ids: Tensor) -> Tensor:
        """Hash values of ids in -1..1: int64 [n] -> float32 [n, hashes]."""
        factors, shifts = coefficients(int(self.seed), self.config.hashes)
        hashed = ids.unsqueeze(1) * factors.to(ids.device) + shifts.to(ids.device)
        return (hashed % PRIME % VALUES).float().mul_(2 / (VALUES - 1)).sub_(1)

    def decoded(self, ids: Tensor) -> Tensor:
        """Rows of ids: int64 [n] -> float32 [n, width]."""
        found, last = self.encoded(ids), len(self.sizes) - 2
        for layer in range(last + 1):
            weight, bias = self.value(f"weight{layer}"), getattr(self, f"bias{layer}")
            found = functional.linear(found, weight, bias)
            if layer < last:
                found = functional.mish(functional.layer_norm(found, found.shape[-1:]))
        return found

    def forward(self, ids: Tensor) -> Tensor:
        flat = ids.reshape(-1)
        if torch.is_grad_enabled():
            rows = self.decoded(flat)
        else:
            rows = torch.cat([self.decoded(piece) for piece in flat.split(_PIECE)])
        return widen(rows.view(*ids.shape, self.width), self.table)
