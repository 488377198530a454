"""Methods that pass every check, and for each check methods that fail it, alone or first.

Imports what a method may import, and nothing else: the file is itself checked.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bench.method import Infeasible, Method, Phase, Rows, Table
from bench.method.pruning import Pruned


class Sound(Method):
    """Rows shared by blocks of ids."""

    name = "sound"
    title = "Sound"
    fails: str = ""

    class Config(Method.Config):
        """`rows`: of the table."""

        rows: int = 0

    @classmethod
    def plan(cls, table: Table, config: Any) -> Any:
        return cls.solve("rows", table, config, low=1, high=table.ids)

    def build(self) -> None:
        self.stored = Rows(self.config.rows, self.table.dim)

    def reset(self, generator: torch.Generator) -> None:
        self.stored.normal(self.table.std, generator)

    def forward(self, ids: Tensor) -> Tensor:
        return self.stored(ids % self.config.rows)


class SoundPruned(Pruned):
    """A pruned full table."""

    name = "sound-pruned"
    title = "Sound pruned"
    fails: str = ""

    @classmethod
    def shape(cls, table: Table, config: Any) -> tuple[int, int]:
        return table.ids, table.dim

    @classmethod
    def plan(cls, table: Table, config: Any) -> Any:
        return config.but(kept=config.kept or cls.most_kept(table, config))

    def start(self, generator: torch.Generator) -> None:
        self.stored.normal(self.table.std, generator)

    def forward(self, ids: Tensor) -> Tensor:
        return self.entries(ids)


class Unbound(Sound):
    """As many rows as ids, without a budget."""

    name = "unbound"
    budgeted = False

    @classmethod
    def plan(cls, table: Table, config: Any) -> Any:
        return config.but(rows=table.ids)


class Continued(Sound):
    """Two phases that share weights and optimiser state."""

    name = "continued"
    phases = (Phase("first"), Phase("second", rewind=False, fresh_optimizer=False))


class Taught(Method):
    """The first columns of the teacher, and no training."""

    name = "taught"
    title = "Taught"
    fails: str = ""
    needs: ClassVar = {"teacher"}
    phases = ()

    class Config(Method.Config):
        """`columns`: that are stored."""

        columns: int = 0

    @classmethod
    def plan(cls, table: Table, config: Any) -> Any:
        return cls.solve("columns", table, config, low=1, high=table.dim)

    def build(self) -> None:
        self.stored = Rows(self.table.ids, self.config.columns)

    def reset(self, generator: torch.Generator) -> None:
        assert self.table.teacher is not None
        with torch.no_grad():
            self.stored.weight.copy_(self.table.teacher[:, : self.config.columns])

    @property
    def width(self) -> int:
        return self.config.columns

    def forward(self, ids: Tensor) -> Tensor:
        rows = self.stored(ids)
        return torch.nn.functional.pad(rows, (0, self.table.dim - rows.shape[-1]))


class TaughtOn(Taught):
    """Goes on training from the teacher's columns."""

    name = "taught-on"
    phases = (Phase("tune"),)


class Coupled(Sound):
    """A user shares a row with the first of its items."""

    name = "coupled"
    needs: ClassVar = {"interactions"}

    slot: Tensor

    def build(self) -> None:
        super().build()
        self.register_buffer("slot", torch.zeros(self.table.ids, dtype=torch.int16))

    def reset(self, generator: torch.Generator) -> None:
        super().reset(generator)
        pairs = self.table.interactions
        assert pairs is not None
        first = pairs.items[pairs.starts[:-1].clamp(max=len(pairs.items) - 1)]
        self.slot.copy_(torch.cat((first, torch.arange(pairs.count))) % self.config.rows)

    def forward(self, ids: Tensor) -> Tensor:
        return self.stored(self.slot[ids].long())


SOUND = (Sound, SoundPruned, Unbound, Continued, Taught, TaughtOn, Coupled)


class UnknownNeed(Sound):
    fails = "identity"
    needs: ClassVar = {"test"}


class NeedsForNothing(Sound):
    fails = "inputs"
    needs: ClassVar = {"interactions"}


