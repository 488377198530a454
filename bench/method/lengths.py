"""Lengths of rows in a byte each: a logarithm around their median, in steps of 2^(1/16).

A length is off by 2.2 % at most.
"""

from __future__ import annotations

from typing import Any

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


def with_scale(config: Any) -> Any:
    """Knobs that agree on users' lengths, which the scale "item" would leave out.

    Args:
        config: knobs `user_lengths` and `scale`. Where the former is false it becomes None: a
            record has it only where it changes something.
    """
    if not config.user_lengths:
        return config.but(user_lengths=None)
    return config.but(scale="row") if config.scale == "item" else config
