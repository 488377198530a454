"""Files: writing them so that none is ever half there, and reading TOML into checked models."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, get_args, get_origin

from filelock import AcquireReturnProxy, FileLock, Timeout
from pydantic import BaseModel, ValidationError

from bench.errors import SpecError, StoreError, did_you_mean
from bench.processes import current_process

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

M = TypeVar("M", bound=BaseModel)
NONE = "none"
"""TOML has no null: this text stands for it in settings."""
PYTHON_FLOAT = re.compile(r"[+-]?(\d+\.|\.\d+)([eE][+-]?\d+)?")
"""Numbers that Python and C take and TOML does not."""


def write_atomic(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file so that other processes, and a kill, see the old one or the new one.

    The temporary file names its writer, so that what a kill leaves is known as such: see
    `Store.sweep`.

    Raises:
        StoreError: the disk is full or the folder cannot be written; nothing is left behind.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(
            dir=path.parent, prefix=f".{current_process()}.", suffix=".tmp"
        )
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


def take_lock(path: Path, wait: bool = True) -> AcquireReturnProxy:
    """Take a lock that one process at a time has; leaving its `with` releases it.

    The kernel releases the lock of a process that dies.

    Args:
        path: the lock's file; its folder is made.
        wait: until the process that has the lock releases it.

    Raises:
        Timeout: another process has it, and the caller does not wait.
        StoreError: the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(path).acquire(timeout=None if wait else 0)
    except Timeout:
        raise
    except OSError as error:
        raise StoreError(path, error) from error


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        SpecError: naming the file and what is wrong with it.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SpecError(f"{path}: cannot be read as TOML: {error}") from error


def parse_value(text: str) -> Any:
    """A TOML value such as `0.01` or `["a"]`, or what Python writes: `.5`, `1.`, `True`.

    Text that is none of these stands for itself.
    """
    if text in ("True", "False"):
        return text == "True"
    if PYTHON_FLOAT.fullmatch(text):
        return float(text)
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def check_model(model: type[M], content: object, source: str, hint: str, under: str = "") -> M:
    """Plain data as a model.

    Args:
        model: what it has to be.
        content: the data.
        source: where they come from; the message starts with it.
        hint: where the known keys are listed; said of an unknown key.
        under: what the data are part of, with a dot at its end; goes before the key.

    Raises:
        SpecError: one line that names the source, the key, and the remedy.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
    key = under + ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        close = did_you_mean(str(first["loc"][-1]), _keys(model, first["loc"][:-1]))
        question = close.partition("? ")[0] + "? " if "? " in close else ""
        raise SpecError(f"{source}: {key}: is not a known key; {question}{hint}")
    given = "" if first["type"] == "missing" else f" (got {first['input']!r})"
    # A rule about several keys has no key of its own.
    key, said = key.rstrip("."), first["msg"].removeprefix("Value error, ")
    raise SpecError(f"{source}: " + (f"{key}: " if key else "") + f"{said}{given}")


def _keys(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Keys of the part of a model that a path leads to; none where it leads out of models."""
    for part in path:
        if isinstance(part, int):
            continue  # of a list, whose elements the field before names
        field = model.model_fields.get(part)
        kinds = (field.annotation, *get_args(field.annotation)) if field else ()
        classes = [k for k in kinds if isinstance(k, type) and not get_origin(k)]  # no `dict[...]`
        inner = [k for k in classes if issubclass(k, BaseModel)]
        if not inner:
            return []
        model = inner[0]
    return list(model.model_fields)
