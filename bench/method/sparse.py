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

from bench.budget import Budget
from bench.errors import Infeasible
from bench.method.precision import Storage
from bench.method.size import Arrays, size_of
from bench.method.storage import encoded

_U8 = torch.uint8


def _bits(top: int) -> int:
    """Bits that hold every whole number from 0 to `top`."""
    return max(1, int(top).bit_length())


def sparse_arrays(
    name: str,
    rows: int,
    columns: int,
    kept: int,
    free: bool = False,
    storage: Storage | None = None,
) -> Arrays:
    """Arrays that store `kept` entries of a rows x columns table in the cheapest code.

    With `free`, positions stay apart from values even where a dense table is smaller, because a
    budget in `values` counts the values alone. With `storage`, the cheapest is that of the file.
    """
    values = (torch.float32, (kept,))
    forms: list[dict[str, tuple[torch.dtype, tuple[int, ...]]]] = [
        {name: (torch.float32, (rows, columns))},
        {name: values, f"{name}.mask": (_U8, (ceil(rows * columns / 8),))},
        {
            name: values,
            f"{name}.counts": (_U8, (ceil(rows * _bits(columns) / 8),)),
            f"{name}.columns": (_U8, (ceil(kept * _bits(columns - 1) / 8),)),
        },
    ]
    # Normal levels have no zero for what a dense table leaves out.
    if kept < rows * columns and (free or (storage is not None and storage.levels == "normal")):
        forms = forms[1:]

    return min(forms, key=lambda form: size_of(_filed(name, form, storage)).bytes)


def _filed(name: str, form: Arrays, storage: Storage | None) -> Arrays:
    """A form as it stands in the file."""
    if storage is None:
        return form
    others = {key: array for key, array in form.items() if key != name}
    return {**others, **encoded(name, form[name][1], storage)}


def most_kept(
    name: str, rows: int, columns: int, budget: Budget, storage: Storage | None = None
) -> int:
    """The most entries of a rows x columns table that the budget can store.

    Under `values` accounting positions are free, as in the papers.

    Raises:
        Infeasible: the budget does not hold a single entry with its position.
    """
    if budget.accounting == "values":
        return min(budget.cap, rows * columns)

    def cost(kept: int) -> int:
        form = sparse_arrays(name, rows, columns, kept, storage=storage)
        return size_of(_filed(name, form, storage)).bytes

    if cost(1) > budget.cap:
        raise Infeasible(cost(1), "bytes", "positions of kept entries are stored too")
    if cost(rows * columns) <= budget.cap:
        return rows * columns
    # Below that the cost is the least of forms that grow, hence grows.
    low, high = 1, rows * columns - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if cost(middle) <= budget.cap else (low, middle - 1)
    return low


def _pack_bits(numbers: np.ndarray, width: int) -> np.ndarray:
    """Whole numbers as a bit stream, `width` bits each, most significant first."""
    shifts = np.arange(width - 1, -1, -1, dtype=np.int64)
    return np.packbits(((numbers[:, None] >> shifts) & 1).astype(np.uint8).ravel())


def _unpack_bits(stream: np.ndarray, width: int, count: int) -> np.ndarray:
    bits = np.unpackbits(stream, count=width * count).reshape(count, width)
    return bits @ (1 << np.arange(width - 1, -1, -1, dtype=np.int64))


def pack_sparse(
    name: str,
    table: Tensor,
    mask: Tensor,
    free: bool = False,
    storage: Storage | None = None,
) -> dict[str, Tensor]:
    """Stores the entries of `table` that `mask` keeps.

    Args:
        name: key of the values; the keys of their positions start with it.
        table: float32 [rows, columns].
        mask: bool [rows, columns].
        free: see `sparse_arrays`.
        storage: see `sparse_arrays`.

    Returns:
        Arrays for `unpack_sparse`, of the sizes that `sparse_arrays` promised.
    """
    rows, columns = table.shape
    kept = int(mask.sum())
    arrays = sparse_arrays(name, rows, columns, kept, free, storage)
    if len(arrays) == 1:
        return {name: torch.where(mask, table, 0.0).contiguous()}
    flags = mask.cpu().numpy()
    packed = {name: table[mask].contiguous()}
    if f"{name}.mask" in arrays:
        packed[f"{name}.mask"] = torch.from_numpy(np.packbits(flags.ravel()))
        return packed
    counts = flags.sum(axis=1, dtype=np.int64)
    where = np.nonzero(flags)[1].astype(np.int64)
    packed[f"{name}.counts"] = torch.from_numpy(_pack_bits(counts, _bits(columns)))
    packed[f"{name}.columns"] = torch.from_numpy(_pack_bits(where, _bits(columns - 1)))
    return packed


def unpack_sparse(
    packed: Mapping[str, Tensor], name: str, rows: int, columns: int
) -> tuple[Tensor, Tensor]:
    """Rebuilds (table float32 [rows, columns], mask bool [rows, columns]) from `pack_sparse`."""
    values = packed[name]
    if values.dim() == 2:
        return values, torch.ones_like(values, dtype=torch.bool)
    if f"{name}.mask" in packed:
        bits = np.unpackbits(packed[f"{name}.mask"].cpu().numpy(), count=rows * columns)
        mask = torch.from_numpy(bits.reshape(rows, columns).astype(bool))
    else:
        counts = _unpack_bits(packed[f"{name}.counts"].cpu().numpy(), _bits(columns), rows)
        where = _unpack_bits(
            packed[f"{name}.columns"].cpu().numpy(), _bits(columns - 1), int(counts.sum())
        )
        flags = np.zeros((rows, columns), dtype=bool)
        flags[np.repeat(np.arange(rows), counts), where] = True
        mask = torch.from_numpy(flags)
    mask = mask.to(values.device)
    table = torch.zeros(rows, columns, dtype=values.dtype, device=values.device)
    table[mask] = values
    return table, mask
