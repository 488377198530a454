"""Writing files so that none is ever half there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from bench.errors import StoreError
from bench.processes import myself


def write_atomic(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Writes a file so that other processes, and a kill, see the old one or the new one.

    The temporary file names its writer, so that what a kill leaves is known as such: see
    `Store.sweep`.

    Raises:
        StoreError: the disk is full or the folder cannot be written; nothing is left behind.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{myself()}.", suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as stream:
                write(stream)
                stream.flush()
                os.fsync(stream.fileno())
            Path(temporary).chmod(0o644)
            os.replace(temporary, path)  # noqa: PTH105
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StoreError(path, error) from error
