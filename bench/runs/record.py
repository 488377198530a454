"""Records of runs: with what is known beforehand, of runs that failed, of sizes that do not fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.data import Interactions
from bench.errors import Infeasible, Unreachable
from bench.method import Method
from bench.records import schema
from bench.records.schema import Record
from bench.runs.environment import environment, now
from bench.runs.popularity import Popularity
from bench.runs.spec import Run


def new_record(run: Run, data: Interactions, methods: Mapping[str, type[Method]]) -> Record:
    """A record with what is known before the run."""
    spec = run.spec
    kind = methods.get(spec.method.name, Popularity)
    budget = None
    if spec.budget is not None:
        budget = schema.Budget(
            label=run.label or "",
            fraction=run.fraction,
            cap=spec.budget.cap,
            accounting=spec.budget.accounting,
        )
    fields: dict[str, Any] = {
        "schema": spec.schema_,
        "id": spec.id,
        "status": "ok",
        "error": None,
        "spec": spec.stored(),
        "method": {
            "name": spec.method.name,
            "title": kind.title,
            "paper": kind.paper,
            "role": kind.role,
        },
        "budget": budget,
        "data": schema.Data(
            users=data.users,
            items=data.items,
            train=data.train.nnz,
            valid=data.valid.nnz,
            test=data.test_count,
            repairs=dict(data.repairs),
            note=data.note,
            temporal=data.temporal,
        ),
        "size": None,
        "metrics": None,
        "phases": (),
        "history": (),
        "timings": schema.Timings(train_s=0.0, evaluate_s=0.0, total_s=0.0, parallel=False),
        "peak_memory_bytes": 0,
        "command": run.command,
        "env": environment("cpu"),
        "started": now(),
        "finished": now(),
    }
    if run.tuning is not None:
        fields["tuning"] = run.tuning.model_dump(exclude_none=True)
    return Record.model_validate(fields)


def failed(record: Record, kind: str, message: str, traceback: str = "") -> Record:
    """The record of a run that has failed: why, and no numbers."""
    error = schema.Failure(type=kind, message=message, traceback=traceback)
    return record.model_copy(
        update={"status": "failed", "error": error, "size": None, "metrics": None}
    )


def infeasible(record: Record, why: Infeasible | Unreachable) -> Record:
    """The record of a run whose method has, or comes to, no size that fits."""
    minimum = why.minimum if isinstance(why, Infeasible) else None
    name = type(why).__name__
    error = schema.Failure(type=name, message=str(why), traceback="", minimum=minimum)
    return record.model_copy(update={"status": "infeasible", "error": error})
