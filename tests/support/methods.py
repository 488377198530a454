"""Small methods for hand-computed cases."""

from __future__ import annotations

import torch

from bench.method import Method, Table
from bench.method.registry import get_method


def make(name: str, table: Table, **knobs) -> Method:
    """A method with these knobs and its initial weights."""
    kind = get_method(name)
    method = kind(table, kind.Config(**knobs))
    method.reset(torch.Generator().manual_seed(0))
    return method


def rows(method: Method) -> torch.Tensor:
    """Rows of all ids."""
    with torch.no_grad():
        return method(torch.arange(method.table.ids))
