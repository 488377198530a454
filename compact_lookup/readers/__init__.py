"""How the rows of each method are made from its file: one small module for each family.

A reader takes a `File`, checks what it needs of it, and returns a function from ids, int64 [n], to
rows, float32 [n, columns]. A module lists its readers by the names of their methods in `METHODS`.
"""

from __future__ import annotations

from collections.abc import Callable

from compact_lookup.container import File
from compact_lookup.readers import clustered, coded, dense, hashed, network, sparse, train, uneven
from compact_lookup.values import Index, Rows

Lookup = Callable[[Index], Rows]
Reader = Callable[[File], Lookup]

READERS: dict[str, Reader] = {
    name: reader
    for family in (clustered, coded, dense, hashed, network, sparse, train, uneven)
    for name, reader in family.METHODS.items()
}
