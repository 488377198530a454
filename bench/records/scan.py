"""Reading run records: scan a results folder, believe nothing, name what cannot be used.

A record may come from another machine. It counts only when its shape is right, its numbers are
finite and possible, its id is the hash of its spec, it lies where the spec says, and its size is
within its budget. Everything else is returned with a reason.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, ValidationError

SCHEMA = 1
"""The schema number of the records that this version reads."""

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
# Names go into headings, table cells and file names: one line, no control characters.
Name = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,120}$")]
Seconds = Annotated[float, Field(ge=0.0)]

APART = frozenset({"backbones", "cosine", "local", "studies", "tune"})
"""Folders inside a results folder that are none of its boards: boards of their own (that of the
backbones suite is narrower and trained by BPR; those of a plain cosine are kept for comparison),
runs not to be published, runs that settings were chosen by, and trials."""

_ITEM_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1,
    "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4,
    "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip
_SLACK = 1e-9  # sums of floats in another order


class _Part(BaseModel):
    # Unknown fields are kept out rather than refused, so that a newer writer can add some.
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)


class DatasetSpec(_Part):
    """Which data, exactly."""

    name: Name
    split: Name
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class BackboneSpec(_Part):
    """What turns embeddings into scores."""

    name: Name
    config: dict[str, Any]


class MethodSpec(_Part):
    """The method with its resolved configuration."""

    name: Name
    revision: int
    config: dict[str, Any]


class BudgetSpec(_Part):
    """The hard cap of a run, in the unit of its accounting."""

    cap: Annotated[int, Field(gt=0)]
    accounting: Literal["bytes", "values"]


class Spec(_Part):
    """What is hashed into the id of a run."""

    schema_: Annotated[int, Field(alias="schema")]
    protocol: int
    dataset: DatasetSpec
    backbone: BackboneSpec
    dim: int | None
    method: MethodSpec
    budget: BudgetSpec | None
    training: dict[str, Any] | None
    seed: int


class Method(_Part):
    """How a method is named and which part it plays on a board."""

    name: Name
    title: Name
    paper: str | None = None
    role: Literal["ceiling", "control", "method", "reference", "ablation"]


class Budget(BudgetSpec):
    """The budget as it was asked for."""

    label: Name
    fraction: float | None = None


class Data(_Part):
    """Counts of the data and what a reader must know about them."""

    users: Count
    items: Count
    train: Count
    valid: Count
    test: Count
    repairs: dict[str, Any] = {}
    note: str = ""
    temporal: bool = False


class PackedArray(_Part):
    """One array of the packed artefact."""

    dtype: str
    shape: tuple[Count, ...] = Field(strict=False)
    bytes: Count
    kind: Literal["values", "indices", "mask", "codes"]


class Size(_Part):
    """The measured size of the packed artefact."""

    values: Count
    bytes: Count
    file_bytes: Count
    backbone_values: Count = 0
    full_values: Count
    full_bytes: Count
    arrays: dict[str, PackedArray]


class Metrics(_Part):
    """Means over users, by split of the data."""

    valid: dict[str, Share] | None = None
    test: dict[str, Share]


class Phase(_Part):
    """One phase of training."""

    name: str
    epochs: Count
    best_epoch: int | None = None
    seconds: Seconds
    stopped: str | None = None


class Timings(_Part):
    """Seconds by the clock; not comparable when other runs shared the machine."""

    train_s: Seconds | None = None
    evaluate_s: Seconds | None = None
    total_s: Seconds | None = None
    parallel: bool = False


class Failure(_Part):
    """Why a run has no numbers."""

    type: str
    message: str
    traceback: str | None = None
    minimum: int | None = None


class Record(_Part):
    """One run.

    Attributes:
        history: one mapping per epoch; empty unless the scan was asked to keep it.
        path: where the record lies, relative to the results folder, with forward slashes.
    """

    schema_: Annotated[int, Field(alias="schema")]
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    status: Literal["ok", "infeasible", "failed", "interrupted"]
    error: Failure | None = None
    spec: Spec
    method: Method
    budget: Budget | None
    data: Data
    size: Size | None = None
    metrics: Metrics | None = None
    phases: tuple[Phase, ...] = Field(default=(), strict=False)
    history: tuple[dict[str, float | str | None], ...] = Field(default=(), strict=False)
    timings: Timings | None = None
    peak_memory_bytes: Count | None = None
    lookup: dict[str, Annotated[float, Field(gt=0)]] | None = None
    command: str = ""
    env: dict[str, Any] = {}
    started: str | None = None
    finished: str | None = None
    path: str = ""


@dataclass(frozen=True)
class Rejected:
    """A file that looks like a record and is not one.

    Attributes:
        path: relative to the results folder, with forward slashes.
        reason: one line that says what is wrong with it.
    """

    path: str
    reason: str


@dataclass(frozen=True)
class Scan:
    """What a results folder holds, ordered by path."""

    records: tuple[Record, ...]
    rejected: tuple[Rejected, ...]


class _WrongError(ValueError):
    """A record that contradicts itself."""


def canonical_json(value: object) -> str:
    """Return the one text of a JSON value that hashes are taken over."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def digest(value: object) -> str:
    """Return the first 12 hex digits of the sha256 of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:12]


def scan(results: Path, *, history: bool = False) -> Scan:
    """Read every record below a results folder.

    Files are taken at any depth, so that a misplaced record is named rather than overlooked.
    Folders whose name starts with a dot, `board.json` files, and the folders of `APART`
    are left alone; each of these is a results folder of its own.

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
    """Read one record of a results folder.

    Raises:
        ValueError: what is wrong with it.
        OSError: it cannot be read.
    """
    return _read(path, path.relative_to(results).as_posix(), history=False)


def _files(results: Path) -> Iterator[Path]:
    for folder, below, names in os.walk(results):
        below[:] = sorted(name for name in below if not name.startswith("."))
        if Path(folder) == results:
            below[:] = [name for name in below if name not in APART]
        for name in sorted(names):
            if name.endswith(".json") and not name.startswith(".") and name != "board.json":
                yield Path(folder) / name


def _read(path: Path, name: str, history: bool) -> Record:
    raw = _parse(path)
    if raw.get("schema") != SCHEMA:
        raise _WrongError(f"schema is {raw.get('schema')!r}; this version reads schema {SCHEMA}")
    if not history:
        raw["history"] = ()
    raw["path"] = name
    try:
        record = Record.model_validate(raw)
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
