"""What a packed state costs: values, and bytes of the file that holds it.

The stored file is in safetensors format: an 8-byte length, a JSON header that names every array,
the arrays. The header also has the text of `bench.method.header`. The size follows from this text
and from names, dtypes and shapes alone, so a method can be sized before anything is built, to the
byte.

Every number of the file counts as a value, integers too. Only positions are free under `values`
accounting: masks of pruned tables, and maps from ids to rows. `bench.method.declared` checks them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from math import ceil, prod
from typing import Literal

import torch
from torch import Tensor

from bench.budget import Budget
from bench.errors import Infeasible

# dtype -> safetensors' name, bytes an element. A packed state may hold these and no others. They
# stand in the order in which safetensors lays arrays out: the digits of the offsets count.
DTYPES: dict[torch.dtype, tuple[str, int]] = {
    torch.int64: ("I64", 8),
    torch.float32: ("F32", 4),
    torch.int32: ("I32", 4),
    torch.float16: ("F16", 2),
    torch.int16: ("I16", 2),
    torch.int8: ("I8", 1),
    torch.uint8: ("U8", 1),
}
Array = tuple[torch.dtype, tuple[int, ...]]
Arrays = Mapping[str, Array]
ArrayKind = Literal["values", "codes", "scales", "mask", "indices"]
"""What an array of a file holds; `mask`: which entries of a table are kept, in whatever form;
`indices`: the row number of each id."""
FREE: tuple[ArrayKind, ...] = ("mask", "indices")
"""Kinds that `values` accounting does not count."""
METADATA = "bench"
"""Key of our text in the metadata of a safetensors file."""


def f32(*shape: int) -> Array:
    """A float32 array of that shape, for `arrays`."""
    return torch.float32, shape


@dataclass(frozen=True)
class Size:
    """Size of a packed state.

    Attributes:
        values: stored numbers without positions (the papers' parameter count).
        bytes: bytes of the stored file, container included.
    """

    values: int
    bytes: int

    def within(self, budget: Budget) -> bool:
        """Whether the budget's cap holds."""
        return self.of(budget) <= budget.cap

    def of(self, budget: Budget) -> int:
        """The quantity that the budget binds."""
        return self.bytes if budget.accounting == "bytes" else self.values


def describe(packed: Mapping[str, Tensor]) -> dict[str, Array]:
    """Dtypes and shapes of a packed state.

    Raises:
        TypeError: an array is of a type that artefacts may not hold.
    """
    for name, tensor in packed.items():
        if tensor.dtype not in DTYPES:
            allowed = ", ".join(str(d).removeprefix("torch.") for d in DTYPES)
            raise TypeError(f"packed array {name!r} is {tensor.dtype}; use one of {allowed}")
    return {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in packed.items()}


def size_of(arrays: Arrays, text: str = "", free: Collection[str] = ()) -> Size:
    """Size of a packed state with these arrays, to the byte of the stored file.

    Args:
        arrays: dtypes and shapes.
        text: what the header has besides; "" for a file without it.
        free: names of the arrays that hold positions.
    """
    values = payload = 0
    header: dict[str, object] = {"__metadata__": {METADATA: text}} if text else {}
    order = list(DTYPES)
    for name, (dtype, shape) in sorted(arrays.items(), key=lambda a: (order.index(a[1][0]), a[0])):
        code, width = DTYPES[dtype]
        end = payload + prod(shape) * width
        header[name] = {"dtype": code, "shape": list(shape), "data_offsets": [payload, end]}
        payload = end
        if name not in free:
            # A wide integer has room for several values of 4 bytes.
            values += prod(shape) * (1 if dtype.is_floating_point else max(1, width // 4))
    length = len(json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode())
    return Size(values, 8 + ceil(length / 8) * 8 + payload)


def largest(size: Callable[[int], Size], budget: Budget, low: int = 1, high: int = 2**40) -> int:
    """The largest size knob in `low..high` whose packed state fits the budget.

    Args:
        size: of the file for a value of the knob; it must not fall as the knob grows.
        budget: the cap.
        low: the least useful value.
        high: the most useful value (a larger table than one row an id is a waste).

    Raises:
        Infeasible: not even `low` fits.
    """
    if not (least := size(low)).within(budget):
        raise Infeasible(least.of(budget), budget.accounting)
    # Doubling first: the arithmetic on a knob of 2**40 would be as exact, but a method may build
    # lists as long as the knob.
    step = 1
    while low + step <= high and size(low + step).within(budget):
        low += step
        step *= 2
    while step:
        if low + step <= high and size(low + step).within(budget):
            low += step
        step //= 2
    return low
