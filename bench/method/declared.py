"""Checks of what a method declares about the integers of its file.

Budgets of values count every number but positions: row numbers of ids, and which entries of a
pruned table are kept. A method declares such arrays (`index_maps`, `pruned_tables`). What is
declared has to have the form of positions, so that no values can be stored as such.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from bench.method.index_map import bits_for, stream_bytes, unpack_numbers
from bench.method.sparse import unpack_counts, unpack_mask
from bench.method.table import Table

if TYPE_CHECKING:
    from bench.method.stored import Stored


_MOST_MAPS = 16  # entries an id


class WrongDeclaration(RuntimeError):
    """An array is not what its method declares it to be."""


def check_declared(
    kind: type[Stored], packed: Mapping[str, Tensor], table: Table, config: Any
) -> None:
    """Check the declared arrays of a file.

    Args:
        kind: the method.
        packed: the arrays of the file, with values decoded.
        table: the shape of the table.
        config: the knobs.

    Raises:
        WrongDeclaration: one has another form; one line with the array and the remedy.
    """
    masks = {"mask", "counts", "columns"}
    pruned, streams = kind.pruned_tables(table, config), kind.packed_maps(table, config)
    for name, tensor in packed.items():
        if tensor.dtype.is_floating_point:
            continue
        what = kind.kind_of(name, tensor.dtype)
        if what == "indices" and name in streams:
            _packed_map(name, tensor, *streams[name], packed, table)
        elif what == "indices":
            _index_map(name, tensor, packed, table)
        elif what == "mask":
            base, _, part = name.rpartition(".")
            if base not in pruned or base not in packed or part not in masks:
                raise WrongDeclaration(
                    f"{name} is declared as positions, but of no table in `pruned_tables`; only"
                    " x.mask, or x.counts and x.columns, are positions of the entries of x"
                )
    for base, shape in pruned.items():
        if base in packed and packed[base].dim() == 1:
            _positions(base, packed, shape, table)


def _index_map(name: str, tensor: Tensor, packed: Mapping[str, Tensor], table: Table) -> None:
    allowed = (table.ids, table.users, table.items)
    if tensor.dim() != 1 or len(tensor) not in allowed:
        raise WrongDeclaration(
            f"{name} is declared as an index map and has the shape {list(tensor.shape)}; a map has"
            f" one entry for each of {table.ids:,} ids, {table.users:,} users or"
            f" {table.items:,} items"
        )
    rows = _longest(packed)
    if len(tensor) and not 0 <= int(tensor.min()) <= int(tensor.max()) < rows:
        raise WrongDeclaration(
            f"{name} is declared as an index map, but holds {int(tensor.min()):,} to"
            f" {int(tensor.max()):,} where the longest table has {rows:,} rows; values that are no"
            " row numbers count"
        )


def _longest(packed: Mapping[str, Tensor]) -> int:
    """Rows of the longest table."""
    return max((len(t) for t in packed.values() if t.is_floating_point() and t.dim()), default=0)


def _packed_map(
    name: str,
    tensor: Tensor,
    entries: int,
    rows: int,
    packed: Mapping[str, Tensor],
    table: Table,
) -> None:
    longest, bits = _longest(packed), bits_for(rows - 1)
    if not 0 <= entries <= _MOST_MAPS * table.ids or not 0 < rows <= max(2, longest):
        raise WrongDeclaration(
            f"`packed_maps` gives {name} {entries:,} entries and {rows:,} rows; a map has at most"
            f" {_MOST_MAPS} entries an id, and the longest table has {longest:,} rows"
        )
    size = stream_bytes(entries, bits)
    if tensor.dtype != torch.uint8 or len(tensor) != size:
        raise WrongDeclaration(
            f"{name} has {len(tensor):,} bytes; {entries:,} entries of {bits} bits take {size:,}"
        )
    if entries and int(unpack_numbers(tensor, bits, entries).max()) >= rows:
        raise WrongDeclaration(f"{name} names rows beyond the {rows:,} that `packed_maps` gives")


def _positions(
    base: str, packed: Mapping[str, Tensor], shape: tuple[int, int], table: Table
) -> None:
    rows, columns = shape
    most = max(table.most_columns, table.dim)
    if not 0 < rows <= 2 * table.ids or not 0 < columns <= most:
        raise WrongDeclaration(
            f"`pruned_tables` gives {base} {rows:,} x {columns:,} entries; at most two rows an id"
            f" and {most:,} columns can be pruned"
        )
    kept, mask = packed[base].numel(), packed.get(f"{base}.mask")
    counts, where = packed.get(f"{base}.counts"), packed.get(f"{base}.columns")
    if mask is not None:
        bits = unpack_mask(mask, rows * columns)
        sound = bits is not None and int(bits.sum()) == kept
    elif counts is not None and where is not None:
        found = unpack_counts(counts, where, kept, rows, columns)
        sound = found is not None
    else:
        sound = False
    if not sound:
        raise WrongDeclaration(
            f"the positions of {base} do not fit: {kept:,} values are stored of a table of"
            f" {rows:,} x {columns:,} entries, and the mask, or the counts and columns, must name"
            " exactly as many entries, without bits to spare"
        )