class Undeclared(Sound):
    fails = "inputs"

    def reset(self, generator: torch.Generator) -> None:
        super().reset(generator)
        if self.table.teacher is not None:
            self.stored.normal(float(self.table.teacher.std()), generator)


class SpoilsTeacher(Taught):
    fails = "inputs"

    def reset(self, generator: torch.Generator) -> None:
        assert self.table.teacher is not None
        self.table.teacher[0, 0] += 1.0
        super().reset(generator)


class AsksAtLookUp(Sound):
    fails = "inputs"

    def forward(self, ids: Tensor) -> Tensor:
        rows = super().forward(ids)
        return rows if self.table.counts is None else rows * 1.0


class SizeOfTeacher(Taught):
    """Packs as many values as the teacher has positive ones."""

    fails = "inputs"

    def reset(self, generator: torch.Generator) -> None:
        super().reset(generator)
        assert self.table.teacher is not None
        self.more = torch.zeros(int((self.table.teacher > 0).sum()))

    def pack(self) -> dict[str, Tensor]:
        return super().pack() | {"more": getattr(self, "more", torch.zeros(0))}

    @classmethod
    def unpack(cls, packed: Any, table: Table, config: Any) -> Any:
        return super().unpack({"stored.weight": packed["stored.weight"]}, table, config)


class ShoutedName(Sound):
    fails = "identity"
    name = "Not A Name"


class TakenName(Sound):
    fails = "identity"
    name = "popularity"


class EndsWithSearch(SoundPruned):
    fails = "identity"
    phases = (Phase("search", until_budget=True),)


class AnyKey(Sound):
    fails = "config"

    class Config(Sound.Config):
        model_config = Sound.Config.model_config | {"extra": "ignore"}


class AnyType(Sound):
    fails = "config"

    class Config(Sound.Config):
        kind: Any = 0


class Thawed(Sound):
    fails = "config"

    class Config(Sound.Config):
        model_config = Sound.Config.model_config | {"frozen": False}


class NoDefault(Sound):
    fails = "config"

    class Config(Sound.Config):
        width: int


class NotJson(Sound):
    fails = "config"

    class Config(Sound.Config):
        widths: tuple[int, ...] = (1, 2)


