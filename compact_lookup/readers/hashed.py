"""Tables whose rows several ids share: hashing, and quotients with remainders."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

import numpy as np

from compact_lookup.container import File
from compact_lookup.readers.fields import divide, least_prime, locate, parts
from compact_lookup.values import Index, Rows, Values


def _shared(file: File, name: str, rows: int) -> Values:
    """A table of rows that ids share; where there is a row for each id, they have sides."""
    return Values(file, name, (rows, file.columns), file.users if rows == file.ids else None)


def hashing(file: File) -> Callable[[Index], Rows]:
    """Sums of rows at universal hashes; the first ids may have rows of their own."""
    config = file.config
    joint, head, hashes = bool(config["joint"]), config["head"], file.whole(config["hashes"], 64)
    rows = file.whole(config["rows"], file.ids)
    table = _shared(file, "stored.weight", rows)
    drawn = file.array("functions", np.int32, (hashes, 2)).astype(np.int64).T[:, :, None]
    sides = np.array([(0, rows)] * 2)
    if not joint:
        users, items = divide(rows, config.get("users"), (file.users, file.items))
        sides = np.array([(0, users), (users, items)])
    first, count = sides.T
    ids = np.array(parts(file, joint))[[0, -1]]
    private = np.array(
        [n if head and c >= n else int(head * c) for c, n in zip(count, ids, strict=True)]
    )
    primes = np.array([least_prime(n) for n in (ids - private).tolist()])
    factor, shift = 1 + drawn[0] % (primes - 1), drawn[1] % primes  # [hashes, sides]
    # Unsigned integers are divided faster.
    shared, divisors = np.maximum(1, count - private).astype(np.uint64), primes.astype(np.uint64)
    alone = np.float32(hashes**-0.5)

    def look_up(ids: Index) -> Rows:
        part, number = locate(file, joint, ids)
        rest = number - private.take(part)  # below 0 for ids with a row of their own
        value = (rest * factor.take(part, 1) + shift.take(part, 1)).view(np.uint64)
        hashed = value % divisors.take(part) % shared.take(part)
        index = hashed.view(np.int64) + (first + private).take(part)
        mine = number < private.take(part) if head else None
        if mine is not None:
            index = np.where(mine, first.take(part) + number, index)
        rows = table(index.ravel()).reshape(hashes, len(ids), -1)  # of all hashes at once
        total = rows[0]
        for found in rows[1:]:
            total = total + found
        return total if mine is None else total * np.where(mine, alone, np.float32(1))[:, None]

    return look_up


def quotients(file: File) -> Callable[[Index], Rows]:
    """A row at the quotient of an id and one at its remainder, multiplied or added."""
    config, joint = file.config, bool(file.config["joint"])
    first = file.whole(config["divisor"], file.ids)
    last = first if joint else file.whole(config.get("item_divisor") or first, file.ids)
    ids, divisors = parts(file, joint), (first,) if joint else (first, last)
    blocks = [ceil(n / c) for n, c in zip(ids, divisors, strict=True)]
    add = config["combine"] == "add"
    quotient = _shared(file, "quotient.weight", sum(blocks))
    remainder = _shared(file, "remainder.weight", sum(divisors))

    def look_up(ids: Index) -> Rows:
        part, number = locate(file, joint, ids)
        divisor = first + part * (last - first)
        one = quotient(number // divisor + part * blocks[0])
        other = remainder(number % divisor + part * first)
        return one + other if add else one * other

    return look_up


METHODS = {"hashing": hashing, "cafe": hashing, "qr": quotients}
