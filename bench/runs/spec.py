"""What a run is: everything that may change its numbers, in one canonical form."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated

from pydantic import ConfigDict, Field

from bench.engine.settings import Training
from bench.records.schema import Spec, SpecOf, Trials, digest


class RunSpec(SpecOf[Training]):
    """One run. Equal specs give equal ids, and on one machine equal numbers.

    Its `training` is None where nothing is trained: see `bench.runs.popularity`.
    """

    model_config = ConfigDict(extra="forbid")

    dim: Annotated[int, Field(ge=1)]

    @property
    def id(self) -> str:
        """First 12 hex digits of the sha256 of the canonical JSON."""
        return digest(self.canonical())

    def stored(self) -> Spec:
        """As a record has it."""
        return Spec.model_validate(self.canonical())


@dataclass(frozen=True)
class Run:
    """A planned run.

    Attributes:
        spec: what is run.
        label: the budget as it was asked for; None without a budget.
        fraction: the budget as a share of the full table.
        command: what the user types to repeat it.
        tuning: the trials that its settings come from.
    """

    spec: RunSpec
    label: str | None
    fraction: float | None
    command: str
    tuning: Trials | None = None


def encode(run: Run) -> bytes:
    """A run as text for another process."""
    return json.dumps(
        {
            "spec": run.spec.canonical(),
            "label": run.label,
            "fraction": run.fraction,
            "command": run.command,
            "tuning": run.tuning and run.tuning.model_dump(exclude_none=True),
        }
    ).encode()


def decode(text: bytes) -> Run:
    """A run from its text."""
    task = json.loads(text)
    spec = RunSpec.model_validate(task["spec"])
    tuning = task["tuning"] and Trials.model_validate(task["tuning"])
    return Run(spec, task["label"], task["fraction"], task["command"], tuning)
