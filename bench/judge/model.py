"""What training hands in, what reading the file gives, and the verdict; also as messages."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.records import schema
from bench.records.schema import Spec


class Refused(RuntimeError):
    """A file was not accepted.

    Attributes:
        kind: name of the error.
        trace: where it was raised, as text.
    """

    def __init__(self, kind: str, message: str, trace: str) -> None:
        super().__init__(message)
        self.kind, self.trace = kind, trace


class JudgeDied(RuntimeError):
    """The judge has ended without a verdict."""


@dataclass(frozen=True)
class Submission:
    """What training hands in.

    Attributes:
        spec: of the run.
        content: of the file of the method; empty where nothing is trained.
        weights: the backbone's state as a safetensors file; empty if it has none.
    """

    spec: Spec
    content: bytes = b""
    weights: bytes = b""


@dataclass(frozen=True)
class Reading:
    """What a file gives.

    Attributes:
        rows: float32 [N, width], of all ids.
        size: of the file.
        lookup: rows per second, by batch.
        outcome: what the method says of itself, in one line.
    """

    rows: Tensor
    size: schema.Size
    lookup: dict[str, float]
    outcome: str


@dataclass(frozen=True)
class Verdict:
    """What a run came to.

    Attributes:
        size: of its file.
        metrics: means over users.
        per_user: arrays of the test part.
        seconds: of the ranking.
        lookup: rows per second, by batch; None where no rows are looked up.
        outcome: what the method says of itself.
    """

    size: schema.Size
    metrics: schema.Metrics
    per_user: dict[str, np.ndarray]
    seconds: float
    lookup: dict[str, float] | None = None
    outcome: str = ""


Judge = Callable[[Submission], Verdict]
"""Raises `Refused` for a file that is not accepted, and `JudgeDied`."""


def send_submission(pipe: Connection, one: Submission) -> None:
    """Send a submission."""
    pipe.send_bytes(json.dumps(one.spec.canonical()).encode())
    pipe.send_bytes(one.content)
    pipe.send_bytes(one.weights)


def receive_submission(pipe: Connection) -> Submission:
    """Wait for a submission; raise EOFError when there will be none."""
    spec = Spec.model_validate(json.loads(pipe.recv_bytes()))
    return Submission(spec, pipe.recv_bytes(), pipe.recv_bytes())


def send_reading(pipe: Connection, one: Reading) -> None:
    """Send what a file gives."""
    said = {
        "shape": list(one.rows.shape),
        "size": one.size.model_dump(mode="json"),
        "lookup": one.lookup,
        "outcome": one.outcome,
    }
    _send(pipe, said, one.rows.cpu().contiguous().numpy().tobytes())


def receive_reading(pipe: Connection) -> Reading:
    """Wait for what a file gives; raise as `Judge` does."""
    said, content = _receive(pipe)
    rows = torch.frombuffer(bytearray(content), dtype=torch.float32).view(said["shape"])
    return Reading(rows, schema.Size.model_validate(said["size"]), said["lookup"], said["outcome"])


def send_verdict(pipe: Connection, one: Verdict) -> None:
    """Send a verdict."""
    said = {
        "size": one.size.model_dump(mode="json"),
        "metrics": one.metrics.model_dump(mode="json"),
        "seconds": one.seconds,
        "lookup": one.lookup,
        "outcome": one.outcome,
    }
    stream = io.BytesIO()
    np.savez(stream, **one.per_user)  # type: ignore[arg-type]
    _send(pipe, said, stream.getvalue())


def receive_verdict(pipe: Connection) -> Verdict:
    """Wait for a verdict; raise as `Judge` does."""
    said, content = _receive(pipe)
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        per_user = {name: stored[name] for name in stored.files}
    return Verdict(
        schema.Size.model_validate(said["size"]),
        schema.Metrics.model_validate(said["metrics"]),
        per_user,
        said["seconds"],
        said["lookup"],
        said["outcome"],
    )


def send_refusal(pipe: Connection, error: Refused) -> None:
    """Send an error in place of a reading or a verdict."""
    _send(pipe, {"refused": [error.kind, str(error), error.trace]}, b"")


def _send(pipe: Connection, said: dict[str, Any], content: bytes) -> None:
    pipe.send_bytes(json.dumps(said).encode())
    pipe.send_bytes(content)


def _receive(pipe: Connection) -> tuple[dict[str, Any], bytes]:
    try:
        said, content = json.loads(pipe.recv_bytes()), pipe.recv_bytes()
    except (EOFError, OSError):
        raise JudgeDied("the process that judges files has ended; out of memory?") from None
    if "refused" in said:
        raise Refused(*said["refused"])
    return said, content
