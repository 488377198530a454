"""Codes as they stand in a file: one stream of bits, without padding between codes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bench.method.bits import pack_bits, unpack_bits


def pack_codes(codes: Tensor, bits: int) -> Tensor:
    """Whole numbers below 2^bits: uint8 [*] -> uint8 [ceil(n bits / 8)]."""
    if codes.is_meta:
        return torch.empty(-(-codes.numel() * bits // 8), dtype=torch.uint8, device="meta")
    stream = pack_bits(codes.cpu().numpy().ravel(), bits)
    return torch.from_numpy(np.array(stream)).to(codes.device)


def unpack_codes(stream: Tensor, bits: int, shape: tuple[int, ...]) -> Tensor:
    """The codes that `pack_codes` has stored: uint8, of that shape.

    Raises:
        ValueError: the stream is too short.
    """
    count = int(np.prod(shape))
    codes = unpack_bits(stream.cpu().numpy(), bits, count).astype(np.uint8)
    return torch.from_numpy(codes).to(stream.device).view(shape)
