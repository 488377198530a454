"""Short trainings that keep a checkpoint, for tests that kill them."""

from __future__ import annotations

from pathlib import Path

from bench.backbones.mf import MF
from bench.check import tiny_data
from bench.engine import checkpoint as saving
from bench.engine.loop import Fit
from bench.engine.settings import Training
from bench.errors import Infeasible
from bench.method import Budget, Method, Table
from bench.method.registry import get_method


def make(name: str, checkpoint: Path | None, report=lambda entry: None, **changes) -> Fit:
    """A fit on tiny data that saves after every epoch."""
    saving.SAVE_EVERY = 0.0
    data = tiny_data()
    kind = get_method(name)
    table, config = plan(kind, data.users, data.items)
    settings = {"lr": 0.05, "batch": 32, "epochs": 6, "search_epochs": 4, "patience": 4}
    training = Training(**(settings | changes))
    method = kind(table, config)
    return Fit(method, MF(data, 16, MF.Config()), data, training, 7, checkpoint, report)


def plan(kind: type[Method], users: int, items: int):
    for share in (0.4, 0.8):
        cap = int(share * (users + items) * 16 * 4)
        table = Table(users, items, 16, Budget(cap) if kind.budgeted else None)
        try:
            return table, kind.plan(table, kind.Config())
        except Infeasible:
            continue
    raise AssertionError(kind.name)
