"""From a trained method to what is deployed: its packed state, the state's size, rows and speed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from bench.budget import Budget
from bench.method import Method, Table
from bench.method.size import ArrayKind, Size, describe, size_of


class OverBudget(RuntimeError):
    """A packed state is larger than its budget."""


class BrokenContract(RuntimeError):
    """A method returned what the interface does not allow."""


@dataclass(frozen=True)
class Packed:
    """The packed state of a trained method.

    Attributes:
        arrays: by name, contiguous and on the CPU.
        content: the bytes of the safetensors file that holds them.
        values: numbers that carry what was learned, whatever their precision.
        kinds: what each array holds.
    """

    arrays: dict[str, Tensor]
    content: bytes
    values: int
    kinds: dict[str, ArrayKind]

    @property
    def size(self) -> Size:
        """Values and bytes, as a budget counts them."""
        return Size(self.values, len(self.content))

    def require(self, budget: Budget, name: str) -> None:
        """Check that the state fits a budget.

        Raises:
            OverBudget: it does not; the message gives the method's `name` and both sizes.
        """
        if not self.size.within(budget):
            raise OverBudget(
                f"{name} packs {self.size.of(budget):,} {budget.accounting}, more than its budget"
                f" of {budget.cap:,}"
            )


def pack(method: Method) -> Packed:
    """Pack a trained method and write the file that would be deployed, in memory."""
    arrays = {name: tensor.cpu().contiguous() for name, tensor in method.store().items()}
    values = size_of(describe(method.pack())).values
    return Packed(arrays, safetensors.torch.save(arrays), values, method.kinds())


def deploy(
    kind: type[Method], content: bytes, table: Table, config: Any, device: str = "cpu"
) -> Method:
    """Rebuild a method from the bytes of its file; only its shape and configuration are added."""
    return kind.restore(safetensors.torch.load(content), table.bare(), config).to(device)


@torch.no_grad()
def look_up(deployed: Method, table: Table, device: str) -> Tensor:
    """Look up the rows of all ids and check them: float32 [N, dim], or wider.

    Raises:
        BrokenContract: they have the wrong shape or type, or are not finite.
    """
    rows = deployed(torch.arange(table.ids, device=device))
    shape = table.ids, max(table.dim, deployed.width)
    if rows.shape != shape or rows.dtype != torch.float32:
        raise BrokenContract(
            f"rows of all ids are {rows.dtype} {tuple(rows.shape)}, not torch.float32 {shape}"
        )
    if not bool(rows.isfinite().all()):
        raise BrokenContract("rows hold values that are not finite")
    return rows


@torch.no_grad()
def lookup_speed(deployed: Method, table: Table) -> dict[str, float]:
    """Rows per second from the deployed state, in batches of 1 and 1,024 (median of 30 calls)."""
    generator = torch.Generator().manual_seed(0)
    speeds = {}
    device = next(iter(deployed.state_dict().values())).device
    for batch in (1, 1024):
        ids = torch.randint(table.ids, (30, batch), generator=generator).to(device)
        times = []
        for index in ids:
            began = time.perf_counter()
            deployed(index)
            if device.type == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - began)
        speeds[f"rows_per_s_{batch}"] = batch / float(np.median(times))
    return speeds
