"""Models of the record of a run: schema 1, in JSON and in memory."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from bench import budget as budgets

SCHEMA = 1
"""The schema number of the records that this version reads and writes."""

PROTOCOL = 2
"""Raise it when the split, the metrics, the stopping rule or what a file holds change."""

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
# Names go into headings, table cells and file names: one line, no control characters.
Name = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,120}$")]
Seconds = Annotated[float, Field(ge=0.0)]
T = TypeVar("T")


class _Part(BaseModel):
    # Unknown fields are ignored, so that a newer version can add some.
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)


class DatasetSpec(_Part):
    """The data set and its split."""

    name: Name
    split: Name
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class BackboneSpec(_Part):
    """The model that computes scores from embeddings."""

    name: Name
    config: dict[str, Any]


class MethodSpec(_Part):
    """The method with its resolved configuration.

    Attributes:
        source: hash of its file, for a method that is not part of the program; None is left out.
        form: `published` for the knobs of the paper; None, for any others, is left out.
    """

    name: Name
    revision: int
    config: dict[str, Any]
    source: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")] | None = None
    form: Literal["published"] | None = None


class BudgetSpec(_Part):
    """The hard cap of a run, in the unit of its accounting."""

    cap: Annotated[int, Field(gt=0)]
    accounting: Literal["bytes", "values"]

    def budget(self) -> budgets.Budget:
        """Return the budget in the form that methods take."""
        return budgets.Budget(self.cap, self.accounting)


class SpecOf(_Part, Generic[T]):
    """Everything that may change the numbers of a run; its hash is the id of the run.

    The type of the training is a parameter: a mapping or a model. Equal specs have equal ids.

    Attributes:
        teacher: training of the full table that the method starts from; None is left out.
    """

    schema_: Annotated[int, Field(alias="schema")] = SCHEMA
    protocol: int = PROTOCOL
    dataset: DatasetSpec
    backbone: BackboneSpec
    dim: Annotated[int, Field(ge=1)] | None
    method: MethodSpec
    budget: BudgetSpec | None
    training: T | None
    teacher: T | None = None
    seed: Annotated[int, Field(ge=0)]

    def canonical(self) -> dict[str, Any]:
        """Return the spec in the form of a record."""
        content = self.model_dump(mode="json", by_alias=True)
        for key in ("source", "form"):
            if content["method"][key] is None:
                del content["method"][key]
        if self.teacher is None:
            del content["teacher"]
        return content


Spec = SpecOf[dict[str, Any]]
"""The spec in a record."""


class Method(_Part):
    """Names of a method and its role on a board; what it made of its budget, in its own words."""

    name: Name
    title: Name
    paper: str | None = None
    role: Literal["ceiling", "control", "method", "reference", "ablation"]
    outcome: Annotated[str, Field(max_length=200)] = ""


class Budget(BudgetSpec):
    """The budget and the label that the suite gave it."""

    label: Name
    fraction: float | None = None


class Data(_Part):
    """Counts of the data, repairs and a note."""

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
    """One phase of training.

    Attributes:
        gain: by how much the validation score rose in the last fifth of its epochs, as a share of
            the score before; None where that is not known.
        best: the validation score of the best epoch; None where none was validated.
    """

    name: str
    epochs: Count
    best_epoch: int | None = None
    seconds: Seconds
    stopped: str | None = None
    gain: float | None = None
    best: float | None = None


class Timings(_Part):
    """Elapsed seconds; not comparable if other runs shared the machine."""

    train_s: Seconds | None = None
    evaluate_s: Seconds | None = None
    total_s: Seconds | None = None
    parallel: bool = False


class Trials(_Part):
    """The tuning that the settings of a run come from.

    Attributes:
        settings: file and id of the settings.
        planned: number of trials.
        complete: trials that were trained for all passes.
        pruned: trials that ended after a share of the passes, because others were better.
        repeated: trials with the settings of an earlier one, which were not trained again.
        infeasible: trials whose settings fit no size into the budget.
        failed: trials that raised an error.
        passes: passes over the training data of all trials together.
    """

    settings: Name
    planned: Count | None = None
    complete: Count | None = None
    pruned: Count | None = None
    repeated: Count | None = None
    infeasible: Count | None = None
    failed: Count | None = None
    passes: Count | None = None


class Failure(_Part):
    """The reason why a run has no numbers."""

    type: str
    message: str
    traceback: str | None = None
    minimum: int | None = None


class Kept(_Part):
    """A file that a run has kept beside its record."""

    bytes: Count
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Record(_Part):
    """One run: its spec, its outcome and its machine.

    Attributes:
        tuning: the trials that its settings come from; None for settings that no trial chose.
        history: one mapping per epoch; empty unless the caller asked for it.
        file: the file of the method, `ID.safetensors` beside the record; None if it was not kept.
        backbone_file: the weights of the backbone, `ID.backbone.safetensors`; None if it has none.
        path: path of the record, relative to the results folder, with forward slashes.
    """

    schema_: Annotated[int, Field(alias="schema")]
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    status: Literal["ok", "infeasible", "failed"]
    error: Failure | None = None
    spec: Spec
    method: Method
    budget: Budget | None
    data: Data
    tuning: Trials | None = None
    size: Size | None = None
    metrics: Metrics | None = None
    phases: tuple[Phase, ...] = Field(default=(), strict=False)
    history: tuple[dict[str, int | float | str | None], ...] = Field(default=(), strict=False)
    timings: Timings | None = None
    peak_memory_bytes: Count | None = None
    file: Kept | None = None
    backbone_file: Kept | None = None
    lookup: dict[str, Annotated[float, Field(gt=0)]] | None = None
    command: str = ""
    env: dict[str, Any] = {}
    started: str | None = None
    finished: str | None = None
    path: str = ""

    def stored(self) -> dict[str, Any]:
        """Return the fields that have been set, for JSON."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"path"})

    @property
    def selection(self) -> float | None:
        """Return the score by which validation prefers a run; None if nothing was validated.

        A run that was trained again on validation data has that of its first training.
        """
        valid = (self.metrics.valid if self.metrics else None) or {}
        best = [phase.best for phase in self.phases if phase.best is not None]
        return valid.get("ndcg@20", best[-1] if best else None)

    def short(self) -> Record:
        """Return the record without its history, for messages between processes."""
        return self.model_copy(update={"history": ()})


def canonical_json(value: object) -> str:
    """Return the one text of a JSON value that hashes are taken over."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def digest(value: object) -> str:
    """Return the first 12 hex digits of the sha256 of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:12]
