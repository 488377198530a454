"""The file of a table: its arrays, and what its header says."""

from __future__ import annotations

import json
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

KEY = "bench"
_MOST_COLUMNS = 2**16
_MOST_IDS = 2**40


class BadFile(ValueError):
    """A file is damaged, or is not what its name says."""


def read_arrays(path: str | PathLike[str]) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Arrays and metadata of a safetensors file.

    Raises:
        BadFile: it is damaged.
        OSError: it cannot be read.
    """
    with open(path, "rb"):  # noqa: PTH123 - a missing file is reported as such
        pass
    try:
        with safe_open(path, framework="np") as stored:
            arrays = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
            return arrays, stored.metadata() or {}
    except Exception as error:  # safetensors raises several kinds
        raise BadFile(f"{path}: not a whole safetensors file ({error}); export it again") from None


class File:
    """A file that was read.

    Attributes:
        header: what the file says of itself.
        method: name of the method that made it.
        config: the settings of the method.
        users, items: users are the ids 0 to users - 1, items follow.
        columns: columns of a row that are stored; further columns would be zero.
        arrays: by name.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = path
        self.arrays, metadata = read_arrays(path)
        try:
            self.header: dict[str, Any] = json.loads(metadata[KEY])
            method, shape = self.header["method"], self.header["table"]
            self.method, self.config = str(method["name"]), dict(method["config"])
            self.users, self.items = (self.whole(shape[k], _MOST_IDS) for k in ("users", "items"))
            width = self.config.get("width") or shape["dim"]
            self.columns = self.whole(width, _MOST_COLUMNS)
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise self.bad(f"its header is not that of an exported table ({error!r:.80})") from None

    @property
    def ids(self) -> int:
        """Number of users and items together."""
        return self.users + self.items

    def bad(self, what: str) -> BadFile:
        """An error for this file."""
        return BadFile(f"{self.path}: {what}")

    def whole(self, value: Any, most: int) -> int:
        """A whole number from 1 to `most`.

        Raises:
            BadFile: it is not one.
        """
        if not isinstance(value, int) or not 1 <= value <= most:
            raise self.bad(f"{value!r:.40} in its header should be a number from 1 to {most}")
        return int(value)

    def array(self, name: str, dtype: Any, shape: tuple[int, ...]) -> NDArray[Any]:
        """An array of a known type and shape.

        Raises:
            BadFile: it is missing, or of another type or shape.
        """
        found = self.arrays.get(name)
        if found is None:
            raise self.bad(f"the array {name!r} is missing")
        if found.dtype != dtype or found.shape != shape:
            wanted = f"{np.dtype(dtype)}{list(shape)}"
            raise self.bad(f"{name!r} is {found.dtype}{list(found.shape)}, not {wanted}")
        return found
