"""What the bytes of a row's artefact are."""

from __future__ import annotations

from bench.board import Entry

ARRAY_KINDS = ("values", "indices", "mask", "codes", "scales")


def spending(entry: Entry) -> dict[str, int]:
    """Return the bytes of a row's artefact by kind, the container's header as "header"."""
    size = entry.row.first.size
    assert size is not None  # a row has good runs only
    found = dict.fromkeys((*ARRAY_KINDS, "header"), 0)
    for array in size.arrays.values():
        found[array.kind] += array.bytes
    found["header"] = size.bytes - sum(found.values())
    return found
