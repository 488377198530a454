"""Rows and look-up speed of a method that was read back from its file."""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import Tensor

from bench.method import Method, Table


class BrokenContract(RuntimeError):
    """A method returned what the interface does not allow."""


@torch.no_grad()
def look_up(deployed: Method, table: Table, device: str) -> Tensor:
    """Look up the rows of all ids and check them: float32 [N, dim], or wider.

    Raises:
        BrokenContract: they have the wrong shape or type, or are not finite.
    """
    rows = deployed(torch.arange(table.ids, device=device))
    check_rows(rows, (table.ids, max(table.dim, deployed.width)))
    return rows


def check_rows(rows: Tensor, shape: tuple[int, int]) -> None:
    """Check the rows of all ids.

    Raises:
        BrokenContract: they have the wrong shape or type, or are not finite.
    """
    if rows.shape != shape or rows.dtype != torch.float32:
        raise BrokenContract(
            f"rows of all ids are {rows.dtype} {tuple(rows.shape)}, not torch.float32 {shape}"
        )
    if not bool(rows.isfinite().all()):
        raise BrokenContract("rows hold values that are not finite")


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
