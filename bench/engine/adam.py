"""Adam over the parameters of a run; the updates of tables are postponed on a CPU."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from bench.engine.dense_adam import Dense
from bench.engine.postponed_adam import Postponed
from bench.method.rows import Rows


class Adam:
    """Adam over optimiser groups (`params`, `lr`, `weight_decay`), coupled decay as in the paper.

    Args:
        groups: parameters with their settings.
        tables: lookup tables among the parameters. On a CPU, updates of tables without decay are
            postponed. On a GPU a dense step costs less than finding the rows of a batch.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], tables: Iterable[Rows] = ()) -> None:
        by_weight = {id(table.weight): table for table in tables}
        self._slots: list[Dense] = []
        self._tables: list[Rows] = []
        for group in groups:
            for parameter in group["params"]:
                decay = group.get("weight_decay", 0.0)
                table = by_weight.get(id(parameter))
                if table is not None and not decay and parameter.device.type == "cpu":
                    slot = Postponed(table, group["lr"])
                    table.reader = slot
                    self._tables.append(table)
                    self._slots.append(slot)
                else:
                    self._slots.append(Dense(parameter, group["lr"], decay))

    def step(self, share: float = 1.0) -> None:
        """Apply the gradients at a share of each learning rate, and clear them."""
        for slot in self._slots:
            if isinstance(slot, Postponed):
                slot.advance(share)
            else:
                slot.dense(share)

    def flush(self) -> None:
        """Apply all postponed updates; needed before parameters are read in another way."""
        for slot in self._slots:
            if isinstance(slot, Postponed):
                slot.flush()

    def close(self) -> None:
        """Apply all postponed updates and detach from the tables."""
        self.flush()
        for table in self._tables:
            table.reader = None

    def state(self) -> dict[str, Tensor]:
        """Moments and step counts, for a checkpoint; applies postponed updates first."""
        self.flush()
        state: dict[str, Tensor] = {}
        for number, slot in enumerate(self._slots):
            state |= {f"{number}.m": slot.m, f"{number}.v": slot.v, f"{number}.step": slot.step}
        return state

    def load(self, state: dict[str, Tensor]) -> None:
        """Restore what `state` returned."""
        for number, slot in enumerate(self._slots):
            slot.m.copy_(state[f"{number}.m"])
            slot.v.copy_(state[f"{number}.v"])
            slot.step.copy_(state[f"{number}.step"])
            if isinstance(slot, Postponed):
                slot.resume()
