"""What a run came to: sizes, metrics and times, in the form of a record."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from bench.judge.model import Verdict
from bench.records import schema
from bench.records.schema import Record
from bench.records.store import KEPT


@dataclass(frozen=True)
class Measured:
    """What a run came to.

    Attributes:
        verdict: of the judge.
        train_s: seconds of the training.
        phases, history: of the training, as JSON holds them.
        content: of the file of the method.
        weights: of the backbone, as a safetensors file; empty if it has none.
        earlier: those of `train_s` that processes have spent which were cut off.
    """

    verdict: Verdict
    train_s: float = 0.0
    phases: tuple[dict[str, Any], ...] = ()
    history: tuple[dict[str, Any], ...] = ()
    content: bytes = b""
    weights: bytes = b""
    earlier: float = 0.0

    @property
    def files(self) -> dict[str, bytes]:
        """Files that can be kept, by suffix."""
        found = zip(KEPT, (self.content, self.weights), strict=True)
        return {suffix: content for suffix, content in found if content}

    def onto(self, record: Record) -> Record:
        """The record with these fields."""
        fields: dict[str, Any] = {
            "size": self.verdict.size,
            "metrics": self.verdict.metrics,
            "phases": tuple(schema.Phase.model_validate(one) for one in self.phases),
            "history": self.history,
            "timings": schema.Timings(train_s=self.train_s, evaluate_s=self.verdict.seconds),
        }
        if self.verdict.lookup is not None:
            fields["lookup"] = self.verdict.lookup
        if self.verdict.outcome:
            fields["method"] = record.method.model_copy(update={"outcome": self.verdict.outcome})
        return record.model_copy(update=fields)

    def kept(self) -> dict[str, schema.Kept]:
        """What a record says of the files, if they are kept."""
        return {
            name: schema.Kept(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
            for name, content in (("file", self.content), ("backbone_file", self.weights))
            if content
        }
