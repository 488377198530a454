"""Whole numbers in a file: a stream of as many bits each as the largest one takes."""

from __future__ import annotations

from math import ceil

import numpy as np
import torch
from torch import Tensor


def bits_for(top: int) -> int:
    """Bits that hold every whole number from 0 to `top`; 1 at least."""
    return max(1, int(top).bit_length())


def stream_bytes(count: int, bits: int) -> int:
    """Bytes of a stream of `count` numbers."""
    return ceil(count * bits / 8)


def pack_numbers(numbers: Tensor, bits: int, first: int = 0) -> Tensor:
    """Whole numbers as one stream, most significant bits first: [*] -> uint8 [n].

    Args:
        numbers: from `first` to `first` + 2^bits - 1.
        bits: of each.
        first: what is subtracted from each.
    """
    if numbers.is_meta:  # of a method that is sized, not trained
        return torch.empty(stream_bytes(numbers.numel(), bits), dtype=torch.uint8, device="meta")
    values = numbers.reshape(-1).cpu().numpy().astype(np.int64) - first
    shifts = np.arange(bits - 1, -1, -1, dtype=np.int64)
    flags = ((values[:, None] >> shifts) & 1).astype(np.uint8)
    return torch.from_numpy(np.packbits(flags.ravel())).to(numbers.device)


def unpack_numbers(stream: Tensor, bits: int, count: int) -> Tensor:
    """The numbers of a stream: uint8 [n] -> int64 [count].

    Raises:
        ValueError: the stream is too short.
    """
    if len(stream) < stream_bytes(count, bits):
        raise ValueError(f"{len(stream)} bytes hold no {count} numbers of {bits} bits")
    flags = np.unpackbits(stream.cpu().numpy(), count=bits * count).reshape(count, bits)
    values = flags @ (1 << np.arange(bits - 1, -1, -1, dtype=np.int64))
    return torch.from_numpy(values).to(stream.device)
