"""Storing a pruned table: the values that are left, and the cheapest code for where they are.

Three codes are exact and simple; the smallest is taken (their costs cross near densities of 6 %
and 50 % at 64 columns):
  dense   the table as it is (where zero is no level of rounded values: only if all is kept);
  bitmap  one bit an entry;
  rows    how many entries each row keeps, then their columns, each in as few bits as will hold it
          (row-count coding; with one int per entry CSR would double the size of a sparse table).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

import numpy as np
import torch
from torch import Tensor

from bench.method.index_map import bits_for, pack_numbers, unpack_numbers
from bench.method.precision import Storage
from bench.method.size import Arrays, size_of
from bench.method.storage import encoded

_U8 = torch.uint8


def sparse_arrays(
    name: str,
    rows: int,
    columns: int,
    kept: int,
    free: bool = False,
    storage: Storage | None = None,
    header: str = "",
    users: int | None = None,
) -> Arrays:
    """Arrays that store `kept` entries of a rows x columns table in the cheapest code.

    With `free`, positions stay apart from values even where a dense table is smaller, because a
    budget in `values` counts the values alone. With `storage`, the cheapest is that of the file.
    `header` is the text in the header of the file, `users` the number of rows that are users',
    where scales ask for it.
    """
    values = (torch.float32, (kept,))
    forms: list[dict[str, tuple[torch.dtype, tuple[int, ...]]]] = [
        {name: (torch.float32, (rows, columns))},
        {name: values, f"{name}.mask": (_U8, (ceil(rows * columns / 8),))},
        {
            name: values,
            f"{name}.counts": (_U8, (ceil(rows * bits_for(columns) / 8),)),
            f"{name}.columns": (_U8, (ceil(kept * bits_for(columns - 1) / 8),)),
        },
    ]
    # Normal levels have no zero for what a dense table leaves out.
    if kept < rows * columns and (free or (storage is not None and storage.levels == "normal")):
        forms = forms[1:]

    def filed(form: Arrays) -> Arrays:
        """A form as it stands in the file."""
        if storage is None:
            return form
        others = {key: array for key, array in form.items() if key != name}
        return {**others, **encoded(name, form[name][1], storage, users, rows)}

    return min(forms, key=lambda form: size_of(filed(form), header).bytes)


def pack_sparse(
    name: str,
    table: Tensor,
    mask: Tensor,
    free: bool = False,
    storage: Storage | None = None,
    header: str = "",
    users: int | None = None,
) -> dict[str, Tensor]:
    """Store the entries of `table` that `mask` keeps.

    Args:
        name: key of the values; the keys of their positions start with it.
        table: float32 [rows, columns].
        mask: bool [rows, columns].
        free: see `sparse_arrays`.
        storage: see `sparse_arrays`.
        header: see `sparse_arrays`.
        users: see `sparse_arrays`.

    Returns:
        Arrays for `unpack_sparse`, of the sizes that `sparse_arrays` promised.
    """
    rows, columns = table.shape
    kept = int(mask.sum())
    arrays = sparse_arrays(name, rows, columns, kept, free, storage, header, users)
    if len(arrays) == 1:
        return {name: torch.where(mask, table, 0.0).contiguous()}
    flags = mask.cpu().numpy()
    packed = {name: table[mask].contiguous()}
    if f"{name}.mask" in arrays:
        packed[f"{name}.mask"] = torch.from_numpy(np.packbits(flags.ravel()))
        return packed
    counts = flags.sum(axis=1, dtype=np.int64)
    where = np.nonzero(flags)[1].astype(np.int64)
    packed[f"{name}.counts"] = pack_numbers(torch.from_numpy(counts), bits_for(columns))
    packed[f"{name}.columns"] = pack_numbers(torch.from_numpy(where), bits_for(columns - 1))
    return packed


def unpack_mask(stream: Tensor, entries: int) -> np.ndarray | None:
    """The flags of a mask, bool [entries]; None if it has another length or bits to spare."""
    array = stream.cpu().numpy()
    if array.dtype != np.uint8 or array.shape != (ceil(entries / 8),):
        return None
    bits = np.unpackbits(array)
    return None if bits[entries:].any() else bits[:entries].astype(bool)


def unpack_counts(
    counts: Tensor, columns: Tensor, kept: int, rows: int, width: int
) -> np.ndarray | None:
    """The flags of row counts and columns, bool [rows, width]; None if they do not fit."""
    streams = counts.cpu().numpy(), columns.cpu().numpy()
    bits = bits_for(width), bits_for(width - 1)
    for stream, length in zip(streams, (rows * bits[0], kept * bits[1]), strict=True):
        if stream.dtype != np.uint8 or stream.shape != (ceil(length / 8),):
            return None
        if np.unpackbits(stream)[length:].any():
            return None
    each = unpack_numbers(counts, bits[0], rows).cpu().numpy()
    if int(each.sum()) != kept:
        return None
    where = unpack_numbers(columns, bits[1], kept).cpu().numpy()
    place = np.repeat(np.arange(rows), each) * width + where
    if (where >= width).any() or (np.diff(place) <= 0).any():
        return None
    flags = np.zeros(rows * width, dtype=bool)
    flags[place] = True
    return flags.reshape(rows, width)


def unpack_positions(
    packed: Mapping[str, Tensor], name: str, kept: int, rows: int, columns: int
) -> Tensor | None:
    """Which `kept` entries are stored: bool [rows, columns]; None if the table is as it was.

    Raises:
        ValueError: the positions do not fit that number.
    """
    if f"{name}.mask" in packed:
        stream = packed[f"{name}.mask"]
        flags = unpack_mask(stream, rows * columns)
    elif f"{name}.counts" in packed:
        stream, where = packed[f"{name}.counts"], packed[f"{name}.columns"]
        flags = unpack_counts(stream, where, kept, rows, columns)
    else:
        return None
    if flags is None or int(flags.sum()) != kept:
        raise ValueError(f"the positions of {name} do not fit its {kept:,} values")
    return torch.from_numpy(flags.reshape(rows, columns)).to(stream.device)


def unpack_sparse(
    packed: Mapping[str, Tensor], name: str, rows: int, columns: int
) -> tuple[Tensor, Tensor]:
    """Rebuild (table float32 [rows, columns], mask bool [rows, columns]) from `pack_sparse`.

    Raises:
        ValueError: the positions do not fit the values.
    """
    values = packed[name]
    mask = unpack_positions(packed, name, len(values), rows, columns)
    if mask is None:
        return values, torch.ones_like(values, dtype=torch.bool)
    table = torch.zeros(rows, columns, dtype=values.dtype, device=values.device)
    table[mask] = values
    return table, mask
