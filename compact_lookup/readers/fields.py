"""What readers compute from a header: the parts of users and of items, and primes for hashes."""

from __future__ import annotations

from math import isqrt

import numpy as np

from compact_lookup.container import File
from compact_lookup.values import Index

_MOST = 2**32  # ids of a table


def parts(file: File, joint: bool) -> tuple[int, ...]:
    """Numbers of ids that share rows: all, or users and items apart."""
    return (file.ids,) if joint else (file.users, file.items)


def locate(file: File, joint: bool, ids: Index) -> tuple[Index, Index]:
    """The part that each id is in, 0 or 1, and its number there."""
    part = np.zeros_like(ids) if joint else (ids >= file.users).astype(np.int64)
    return part, ids - part * file.users


def divide(count: int, share: float | None, most: tuple[int, int]) -> tuple[int, int]:
    """How many of `count` rows are users' and items', of which there are `most`."""
    users = round(count * (most[0] / sum(most) if share is None else share))
    users = max(max(1, count - most[1]), min(users, min(count - 1, most[0])))
    return users, count - users


def least_prime(least: int) -> int:
    """The first prime number from `least` on; at least 2.

    Raises:
        ValueError: no table has so many ids, and the search would take hours.
    """
    if least > _MOST:
        raise ValueError(f"{least} ids")
    prime = max(2, least)
    while any(prime % divisor == 0 for divisor in range(2, isqrt(prime) + 1)):
        prime += 1
    return prime
