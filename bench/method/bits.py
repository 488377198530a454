"""Whole numbers of few bits as one stream of bytes."""

from __future__ import annotations

from math import ceil

import numpy as np


def pack_bits(codes: np.ndarray, bits: int) -> np.ndarray:
    """Whole numbers below 2^bits as one stream, least significant bits first: uint8."""
    codes = codes.astype(np.uint8)
    if bits == 8:
        return codes
    if bits == 4:
        if codes.size % 2:
            codes = np.append(codes, np.uint8(0))
        return codes[::2] | (codes[1::2] << 4)
    flags = (codes[:, None] >> np.arange(bits, dtype=np.uint8)) & 1
    return np.packbits(flags.ravel(), bitorder="little")


def unpack_bits(stream: np.ndarray, bits: int, count: int) -> np.ndarray:
    """`count` whole numbers of a stream, int64.

    Raises:
        ValueError: the stream is too short.
    """
    if len(stream) < ceil(count * bits / 8):
        raise ValueError(f"{len(stream)} bytes hold no {count} codes of {bits} bits")
    if bits == 8:
        return stream[:count].astype(np.int64)
    if bits == 4:
        both = np.stack((stream & 15, stream >> 4), 1).ravel()
        return both[:count].astype(np.int64)
    flags = np.unpackbits(stream, count=count * bits, bitorder="little").reshape(count, bits)
    return flags @ (1 << np.arange(bits))
