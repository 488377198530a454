"""The file of a trained method: writing it, and what is in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import safetensors.torch
from torch import Tensor

from bench.budget import Budget
from bench.method.base import Method
from bench.method.declared import check_declared
from bench.method.header import BadFile, Header, read_header
from bench.method.size import METADATA, ArrayKind, Size, describe, size_of
from bench.method.stored import decoded


class OverBudget(RuntimeError):
    """A file is larger than its budget."""


@dataclass(frozen=True)
class Packed:
    """What the file of a method holds.

    Attributes:
        header: what its header says.
        arrays: by name, on the CPU.
        values: its numbers without positions; a value counts once, whatever its precision.
        bytes: length of the file.
        kinds: what each array holds.
    """

    header: Header
    arrays: Mapping[str, Tensor]
    values: int
    bytes: int
    kinds: Mapping[str, ArrayKind]

    @property
    def size(self) -> Size:
        """Values and bytes, as a budget counts them."""
        return Size(self.values, self.bytes)

    def require(self, budget: Budget) -> None:
        """Check that the file fits a budget.

        Raises:
            OverBudget: it does not; the message gives both sizes.
        """
        if not self.size.within(budget):
            raise OverBudget(
                f"{self.header.method} stores {self.size.of(budget):,} {budget.accounting}, more"
                f" than its budget of {budget.cap:,}"
            )


def write_file(method: Method) -> bytes:
    """The content of the file of a trained method."""
    arrays = {name: tensor.cpu().contiguous() for name, tensor in method.store().items()}
    text = method.header(method.table, method.config)
    return safetensors.torch.save(arrays, {METADATA: text})


def read_file(
    kind: type[Method], content: bytes, budget: Budget | None = None
) -> tuple[Packed, Method]:
    """What a file holds, and the method that it gives, which can only look rows up.

    Nothing is used but the content of the file and the code of the method.

    Raises:
        OverBudget: it is larger than the budget.
        BadFile: it has no header, or that of another method.
        WrongDeclaration: an array is not what the method declares.
    """
    header = read_header(content)
    if header.method != kind.name:
        raise BadFile(f"the file is of {header.method}, not of {kind.name}")
    config: Any = kind.Config.model_validate(dict(header.config))
    table, arrays = header.table, safetensors.torch.load(content)
    packed = decoded(kind, arrays, table, config)
    check_declared(kind, packed, table, config)
    found = describe(packed)
    kinds: dict[str, ArrayKind] = {}
    for name, tensor in arrays.items():
        if name in packed:
            kinds[name] = kind.kind_of(name, tensor.dtype)
        else:
            kinds[name] = "scales" if name.endswith(".scale") else "codes"
    values = size_of(found, free=kind.free(found)).values
    file = Packed(header, arrays, values, len(content), kinds)
    if budget is not None:
        file.require(budget)
    method = kind.unpack(packed, table, config)
    method.round_no_more()
    return file, method
