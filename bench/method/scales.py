"""Scales of rows in the file: powers of two in 8 or 4 bits each.

`bench.method.storage` describes the bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor

from bench.method.bits import pack_bits, unpack_bits
from bench.method.precision import ScaleBits
from bench.method.rounding import STEPS, grid

_EXTREME = 0.002  # share of the smallest scales, and of the largest, that 4 bits need not hold


@dataclass(frozen=True)
class Window:
    """The scales that places 1 to `most` stand for: 2^((first + step place) / 16).

    Attributes:
        first: of place 0, which itself stands for a scale of 0.
        step: between neighbouring places.
        most: the highest place.
    """

    first: int
    step: int
    most: int

    @classmethod
    def of(cls, scale: Tensor, bits: ScaleBits) -> Window:
        """The window for scales that lie on the grid of `bench.method.rounding`, float32 [n]."""
        most = 2**bits - 1
        power = _power(scale[scale > 0]).sort().values
        if not len(power):
            return cls(-most, 1, most)
        if bits == 8:
            return cls(int(power[-1]) - most, 1, most)
        outside = int(_EXTREME * len(power))
        low, high = int(power[outside]), int(power[-1 - outside])
        step = min(255, max(1, ceil((high - low) / (most - 1))))
        return cls(low - step, step, most)

    def places(self, scale: Tensor) -> Tensor:
        """The place of each scale: float32 [*] -> float32 [*].

        Steps of 1 have room for all but the smallest scales, which become 0. With wider ones, what
        is outside goes to the nearest place.
        """
        place = ((_power(scale) - self.first) / self.step).round()
        least = 0 if self.most == 255 else 1
        return torch.where(scale > 0, place.clamp(least, self.most), torch.zeros_like(place))

    def snapped(self, scale: Tensor) -> Tensor:
        """The scales that the file gives back for these: float32 [*] -> float32 [*]."""
        return self.scales(self.places(scale))

    def scales(self, places: Tensor) -> Tensor:
        """What places stand for: [*] -> float32 [*]."""
        scale = grid(places.float() * self.step + self.first)
        return torch.where(places > 0, scale, torch.zeros_like(scale))


def _power(scale: Tensor) -> Tensor:
    return (scale.log2() * STEPS).round()


def pack_scales(scale: Tensor, bits: ScaleBits) -> tuple[Tensor, Tensor]:
    """What the file holds for scales on the grid, and the scales that it gives back.

    float32 [n] -> uint8 [`scales_size`], float32 [n, 1].
    """
    window = Window.of(scale, bits)
    places = window.places(scale).to(torch.uint8)
    head = [window.first & 255, (window.first >> 8) & 255]
    stream = places
    if bits == 4:
        head.append(window.step)
        stream = torch.from_numpy(pack_bits(places.cpu().numpy(), 4)).to(places.device)
    start = torch.tensor(head, dtype=torch.uint8, device=places.device)
    return torch.cat((start, stream)), window.scales(places).view(-1, 1)


def unpack_scales(stored: Tensor, count: int, bits: ScaleBits) -> Tensor:
    """The scales of `count` rows: uint8 [`scales_size`] -> float32 [count, 1]."""
    first = int(stored[0]) + 256 * int(stored[1])
    first -= 65536 * (first >= 32768)
    if bits == 8:
        return Window(first, 1, 255).scales(stored[2:]).view(-1, 1)
    places = torch.from_numpy(unpack_bits(stored[3:].cpu().numpy(), 4, count)).to(stored.device)
    return Window(first, int(stored[2]), 15).scales(places).view(-1, 1)


def scales_size(count: int, bits: ScaleBits) -> int:
    """Bytes of the scales of `count` rows."""
    return count + 2 if bits == 8 else ceil(count / 2) + 3
