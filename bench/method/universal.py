"""Universal hash functions, by which ids share the rows of a table."""

from __future__ import annotations

from math import isqrt

import torch
from torch import Tensor

_DRAWN_BELOW = 2**31 - 1


def least_prime(least: int) -> int:
    """The first prime number from `least` on; at least 2."""
    prime = max(2, least)
    while any(prime % divisor == 0 for divisor in range(2, isqrt(prime) + 1)):
        prime += 1
    return prime


def draw_hashes(count: int, generator: torch.Generator) -> Tensor:
    """Two numbers for each hash function, from 1 to 2**31 - 2, which fit in int32: [count, 2]."""
    return torch.randint(1, _DRAWN_BELOW, (count, 2), generator=generator)


def hashed(numbers: Tensor, drawn: Tensor, prime: int | Tensor, rows: int | Tensor) -> Tensor:
    """Hash numbers to rows: ((a x + c) mod p) mod M.

    This is universal for numbers below p (Carter & Wegman, 1979). A prime that is much larger than
    all numbers makes it uneven for consecutive ones: most rows may stay unused, depending on a.
    With the least possible p, a x + c takes each value below p once, so that each row has p / M
    numbers, rounded down or up.

    Args:
        numbers: int64 [*], from 0.
        drawn: integers [hashes, 2], from `draw_hashes`: a is 1 + first mod (p - 1), c second mod p.
        prime: p, `least_prime` of how many numbers there are; one, or one for each number.
        rows: M, one or one for each number.

    Returns:
        int64 [*, hashes].
    """
    prime, rows = (one.unsqueeze(-1) if isinstance(one, Tensor) else one for one in (prime, rows))
    factor, shift = drawn.long().unbind(1)
    return (numbers.unsqueeze(-1) * (1 + factor % (prime - 1)) + shift % prime) % prime % rows
