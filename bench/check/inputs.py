"""Checks of what a method is given: it uses what it declares, and does without it at look-up."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, get_args

import torch
from torch import Tensor

from bench.backbones.mf import MF
from bench.check.subject import LR, Subject, all_rows, packed_arrays, require, tiny_data
from bench.engine.loop import Fit
from bench.engine.settings import Training
from bench.method import Table
from bench.method.size import describe
from bench.method.table import Need
from bench.methods.full import Full

_NEEDS = get_args(Need)
_TRAINING_ONLY = ("counts", *_NEEDS)


@dataclass(frozen=True, eq=False)
class _Watched(Table):
    """A table that keeps the names of the inputs that are read from it."""

    reads: set[str] = field(default_factory=set)

    def __getattribute__(self, name: str) -> Any:
        if name in _TRAINING_ONLY:
            object.__getattribute__(self, "reads").add(name)
        return object.__getattribute__(self, name)


def inputs(subject: Subject) -> str:
    """Check that a method reads what it declares, changes nothing of it, and stores all it needs.

    The teacher is random, and a trained one.
    """
    kind = subject.kind
    plain, config = subject.planned()
    before = _copies(plain)
    table = _Watched(**{one.name: getattr(plain, one.name) for one in fields(Table)})
    method = subject.settled(table, config)
    used = table.reads & set(_NEEDS)
    undeclared, unused = sorted(used - kind.needs), sorted(kind.needs - used)
    require(
        not undeclared,
        f"reads table.{', table.'.join(undeclared)}, which is None; name it in `needs`",
    )
    require(
        not unused,
        f"needs names {' and '.join(unused)}, and nothing reads it; take it out",
    )
    for name, tensor in before.items():
        require(
            torch.equal(tensor, _copies(plain)[name]),
            f"changes table.{name}, which other parts of a run may use; work on a copy",
        )
    bare = _Watched(**{one.name: getattr(plain.bare(), one.name) for one in fields(Table)})
    deployed = kind.restore(packed_arrays(method), bare, config)
    bare.reads.clear()
    try:
        all_rows(deployed)
    finally:
        require(
            not bare.reads,
            f"reads table.{', table.'.join(sorted(bare.reads))} when rows are looked up, where only"
            " the stored file is left; compute what is needed in `reset` and pack it",
        )
    if "teacher" in kind.needs:
        _with_trained_teacher(subject)
    return f"uses {' and '.join(sorted(used)) or 'no teacher, no interactions'}"


def _copies(table: Table) -> dict[str, Tensor]:
    found = {"counts": table.counts, "teacher": table.teacher}
    if table.interactions is not None:
        found["interactions"] = table.interactions.items
        found["interactions.starts"] = table.interactions.starts
    return {name: tensor.clone() for name, tensor in found.items() if tensor is not None}


def _with_trained_teacher(subject: Subject) -> None:
    """Check the size that a trained teacher gives: a random one has no structure to fit."""
    data = tiny_data()
    table, config = subject.planned(data.users, data.items)
    table = subject.given(table, data.train)
    full = Full(Table(data.users, data.items, table.dim), Full.Config())
    backbone = MF(data, table.dim, MF.Config())
    Fit(full, backbone, data, Training(lr=LR, batch=64, epochs=6, patience=6), seed=0).run()
    assert table.teacher is not None
    table.teacher.copy_(all_rows(full))
    packed = packed_arrays(subject.settled(table, config))
    expected = dict(subject.kind.file_arrays(table, config))
    require(
        describe(packed) == expected,
        "with a trained teacher it packs other arrays than were planned; sizes must not depend on"
        " the values of the teacher",
    )
