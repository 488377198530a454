"""What a run is: everything that may change its numbers, in one canonical form."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from bench.budget import Budget
from bench.engine.settings import Training

SCHEMA = 1
PROTOCOL = 1  # raise it when the split, the metrics or the stopping rule change


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DatasetPart(_Part):
    """Which data: the split's id and the fingerprint of its pairs."""

    name: str
    split: str
    fingerprint: str


class BackbonePart(_Part):
    """Which backbone, with its resolved configuration."""

    name: str
    config: dict[str, Any]


class MethodPart(_Part):
    """Which method, with its resolved configuration: size knobs solved."""

    name: str
    revision: int
    config: dict[str, Any]


class BudgetPart(_Part):
    """The cap in the unit of its accounting."""

    cap: int
    accounting: Literal["bytes", "values"]

    def budget(self) -> Budget:
        """As the methods take it."""
        return Budget(self.cap, self.accounting)


class RunSpec(_Part):
    """One run. Equal specs give equal ids, and on one machine equal numbers."""

    schema_: int = Field(SCHEMA, alias="schema")
    protocol: int = PROTOCOL
    dataset: DatasetPart
    backbone: BackbonePart
    dim: int = Field(ge=1)
    method: MethodPart
    budget: BudgetPart | None
    training: Training | None
    seed: int = Field(ge=0)

    def canonical(self) -> dict[str, Any]:
        """As a record holds it."""
        return self.model_dump(mode="json", by_alias=True)

    @property
    def id(self) -> str:
        """First 12 hex digits of the sha256 of the canonical JSON."""
        return run_id(self.canonical())


def run_id(canonical: dict[str, Any]) -> str:
    """Id of a spec in the form that a record holds."""
    text = json.dumps(canonical, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
