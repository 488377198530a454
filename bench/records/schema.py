"""The form of a run's record: schema 1, as JSON holds it and as the program has it in memory."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from bench import budget as budgets

SCHEMA = 1
"""The schema number of the records that this version reads and writes."""

PROTOCOL = 1
"""Raise it when the split, the metrics or the stopping rule change."""

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
# Names go into headings, table cells and file names: one line, no control characters.
Name = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,120}$")]
Seconds = Annotated[float, Field(ge=0.0)]
T = TypeVar("T")


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
    """The method with its resolved configuration.

    Attributes:
        source: hash of its file, for a method that is not part of the program; None is left out.
    """

    name: Name
    revision: int
    config: dict[str, Any]
    source: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")] | None = None


class BudgetSpec(_Part):
    """The hard cap of a run, in the unit of its accounting."""

    cap: Annotated[int, Field(gt=0)]
    accounting: Literal["bytes", "values"]

    def budget(self) -> budgets.Budget:
        """As the methods take it."""
        return budgets.Budget(self.cap, self.accounting)


class SpecOf(_Part, Generic[T]):
    """What is hashed into the id of a run, with the training as a mapping or as a model of its own.

    Everything that may change a run's numbers is here. Equal specs have equal ids.
    """

    schema_: Annotated[int, Field(alias="schema")] = SCHEMA
    protocol: int = PROTOCOL
    dataset: DatasetSpec
    backbone: BackboneSpec
    dim: Annotated[int, Field(ge=1)] | None
    method: MethodSpec
    budget: BudgetSpec | None
    training: T | None
    seed: Annotated[int, Field(ge=0)]

    def canonical(self) -> dict[str, Any]:
        """As a record holds it."""
        content = self.model_dump(mode="json", by_alias=True)
        if self.method.source is None:
            del content["method"]["source"]
        return content


Spec = SpecOf[dict[str, Any]]
"""A spec as records hold it."""


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
    kind: Literal["values", "codes", "scales", "mask", "indices"]


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
    """One run: what it was, what it came to, and on what machine.

    Attributes:
        history: one mapping per epoch; empty unless the reader was asked to keep it.
        path: where the record lies, relative to the results folder, with forward slashes.
    """

    schema_: Annotated[int, Field(alias="schema")]
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    status: Literal["ok", "infeasible", "failed"]
    error: Failure | None = None
    spec: Spec
    method: Method
    budget: Budget | None
    data: Data
    size: Size | None = None
    metrics: Metrics | None = None
    phases: tuple[Phase, ...] = Field(default=(), strict=False)
    history: tuple[dict[str, int | float | str | None], ...] = Field(default=(), strict=False)
    timings: Timings | None = None
    peak_memory_bytes: Count | None = None
    lookup: dict[str, Annotated[float, Field(gt=0)]] | None = None
    command: str = ""
    env: dict[str, Any] = {}
    started: str | None = None
    finished: str | None = None
    path: str = ""

    def stored(self) -> dict[str, Any]:
        """As JSON holds it: the fields that have been set."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"path"})

    def short(self) -> Record:
        """The record without its history, which messages between processes leave out."""
        return self.model_copy(update={"history": ()})


def canonical_json(value: object) -> str:
    """Return the one text of a JSON value that hashes are taken over."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def digest(value: object) -> str:
    """Return the first 12 hex digits of the sha256 of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:12]
