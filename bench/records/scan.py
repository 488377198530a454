"""Reading run records: scan a results folder, check every record, list rejected files.

A record may come from another machine. It is valid if its fields are complete, its numbers are
finite and possible, its id is the hash of its spec, its path agrees with the spec, and its size is
within its budget. Every other file is returned with a reason.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from bench.records.schema import SCHEMA, Record, Size, digest

_ITEM_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1,
    "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4,
    "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip
_DEPTH = 3  # folders between a results folder and its records
_SLACK = 1e-9  # sums of floats in another order


@dataclass(frozen=True)
class Rejected:
    """A file that is not a valid record.

    Attributes:
        path: relative to the results folder, with forward slashes.
        reason: the error, in one line.
    """

    path: str
    reason: str


@dataclass(frozen=True)
class Scan:
    """Content of a results folder, ordered by path."""

    records: tuple[Record, ...]
    rejected: tuple[Rejected, ...]


class _WrongError(ValueError):
    """A record that contradicts itself."""


def scan(results: Path, *, history: bool = False) -> Scan:
    """Read every record below a results folder.

    Records lie three folders deep: split, backbone, method. A JSON file above that level is
    misplaced and rejected. Deeper files belong to another results folder inside this one, for
    example `local`. They are ignored, and so are `board.json` files and folders whose name starts
    with a dot.

    Args:
        results: the folder; one that does not exist is empty.
        history: keep the per-epoch history, which most readers do not need.

    Returns:
        The good records and the rejected files.
    """
    records: list[Record] = []
    rejected: list[Rejected] = []
    for path in _files(results):
        name = path.relative_to(results).as_posix()
        try:
            records.append(_read(path, name, history))
        except (_WrongError, OSError) as error:
            rejected.append(Rejected(name, str(error)))
    return Scan(tuple(records), tuple(rejected))


def read_record(results: Path, path: Path) -> Record:
    """Read one record of a results folder, without its learning curve.

    Raises:
        ValueError: the record is invalid; the message says why.
        OSError: the file cannot be read.
    """
    return _read(path, path.relative_to(results).as_posix(), history=False)


def _files(results: Path) -> Iterator[Path]:
    for folder, below, names in os.walk(results):
        deep = len(Path(folder).relative_to(results).parts) >= _DEPTH
        below[:] = [] if deep else sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            if name.endswith(".json") and not name.startswith(".") and name != "board.json":
                yield Path(folder) / name


def _read(path: Path, name: str, history: bool) -> Record:
    return check_record(_parse(path), name, history)


def check_record(raw: dict[str, Any], name: str, history: bool = True) -> Record:
    """Return the record of plain data.

    Args:
        raw: content of the file.
        name: path of the file, relative to the results folder, with forward slashes.
        history: keep the per-epoch history.

    Raises:
        ValueError: the record is invalid; the message says why.
    """
    if raw.get("schema") != SCHEMA:
        raise _WrongError(f"schema is {raw.get('schema')!r}; this version reads schema {SCHEMA}")
    given = raw | {"path": name} if history else raw | {"path": name, "history": ()}
    try:
        record = Record.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise _WrongError(f"{where}: {first['msg']} (found {first['input']!r:.60})") from error
    _check_identity(record, raw["spec"], name)
    if record.status == "ok":
        _check_numbers(record)
    return record


def _parse(path: Path) -> dict[str, Any]:
    def refuse(word: str) -> NoReturn:
        raise _WrongError(f"contains {word}, which is not a number")

    try:
        raw = json.loads(path.read_bytes(), parse_constant=refuse)
    except _WrongError:
        raise
    except (ValueError, RecursionError) as error:
        raise _WrongError(f"not valid JSON: {error}") from error
    if not isinstance(raw, dict):
        raise _WrongError("not a JSON object")
    return raw


def _check_identity(record: Record, spec: object, name: str) -> None:
    expected = digest(spec)
    if record.id != expected:
        raise _WrongError(f"id {record.id} is not the hash of its spec ({expected}): tampered with")
    place = f"{record.spec.dataset.split}/{record.spec.backbone.name}/{record.spec.method.name}"
    if name != f"{place}/{record.id}.json":
        raise _WrongError(f"belongs at {place}/{record.id}.json by its spec")
    if record.method.name != record.spec.method.name:
        raise _WrongError(
            f"method is {record.method.name!r}, its spec says {record.spec.method.name!r}"
        )
    shown, bound = record.budget, record.spec.budget
    if (shown is None) != (bound is None) or (
        shown is not None
        and bound is not None
        and (shown.cap, shown.accounting) != (bound.cap, bound.accounting)
    ):
        raise _WrongError("its budget is not the budget of its spec")


def _check_numbers(record: Record) -> None:
    size, metrics = record.size, record.metrics
    if size is None or metrics is None:
        raise _WrongError("status is ok but size or metrics are missing")
    if record.error is not None:
        raise _WrongError("status is ok but there is an error")
    for key in ("recall@20", "ndcg@20"):
        if key not in metrics.test:
            raise _WrongError(f"metrics.test has no {key}")
    _check_metrics(metrics.test, "test")
    if metrics.valid is not None:
        _check_metrics(metrics.valid, "valid")
    _check_size(size)
    budget = record.budget
    if budget is not None:
        achieved = size.bytes if budget.accounting == "bytes" else size.values
        if achieved > budget.cap:
            raise _WrongError(
                f"{achieved:,} {budget.accounting} exceed its budget of {budget.cap:,}"
            )


def _check_metrics(metrics: dict[str, float], split: str) -> None:
    # Recall@k divides hits by all test items of a user, so it cannot fall as k grows.
    cutoffs = sorted(int(key[7:]) for key in metrics if key[:7] == "recall@" and key[7:].isdigit())
    for low, high in pairwise(cutoffs):
        if metrics[f"recall@{low}"] > metrics[f"recall@{high}"] + _SLACK:
            raise _WrongError(f"metrics.{split}: recall@{low} is above recall@{high}, impossible")


def _check_size(size: Size) -> None:
    total = 0
    for name, array in size.arrays.items():
        width = _ITEM_BYTES.get(array.dtype)
        if width is None:
            raise _WrongError(f"size.arrays.{name}: unknown dtype {array.dtype!r}")
        count = 1
        for length in array.shape:
            count *= length
        if count * width != array.bytes:
            raise _WrongError(
                f"size.arrays.{name}: {array.bytes:,} bytes, its shape has {count * width:,}"
            )
        total += array.bytes
    if size.bytes < total:
        raise _WrongError(f"size.bytes {size.bytes:,} is below the {total:,} bytes of its arrays")
    if size.arrays and size.file_bytes != size.bytes:
        raise _WrongError(
            f"size.bytes {size.bytes:,} is not the {size.file_bytes:,} bytes of its file"
        )
