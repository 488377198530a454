"""The method that is checked: its tables and plans, and a whole run on tiny data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.backbones.mf import MF
from bench.budget import VALUE_BYTES, Accounting, Budget
from bench.data import CSR, Interactions
from bench.engine.loop import Fit
from bench.engine.settings import Training
from bench.errors import Infeasible
from bench.method import Method, Pairs, Phase, Progress, Table
from bench.method.identity import rounds

LR = 0.05


class Finding(Exception):
    """A check failed; the message tells the author of the method what to do."""


def require(condition: bool, message: str) -> None:
    """Raise a finding with this message unless the condition holds."""
    if not condition:
        raise Finding(message)


class Subject:
    """A method class, with tables, plans and trained instances for the checks."""

    def __init__(self, kind: type[Method]) -> None:
        self.kind = kind
        self._plans: dict[tuple[Any, ...], Any] = {}

    @property
    def accountings(self) -> tuple[Accounting, ...]:
        """What budgets may bind: bytes alone where values have fewer than 32 bits by default."""
        return ("bytes",) if rounds(self.kind) or not self.kind.budgeted else ("bytes", "values")

    def table(
        self,
        users: int = 60,
        items: int = 41,
        dim: int = 16,
        budget: Budget | None = None,
        std: float = 0.1,
    ) -> Table:
        """Make a table; the budget is left out for a method that none binds."""
        counts = torch.arange(users + items).remainder(17).square() + 1  # uneven, as in real data
        table = Table(
            users, items, dim, budget if self.kind.budgeted else None, std=std, counts=counts
        )
        return self.given(table)

    def plan(self, table: Table) -> Any:
        """Plan a table that `table` has made, once for each shape and budget.

        Raises:
            Infeasible: as the method says.
        """
        key = table.users, table.items, table.dim, table.std, table.budget
        if key not in self._plans:
            try:
                self._plans[key] = self.kind.plan(table, self.kind.Config())
            except Infeasible as error:
                self._plans[key] = error
        found = self._plans[key]
        if isinstance(found, Infeasible):
            raise Infeasible(found.minimum, found.unit)
        return found

    def given(self, table: Table, train: CSR | None = None) -> Table:
        """Add what the method needs: a random teacher, and pairs of these data or random ones."""
        generator = torch.Generator().manual_seed(1)
        if "interactions" in self.kind.needs:
            if train is None:
                own = torch.rand(table.users, table.items, generator=generator) < 0.2
                users, items = own.nonzero().numpy().T
                train = CSR.from_pairs(users, items, table.users)[0]
            table = replace(table, interactions=Pairs.of(train, table.items))
        if "teacher" in self.kind.needs:
            rows = torch.randn(table.ids, table.dim, generator=generator) * table.std
            table = replace(table, teacher=rows)
        return table

    def planned(
        self, users: int = 60, items: int = 41, dim: int = 16, std: float = 0.1
    ) -> tuple[Table, Any]:
        """Make a table and a configuration for the smallest of several budgets that has a plan."""
        for share in (0.3, 0.6, 1.0, 2.0, 4.0):
            cap = int(share * (users + items) * dim * VALUE_BYTES)
            table = self.table(users, items, dim, Budget(cap), std)
            try:
                return table, self.plan(table)
            except Infeasible:
                continue
        raise Finding("plan finds no size even within four times the full table; see `largest`")

    def fresh(self, table: Table, config: Any, seed: int = 0) -> Method:
        """Make a method with its initial weights."""
        method = self.kind(table, config)
        method.reset(torch.Generator().manual_seed(seed))
        return method

    def settled(self, table: Table, config: Any, seed: int = 0) -> Method:
        """Make a method that has gone through all of its phases without a training step."""
        method = self.fresh(table, config, seed)
        for phase in self.kind.phases:
            if phase.rewind:
                method.reset(torch.Generator().manual_seed(seed))
            method.begin(phase, Progress(0, 100, 0, 10), LR)
            method.finish(phase)
        return method

    @cached_property
    def trained(self) -> Trained:
        """Train on a tiny data set, through all phases."""
        data = tiny_data()
        table, config = self.planned(data.users, data.items)
        table = self.given(table, data.train)
        method = _recording(self.kind)(table, config)
        backbone = MF(data, table.dim, MF.Config())
        training = Training(lr=LR, batch=64, epochs=12, search_epochs=6, patience=12)
        state = Fit(method, backbone, data, training, seed=0).run()
        return Trained(data, table, config, method, backbone, state.history)


@dataclass(frozen=True)
class Trained:
    """A method after a whole run on tiny data, with all that the run used."""

    data: Interactions
    table: Table
    config: Any
    method: Method
    backbone: MF
    history: list[dict[str, Any]]


def _recording(kind: type[Method]) -> type[Method]:
    """Make the method keep what it packs and looks up when its last phase begins."""

    class Recording(kind):  # type: ignore[misc, valid-type]
        def begin(self, phase: Phase, progress: Progress, lr: float) -> None:
            super().begin(phase, progress, lr)
            with torch.no_grad():
                packed = {name: tensor.clone() for name, tensor in self.store().items()}
                self.begun = (packed, all_rows(self))

    # Initial weights depend on the name of the class.
    Recording.__name__, Recording.__qualname__ = kind.__name__, kind.__qualname__
    return Recording


def tiny_data() -> Interactions:
    """48 users and 40 items in four blocks; every user likes items of one block only."""
    blocks, users, items = 4, 48, 40
    width = items // blocks
    parts: dict[str, list[tuple[int, int]]] = {"train": [], "valid": [], "test": []}
    for user in range(users):
        for step in range(width - 2):  # each user leaves out two items of the block
            part = "valid" if step == 0 else "test" if step == 1 else "train"
            item = (user % blocks) * width + (user // blocks + step) % width
            parts[part].append((user, item))

    def matrix(pairs: list[tuple[int, int]]) -> CSR:
        array = np.array(pairs)
        return CSR.from_pairs(array[:, 0], array[:, 1], users)[0]

    train, valid, test = (matrix(parts[name]) for name in ("train", "valid", "test"))
    return Interactions(
        "tiny", "tiny-check", "Tiny", "", users, items, train=train, valid=valid, test=test
    )


@torch.no_grad()
def all_rows(method: Method) -> Tensor:
    """Look up the rows of all ids: float32 [N, dim]."""
    return method(torch.arange(method.table.ids))


def packed_arrays(method: Method) -> dict[str, Tensor]:
    """Pack a method, with contiguous arrays as the stored file needs them."""
    return {name: tensor.contiguous() for name, tensor in method.store().items()}


def show(arrays: Any) -> str:
    """Describe arrays by name, type and shape, in one line."""
    return ", ".join(
        f"{name} {str(dtype).removeprefix('torch.')}{list(shape)}"
        for name, (dtype, shape) in sorted(arrays.items())
    )
