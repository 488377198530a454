"""The vectors in a checkpoint of RecBole's trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from bench.errors import DataError

_ENDINGS = {"users": "user_embedding.weight", "items": "item_embedding.weight"}
_OTHERWISE = "save the two tables with numpy.savez(FILE, users=..., items=...)"


def read_tables(path: Path) -> dict[str, NDArray[Any]]:
    """Read the tables of users and of items from a checkpoint.

    Nothing in the file is executed, so that only checkpoints that hold tensors, numbers and text
    can be read, as those that are written inside `compatible`. Row 0 of each table is RecBole's
    padding.

    Returns:
        `users` and `items`, float [rows, columns].

    Raises:
        DataError: the file cannot be read so, or its model has no such tables.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    except Exception as error:  # PyTorch raises several kinds, some of them of the form's reader
        why = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(
            f"{path}: no checkpoint that can be read without executing its content ({why});"
            f" train inside `bench.recbole.compatible()`, or {_OTHERWISE}"
        ) from None
    found = {
        side: [name for name in state if name.endswith(ending)] for side, ending in _ENDINGS.items()
    }
    if any(len(names) != 1 for names in found.values()):
        raise DataError(f"{path}: needs one table of users and one of items; {_OTHERWISE}")
    return {side: state[names[0]].float().numpy() for side, names in found.items()}