class Greedy(Sound):
    """Does not count the bytes of the file's header."""

    fails = "plan"

    @classmethod
    def plan(cls, table: Table, config: Any) -> Any:
        unit = 4 if table.cap.accounting == "bytes" else 1
        return config.but(rows=max(1, table.cap.cap // unit // table.dim))


class Fickle(Sound):
    fails = "plan"

    @classmethod
    def plan(cls, table: Table, config: Any) -> Any:
        solved = cls.solve("rows", table, config, low=1, high=table.ids)
        return config.but(rows=max(1, solved.rows - 1))


class NeverFits(Sound):
    fails = "plan"

    @classmethod
    def plan(cls, table: Table, config: Any) -> Any:
        if config.rows or table.cap.cap > 3 * table.ids * table.dim:
            return config.but(rows=config.rows or 1)
        raise Infeasible(3 * table.ids * table.dim + 1, table.cap.accounting)


def _refuse(cls: Any, table: Table, config: Any, wrong: int, unit: str) -> Any:
    try:
        return cls.solve("rows", table, config, low=1, high=table.ids)
    except Infeasible as error:
        raise Infeasible(error.minimum + wrong, unit) from None


class LowMinimum(Sound):
    fails = "minimum"

    @classmethod
    def plan(cls, table: Table, config: Any) -> Any:
        return _refuse(cls, table, config, -1, table.cap.accounting)


class TinyMinimum(Sound):
    fails = "minimum"

    @classmethod
    def plan(cls, table: Table, config: Any) -> Any:
        return _refuse(cls, table, config, -(10**6), table.cap.accounting)


class HighMinimum(Sound):
    fails = "minimum"

    @classmethod
    def plan(cls, table: Table, config: Any) -> Any:
        return _refuse(cls, table, config, 1, table.cap.accounting)


class WrongUnit(Sound):
    fails = "minimum"

    @classmethod
    def plan(cls, table: Table, config: Any) -> Any:
        return _refuse(cls, table, config, 0, "rows")


class PacksMore(Sound):
    """Declares fewer arrays than it stores."""

    fails = "packed size"

    @classmethod
    def arrays(cls, table: Table, config: Any) -> Any:
        return {"stored.weight": (torch.float32, (config.rows, table.dim))}

    def pack(self) -> dict[str, Tensor]:
        return super().pack() | {"extra": torch.zeros(3)}

    @classmethod
    def unpack(cls, packed: Any, table: Table, config: Any) -> Any:
        return super().unpack({"stored.weight": packed["stored.weight"]}, table, config)


class CutsTooMuch(SoundPruned):
    fails = "packed size"

    def finish(self, phase: Phase) -> None:
        super().finish(phase)
        if phase.until_budget:
            self.mask.view(-1)[self.mask.view(-1).nonzero()[0]] = False


class PacksParameters(Sound):
    fails = "pack"

    def pack(self) -> dict[str, Tensor]:
        return dict(self.named_parameters())


class PacksDouble(Sound):
    fails = "pack"

    @classmethod
    def arrays(cls, table: Table, config: Any) -> Any:
        return {"stored.weight": (torch.float32, (config.rows, table.dim))}

    def pack(self) -> dict[str, Tensor]:
        return {"stored.weight": self.stored.weight.detach().double()}


class PacksViews(Sound):
    fails = "pack"

    def pack(self) -> dict[str, Tensor]:
        return {"stored.weight": self.stored.weight.detach().T.contiguous().T}


class PacksTwice(Sound):
    fails = "pack"

    def pack(self) -> dict[str, Tensor]:
        weight = self.stored.weight.detach()
        return {"stored.weight": weight, "again": weight}


class PacksNothing(Sound):
    fails = "pack"

    def pack(self) -> dict[str, Tensor]:
        return {}


class FlatOnly(Sound):
    """The defect of published code: concatenates along dimension 1."""

    fails = "forward"

    def forward(self, ids: Tensor) -> Tensor:
        rows = self.stored(ids % self.config.rows)
        return torch.cat((rows[:, :4], rows[:, 4:]), dim=1)


class HalfPrecision(Sound):
    fails = "forward"

    def forward(self, ids: Tensor) -> Tensor:
        return super().forward(ids).half()


class NotFinite(Sound):
    fails = "forward"

    def forward(self, ids: Tensor) -> Tensor:
        return super().forward(ids) / (ids != 2).unsqueeze(-1)


class CentresBatch(Sound):
    fails = "batches"

    def forward(self, ids: Tensor) -> Tensor:
        rows = super().forward(ids)
        return rows - 0.01 * rows.reshape(-1, self.table.dim).mean(0)


class GlobalRandom(Sound):
    fails = "reset"

    def reset(self, generator: torch.Generator) -> None:
        nn.init.normal_(self.stored.weight, std=self.table.std)


class KeepsTrained(Sound):
    fails = "reset"

    def build(self) -> None:
        super().build()
        self.fresh = True

    def reset(self, generator: torch.Generator) -> None:
        if self.fresh:
            super().reset(generator)
        self.fresh = False


class SameSeed(Sound):
    fails = "reset"

    def reset(self, generator: torch.Generator) -> None:
        super().reset(torch.Generator().manual_seed(1))


class UsesCounts(Sound):
    """Needs more than the stored state to rebuild rows."""

    fails = "round trip"

    def forward(self, ids: Tensor) -> Tensor:
        rows = super().forward(ids)
        if self.table.counts is None:
            return rows
        return rows * (1 + 1e-3 * self.table.counts[ids] % 2).unsqueeze(-1)


class UsesSeed(Sound):
    fails = "round trip"

    def build(self) -> None:
        super().build()
        self.shift = 0 if self.table.counts is None else 1

    def forward(self, ids: Tensor) -> Tensor:
        return super().forward(ids + self.shift)


class Hungry(Sound):
    """Unpacks parameters that still ask for gradients."""

    fails = "round trip"

    @classmethod
    def unpack(cls, packed: Any, table: Table, config: Any) -> Any:
        return super().unpack(packed, table, config).requires_grad_(True)


class HiddenState(Sound):
    fails = "state dict"

    def reset(self, generator: torch.Generator) -> None:
        super().reset(generator)
        self.sign = 1.0 if bool(self.stored.weight.detach()[0, 0] > 0) else -1.0
        self.sign *= 1 + float(self.stored.weight.detach()[0, 1])

    def forward(self, ids: Tensor) -> Tensor:
        return super().forward(ids) * self.sign


class Loud(Sound):
    fails = "initial scale"

    def reset(self, generator: torch.Generator) -> None:
        self.stored.normal(1.2 * self.table.std, generator)


class Positive(Sound):
    """Starts as the reference code of the QR trick does: nothing is negative."""

    fails = "initial scale"

    def reset(self, generator: torch.Generator) -> None:
        super().reset(generator)
        with torch.no_grad():
            self.stored.weight.add_(0.5 * self.table.std)


class Zero(Sound):
    fails = "initial scale"

    def reset(self, generator: torch.Generator) -> None:
        self.stored.normal(0.0, generator)


class Detached(Sound):
    fails = "gradients"

    def forward(self, ids: Tensor) -> Tensor:
        return super().forward(ids).detach()


class Unused(Sound):
    fails = "gradients"

    def build(self) -> None:
        super().build()
        self.scale = nn.Parameter(torch.ones(1))

    def reset(self, generator: torch.Generator) -> None:
        super().reset(generator)
        nn.init.ones_(self.scale)


class Forgotten(Unused):
    """A parameter that rows depend on and groups leaves out."""

    fails = "gradients"

    def forward(self, ids: Tensor) -> Tensor:
        return super().forward(ids) * self.scale

    def groups(self, lr: float) -> Any:
        yield {"params": [self.stored.weight], "lr": lr}


class ReadsWeight(Sound):
    """Reads its table without telling the optimiser that postpones updates."""

    fails = "optimiser"

    def forward(self, ids: Tensor) -> Tensor:
        rows = super().forward(ids)
        return rows + 0.1 * self.stored.weight.detach()[(ids + 1) % self.config.rows]


class VectorPenalty(Sound):
    fails = "penalty"

    def penalty(self, rows: Tensor, progress: Any) -> Any:
        return rows.square().sum(-1)


class InfinitePenalty(Sound):
    fails = "penalty"

    def penalty(self, rows: Tensor, progress: Any) -> Any:
        return 1.0 / max(0.0, 0.0 + progress.epoch) if progress.epoch else float("inf")


class Frozen(Sound):
    fails = "loss"

    def groups(self, lr: float) -> Any:
        yield {"params": list(self.parameters()), "lr": 0.0}


class Grows(SoundPruned):
    """Keeps more than was planned once it has trained."""

    fails = "whole run"

    def begin(self, phase: Phase, progress: Any, lr: float) -> None:
        super().begin(phase, progress, lr)
        self.steps = 0

    def penalty(self, rows: Tensor, progress: Any) -> Any:
        if not self.searching and progress.epoch:
            self.mask.fill_(True)
        return 0.0


class Explodes(Sound):
    fails = "whole run"

    def penalty(self, rows: Tensor, progress: Any) -> Any:
        # Finite while the rows are as they start, and for detached rows.
        return rows.sum() * float("nan") if rows.requires_grad else 0.0


class Revives(SoundPruned):
    """Retrains without the mask; packs the entries that it was allowed."""

    fails = "mask"

    def entries(self, index: Tensor) -> Tensor:
        if self.searching or not torch.is_grad_enabled():
            return super().entries(index)
        return self.stored(index)

    def finish(self, phase: Phase) -> None:
        super().finish(phase)
        if not phase.until_budget:
            order = self.stored.weight.detach().abs().flatten().argsort(descending=True)
            self.mask.fill_(False).view(-1)[order[: self.config.kept]] = True


def broken() -> list[type[Any]]:
    """All classes here that fail a check."""
    return [
        thing
        for thing in globals().values()
        if isinstance(thing, type) and issubclass(thing, Method) and getattr(thing, "fails", "")
    ]
