"""Lengths of rows in a byte each: a logarithm around their median, in steps of 2^(1/16).

A length is off by 2.2 % at most.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.method.rounding import STEPS, grid


def pack_lengths(lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Bytes and the median: float32 [n] -> uint8 [n], float32 [1].

    Lengths farther than a factor of 2^8 from the median are moved there.
    """
    middle = lengths.median().clamp(min=1e-30) if len(lengths) else lengths.new_ones(())
    power = ((lengths / middle).clamp(min=1e-9).log2() * STEPS).round()
    return (power.clamp(-128, 127) + 128).to(torch.uint8), middle.view(1)


def unpack_lengths(stored: Tensor, middle: Tensor) -> Tensor:
    """The lengths that bytes stand for: uint8 [*], float32 [1] -> float32 [*]."""
    return middle * grid(stored.float() - 128)
