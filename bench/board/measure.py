"""Run records to numbers: every quantity of a run, and the tidy frame of all runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bench.board.quantities import QUANTITIES
from bench.records.per_user import PerUser
from bench.records.protocol import protocol_hash, protocol_of
from bench.records.schema import Record, digest


def measure(record: Record, users: PerUser | None) -> dict[str, float | None]:
    """Return every quantity of one run; None where it was not measured.

    Timings of a run that shared the machine are not comparable, and count as not measured.
    """
    numbers: dict[str, float | None] = dict.fromkeys((q.key for q in QUANTITIES), None)
    if record.status != "ok":
        return numbers
    for quantity in QUANTITIES:
        if quantity.path:
            numbers[quantity.key] = _at(record, quantity.path)
    assert record.size is not None  # checked by the scan
    if record.size.bytes and record.method.role != "reference":
        numbers["compression"] = record.size.full_bytes / record.size.bytes
    if numbers["lookup_1"]:
        numbers["latency"] = 1e6 / numbers["lookup_1"]
    if record.phases:
        numbers["passes"] = float(sum(phase.epochs for phase in record.phases))
    if record.peak_memory_bytes is not None:
        numbers["peak_memory"] = record.peak_memory_bytes / 1e6
    if users is not None:
        numbers.update(users.slices)
    if record.timings is None or record.timings.parallel:
        numbers.update({q.key: None for q in QUANTITIES if q.timing})
    return numbers


def _at(record: Record, path: Sequence[str]) -> float | None:
    value: Any = record
    for part in path:
        value = value.get(part) if isinstance(value, dict) else getattr(value, part)
        if value is None:
            return None
    return float(value)


def row_key(record: Record) -> str:
    """Return the hash of a record's spec without its seed: what the runs of a row share."""
    spec = record.spec.model_dump(by_alias=True, exclude={"seed"})
    # Left out as in records from before there were any, so that keys of rows stay.
    if record.spec.method.form is None:
        del spec["method"]["form"]
    if record.spec.teacher is None:
        del spec["teacher"]
    return digest(spec)


def tidy(
    records: Sequence[Record], measured: Mapping[str, Mapping[str, float | None]]
) -> pd.DataFrame:
    """Return one row per run, of any status, with one column per quantity."""
    columns: dict[str, list[Any]] = defaultdict(list)
    for record in records:
        spec, budget = record.spec, record.budget
        facts = {
            "id": record.id,
            "status": record.status,
            "dataset": spec.dataset.name,
            "split": spec.dataset.split,
            "backbone": spec.backbone.name,
            "method": record.method.name,
            "title": record.method.title,
            "role": record.method.role,
            "form": spec.method.form or "tuned",
            "bits": spec.method.config.get("bits") or 32,
            "revision": spec.method.revision,
            "budget": budget.label if budget else None,
            "cap": budget.cap if budget else None,
            "accounting": budget.accounting if budget else None,
            "seed": spec.seed,
            "row": row_key(record),
            "passport": protocol_hash(protocol_of(record)),
            **measured[record.id],
            "parallel": record.timings.parallel if record.timings else None,
            "error": record.error.message if record.error else None,
            "command": record.command,
            "path": record.path,
        }
        for key, value in facts.items():
            columns[key].append(value)
    frame = pd.DataFrame(columns)
    for quantity in QUANTITIES:
        if quantity.key in frame:
            frame[quantity.key] = frame[quantity.key].astype("float64")
    if "cap" in frame:
        frame["cap"] = frame["cap"].astype("Int64")
    return frame
