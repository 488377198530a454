"""Tables whose rows differ in width or precision, and rows that overlap in one array."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby, pairwise
from math import ceil

import numpy as np

from compact_lookup.container import File
from compact_lookup.readers.fields import divide, locate
from compact_lookup.readers.sparse import Numbers
from compact_lookup.values import Index, Rows, Values

_PRIME, _BLOCK = 2**31 - 1, 64


def prefixes(file: File) -> Callable[[Index], Rows]:
    """Frequent items have all columns, others the first ones."""
    config = file.config
    each = zip(config["widths"], config["sizes"], strict=True)
    items = [(sum(n for _, n in some), k) for k, some in groupby(each, key=lambda one: one[0])]
    tables, start = [], 0
    for number, (rows, columns) in enumerate([(file.users, file.columns), *items]):
        shape = file.whole(rows, file.ids), file.whole(columns, file.columns)
        users = rows if number == 0 else None
        tables.append((start, Values(file, f"parts.{number}.weight", shape, users)))
        start += rows
    if start != file.ids:
        raise file.bad(f"its buckets have {start} ids, not {file.ids}")

    def look_up(ids: Index) -> Rows:
        found = np.zeros((len(ids), file.columns), np.float32)
        for first, table in tables:
            here = np.flatnonzero((ids >= first) & (ids < first + table.rows))
            if len(here):
                found[here, : table.columns] = table(ids[here] - first)
        return found

    return look_up


def overlapping(file: File) -> Callable[[Index], Rows]:
    """Chunks that begin anywhere in one array."""
    config, joint = file.config, bool(file.config["joint"])
    blocks = file.whole(config["blocks"], file.ids * file.columns)
    table = Values(file, "stored", (blocks, _BLOCK))
    factor, step, shift = file.array("hash", np.int32, (3,)).astype(np.int64)
    # A chunk may be longer than a row.
    size = file.whole(config["chunk"] or file.columns, min(2**16, blocks * _BLOCK))
    chunks, spans = ceil(file.columns / size), (size - 1) // _BLOCK + 2
    sides = np.array([(0, blocks * _BLOCK)] * 2)
    if not joint:
        least = ceil(file.columns / _BLOCK)
        share = config.get("user_share") or file.users / file.ids
        share = min(max(share, least / blocks), 1 - least / blocks)
        users, items = divide(blocks, share, (blocks - least, blocks - least))
        sides = np.array([(0, users), (users, items)]) * _BLOCK

    def look_up(ids: Index) -> Rows:
        part, number = locate(file, joint, ids)
        first, values = sides[part].T[:, :, None]
        hashed = (number[:, None] * factor + np.arange(chunks) * step + shift) % _PRIME
        start = (first + hashed % (values - size + 1)).ravel()
        near = np.minimum(start[:, None] // _BLOCK + np.arange(spans), blocks - 1)
        decoded = table(near.ravel()).reshape(len(start), -1)
        place = (start % _BLOCK)[:, None] + np.arange(size)
        found = np.take_along_axis(decoded, place, axis=1)
        return found.reshape(len(ids), -1)[:, : file.columns]

    return look_up


def kept_rows(file: File) -> Callable[[Index], Rows]:
    """Some rows are dropped, and items may have fewer columns."""
    config, counts = file.config, (file.users, file.items)
    kept = divide(file.whole(config["kept"], file.ids), config.get("kept_user_share"), counts)
    narrow = max(1, round(file.columns * config["item_columns"]))
    users = Values(file, "users", (kept[0], file.columns), kept[0])
    items = Values(file, "items", (kept[1], file.whole(narrow, file.columns)))
    mask = file.array("rows", np.uint8, (ceil(file.ids / 8),))
    flags = np.unpackbits(mask, count=file.ids)
    place = np.cumsum(flags, dtype=np.int64) - 1
    if int(flags[: file.users].sum()) != kept[0] or int(flags.sum()) != sum(kept):
        raise file.bad("its mask keeps another number of rows than are stored")

    def look_up(ids: Index) -> Rows:
        found = np.zeros((len(ids), file.columns), np.float32)
        kept_here = flags[ids].astype(bool)
        for table, here, first in (
            (users, kept_here & (ids < file.users), 0),
            (items, kept_here & (ids >= file.users), kept[0]),
        ):
            found[here, : table.columns] = table(place[ids[here]] - first)
        return found

    return look_up


def grouped_bits(file: File) -> Callable[[Index], Rows]:
    """Groups of ids of similar frequency have a number of bits each."""
    config = file.config
    ends = [0]
    for base, count in ((0, file.users), (file.users, file.items)):
        groups = min(count, file.whole(config["groups"], 1024))
        ends += [base + count * group // groups for group in range(1, groups + 1)]
    capacity = file.whole(config["capacity"], 2**40)
    codes = file.array("codes", np.uint8, (capacity,))
    number = ceil((len(ends) - 1) * 3 / 8)
    bits = Numbers(file.array("group_bits", np.uint8, (number,)), 3)(np.arange(len(ends) - 1))
    steps, shift = (
        file.array(name, np.float32, (n,)) for name, n in (("steps", 7), ("shift", file.columns))
    )
    scale = file.array("scale", np.float32, (len(ends) - 1,))
    if int(bits.max()) > 6:
        raise file.bad("a group has more than 6 bits")
    streams, start = [], 0
    for (first, last), width in zip(pairwise(ends), bits.tolist(), strict=True):
        size = ceil((last - first) * file.columns * width / 8)
        streams.append(Numbers(codes[start : start + size], width) if width else None)
        start += size
    if start > capacity:
        raise file.bad("its codes end before those of the last group")
    edges = np.array(ends[1:])

    def look_up(ids: Index) -> Rows:
        found = np.zeros((len(ids), file.columns), np.float32)
        groups = np.searchsorted(edges, ids, side="right")
        for group in np.unique(groups).tolist():
            stream, width = streams[group], int(bits[group])
            if stream is None:
                continue
            here = np.flatnonzero(groups == group)
            place = (ids[here] - ends[group])[:, None] * file.columns + np.arange(file.columns)
            whole = (stream(place.ravel()) - 2 ** (width - 1)).astype(np.float32)
            levels = (whole.reshape(len(here), -1) + np.float32(0.5)) * steps[width] + shift
            found[here] = levels * scale[group]
        return found

    return look_up


METHODS = {
    "mixed": prefixes,
    "robe": overlapping,
    "optembed": kept_rows,
    "mpe": grouped_bits,
}
