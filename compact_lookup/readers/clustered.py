"""Tables whose file maps each id to the row of its cluster."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

import numpy as np

from compact_lookup.container import File
from compact_lookup.readers.fields import divide, least_prime, locate
from compact_lookup.readers.sparse import Numbers
from compact_lookup.values import Index, Rows, Values


def _map(file: File, name: str, count: int, rows: int) -> Numbers:
    """Numbers of rows, below `rows`, one for each of `count` ids."""
    bits = max(1, (rows - 1).bit_length())
    return Numbers(file.array(name, np.uint8, (ceil(count * bits / 8),)), bits)


def clustered(file: File) -> Callable[[Index], Rows]:
    """The sum of a cluster's row and a hash row, in each chunk of the columns."""
    config, counts = file.config, (file.users, file.items)
    rows, chunks = file.whole(config["rows"], file.ids), file.whole(config["chunks"], 64)
    piece = -(-file.columns // chunks)
    table = Values(file, "stored.weight", (chunks * 2 * rows, piece))
    functions = file.array("functions", np.int32, (chunks, 2)).astype(np.int64)
    sides = divide(rows, config.get("user_share"), counts)
    primes = np.array([least_prime(n) for n in counts])
    maps = [
        _map(file, name, chunks * n, own)
        for name, n, own in zip(("user_map", "item_map"), counts, sides, strict=True)
    ]

    def look_up(ids: Index) -> Rows:
        part, number = locate(file, False, ids)
        found = np.empty((len(ids), chunks, piece), np.float32)
        prime, own = primes[part], np.array(sides)[part]
        for chunk, (factor, shift) in enumerate(functions):
            first = np.empty_like(ids)
            for side, (codes, count) in enumerate(zip(maps, counts, strict=True)):
                here = np.flatnonzero(part == side)
                first[here] = codes(number[here] + chunk * count) + side * sides[0]
            value = (number * (1 + factor % (prime - 1)) + shift % prime) % prime
            second = value % own + part * sides[0]
            start = 2 * rows * chunk
            found[:, chunk] = table(first + start) + table(second + rows + start)
        return found.reshape(len(ids), -1)[:, : file.columns]

    return look_up


def neighbours(file: File) -> Callable[[Index], Rows]:
    """Rows of their own for the first ids, rows of clusters for the others."""
    config, counts = file.config, (file.users, file.items)
    rows, head = file.whole(config["rows"], file.ids), config["head"]
    users = file.users if rows == file.ids else None
    table = Values(file, "stored.weight", (rows, file.columns), users)
    sides, start = [], 0
    own_rows = divide(rows, config.get("users"), counts)
    for name, count, own in zip(("user_map", "item_map"), counts, own_rows, strict=True):
        first = count if head and own >= count else int(head * own)
        codes = _map(file, name, count - first, max(1, own - first)) if count > first else None
        sides.append((start, first, codes))
        start += own

    def look_up(ids: Index) -> Rows:
        part, number = locate(file, False, ids)
        index = np.empty_like(ids)
        for side, (begin, first, codes) in enumerate(sides):
            here = np.flatnonzero(part == side)
            mine = number[here]
            rare = np.flatnonzero(mine >= first)
            if codes is not None and len(rare):
                mine[rare] = first + codes(mine[rare] - first)
            index[here] = begin + mine
        return table(index)

    return look_up


def words(file: File) -> Callable[[Index], Rows]:
    """A weighted sum of a cluster's row and a hash row of one codebook."""
    config = file.config
    count, weight = file.whole(config["words"], file.ids), config["weight"]
    users = file.users if count == file.ids else None
    table = Values(file, "stored.weight", (count, file.columns), users)
    functions, prime = file.array("functions", np.int32, (1, 2)), least_prime(file.ids)
    factor, shift = 1 + int(functions[0, 0]) % (prime - 1), int(functions[0, 1]) % prime
    codes = _map(file, "map", file.ids, count)

    def look_up(ids: Index) -> Rows:
        second = (ids * factor + shift) % prime % count
        return np.float32(weight) * table(codes(ids)) + np.float32(1 - weight) * table(second)

    return look_up


METHODS = {"cce": clustered, "graphhash": neighbours, "lerg": words}
