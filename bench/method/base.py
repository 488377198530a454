"""What a compact-embedding method is. This is the file to read before writing one.

Users are ids 0..U-1 and items U..U+I-1 of one id space of N = U+I ids. A method turns ids into
rows of an embedding; it knows nothing of backbones, losses or data files, and the engine knows
nothing of how rows are made. `bench new NAME` copies a template, `bench check FILE` tests it.

Most methods need `Config`, `plan`, `build`, `reset` and `forward` and leave the rest as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Literal, TypeVar

import torch
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from bench.budget import Bits, Budget
from bench.errors import Infeasible, SpecError
from bench.method.precision import Levels, Scale, Storage
from bench.method.rows import Rows
from bench.method.search_space import Choice, LogRange, Range, Space
from bench.method.size import Array, ArrayKind, Arrays, describe, largest
from bench.method.storage import decode, encode, encoded
from bench.method.storage import kinds as storage_kinds
from bench.method.straight_through import Rounding
from bench.method.table import Phase, Progress, Table

__all__ = [
    "AliasChoices",
    "Budget",
    "Choice",
    "Field",
    "Infeasible",
    "LogRange",
    "Method",
    "Phase",
    "Progress",
    "Range",
    "Rows",
    "Space",
    "Table",
]

Role = Literal["ceiling", "control", "method", "ablation"]
_C = TypeVar("_C", bound="Method.Config")


class Method(nn.Module):
    """Base of all methods; a subclass with a `name` is found without registration.

    Class attributes:
        name: as on the command line.
        title: as on a board.
        paper: authors, venue, year.
        revision: raise it when results may change; it is part of a run's id.
        role: `method`, or `ceiling`, `control`, `ablation` for what boards show apart.
        budgeted: whether a budget binds it; False runs once, at its own size.
        phases: training phases in order; empty for methods that learn nothing.
        space: knobs of `Config` that `bench tune` may set, and to what; none by default.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str] = ""
    revision: ClassVar[int] = 1
    role: ClassVar[Role] = "method"
    budgeted: ClassVar[bool] = True
    phases: ClassVar[tuple[Phase, ...]] = (Phase("train"),)
    space: ClassVar[Mapping[str, Space]] = {}

    class Config(BaseModel):
        """A method's own knobs. Subclass it; unknown or mistyped keys are errors.

        Knobs that `plan` solves have the default 0, which means: from the budget.

        The knobs below are every method's; `bench.method.storage` explains them. `bits`: of a
        stored value, none: 32. `levels`: none: normal up to 4 bits, uniform above. `scale`: none:
        row. `aware`: share of the training, at its end, that sees rounded values; none: .4.
        A class that sets `own_precision` has knobs of its own instead of the first three.
        """

        model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
        own_precision: ClassVar[bool] = False

        bits: Bits | None = None
        levels: Levels | None = None
        scale: Scale | None = None
        aware: float | None = Field(None, ge=0, le=1)

        @model_validator(mode="after")
        def _precision_is_set_once(self) -> Method.Config:
            common = (self.bits, self.levels, self.scale)
            if self.own_precision and any(one is not None for one in common):
                raise ValueError(
                    "bits, levels and scale are not for this method; it has knobs of its own for"
                    " the precision of its arrays"
                )
            return self

        def record(self) -> dict[str, Any]:
            """As a record holds it: what is None is left out, so that a knob can be new.

            Knobs that had another name once keep it there (`serialization_alias`).
            """
            return self.model_dump(mode="json", exclude_none=True, by_alias=True)

        def but(self: _C, **changes: Any) -> _C:
            """A copy with other values."""
            return type(self).model_validate({**self.model_dump(), **changes})

    def __init__(self, table: Table, config: Any) -> None:
        super().__init__()
        self.table = table
        self.config = config
        self.build()
        self._roundings: dict[str, Rounding] = {}
        for name, module in self.named_modules():
            if isinstance(module, Rows):
                if module.users is None and len(module.weight) == table.ids:
                    module.users = table.users
                module.rounding = self.rounding(f"{name}.weight", module)
        for name, _ in self.named_parameters(recurse=False):
            if storage := self.storage(config, name):
                self._roundings[name] = Rounding(storage)

    @classmethod
    def plan(cls, table: Table, config: Any) -> Any:
        """Solves the size knobs, so that the packed state fits `table.budget`.

        Raises:
            Infeasible: no value fits; carries the least size.
        """
        return config

    @classmethod
    def solve(cls: type[Method], knob: str, table: Table, config: _C, low: int, high: int) -> _C:
        """Sets one knob to the largest value in `low..high` that fits; keeps one that is set.

        Raises:
            Infeasible: not even `low` fits.
        """
        if getattr(config, knob):
            return config

        def arrays(value: int) -> Arrays:
            return cls.file_arrays(table, config.but(**{knob: value}))

        return config.but(**{knob: largest(arrays, table.cap, low, high)})

    @classmethod
    def arrays(cls, table: Table, config: Any) -> Arrays:
        """Dtypes and shapes of what `pack` will return, before anything is trained."""
        with torch.device("meta"):
            return describe(cls(table.bare(), config).pack())

    @classmethod
    def storage(cls, config: Any, array: str) -> Storage | None:
        """How a packed float32 array is stored; None: as it is. The knobs say it for all alike."""
        return Storage.of(config)

    @classmethod
    def user_rows(cls, table: Table, config: Any) -> dict[str, int]:
        """How many of the first rows of a packed array are users', for arrays that have sides."""
        with torch.device("meta"):
            method = cls(table.bare(), config)
        found = {n: m.users for n, m in method.named_modules() if isinstance(m, Rows)}
        return {f"{name}.weight": users for name, users in found.items() if users is not None}

    @classmethod
    def file_arrays(cls, table: Table, config: Any) -> Arrays:
        """Dtypes and shapes of what the file will hold, before anything is trained.

        Raises:
            SpecError: the budget counts values, and values are stored in fewer than 32 bits.
        """
        arrays, found = cls.arrays(table, config), dict[str, Array]()
        users: dict[str, int] | None = None
        for name, (dtype, shape) in arrays.items():
            storage = cls.storage(config, name) if dtype == torch.float32 else None
            if storage is None:
                found[name] = dtype, shape
                continue
            if table.budget is not None and table.budget.accounting == "values":
                raise SpecError(
                    f"{cls.name}: bits = {storage.bits} saves bytes, not values; use"
                    " --accounting bytes"
                )
            if users is None:
                users = cls.user_rows(table, config)
            found.update(encoded(name, shape, storage, users.get(name)))
        return found

    def rounding(self, array: str, table: Rows) -> Rounding | None:
        """How training rounds a table that is packed under that name; None: not at all."""
        storage = self.storage(self.config, array)
        return Rounding(storage, table.users) if storage else None

    def build(self) -> None:
        """Creates parameters and buffers, with any content."""
        raise NotImplementedError

    def reset(self, generator: torch.Generator) -> None:
        """(Re)initialises everything; the same generator state gives the same weights."""
        raise NotImplementedError

    def forward(self, ids: Tensor) -> Tensor:
        """Rows of the embedding: int64 [*] -> float32 [*, dim]. All N ids at once must work."""
        raise NotImplementedError

    @property
    def width(self) -> int:
        """Columns, the first ones, that can hold other than zero, in rows that `forward` returns.

        Training leaves the others out where scores are dot products.
        """
        return self.table.dim

    def pack(self) -> dict[str, Tensor]:
        """Everything that inference needs and nothing else, before values are rounded."""
        return {name: tensor.detach() for name, tensor in self.state_dict().items()}

    def store(self) -> dict[str, Tensor]:
        """The arrays of the file: `pack`, with values at their precision. A budget binds these.

        Raises:
            NotFinite: training has diverged.
        """
        users: dict[str, int] | None = None
        found: dict[str, Tensor] = {}
        for name, array in self.pack().items():
            storage = self.storage(self.config, name) if array.dtype == torch.float32 else None
            if storage is None:
                found[name] = array
                continue
            if users is None:
                users = self.user_rows(self.table, self.config)
            found |= encode(name, array, storage, users.get(name))
        return found

    @classmethod
    def kind_of(cls, array: str, dtype: torch.dtype) -> ArrayKind:
        """What a packed array holds, for reports."""
        if dtype.is_floating_point:
            return "values"
        return "codes" if dtype in (torch.int8, torch.uint8) else "indices"

    def kinds(self) -> dict[str, ArrayKind]:
        """What each array of the file holds."""
        found: dict[str, ArrayKind] = {}
        for name, array in self.pack().items():
            storage = self.storage(self.config, name) if array.dtype == torch.float32 else None
            own = {name: self.kind_of(name, array.dtype)}
            found |= own if storage is None else storage_kinds(name, storage)
        return found

    @classmethod
    def unpack(cls, packed: Mapping[str, Tensor], table: Table, config: Any) -> Method:
        """Rebuilds a method that can only look rows up, from its packed state alone."""
        method = cls(table, config)
        method.load_state_dict(dict(packed))
        return method.to(next(iter(packed.values())).device).requires_grad_(False)

    @classmethod
    def restore(cls, stored: Mapping[str, Tensor], table: Table, config: Any) -> Method:
        """Rebuilds a method that can only look rows up, from the arrays of its file."""
        packed, users = dict(stored), cls.user_rows(table, config)
        for name, (dtype, shape) in cls.arrays(table, config).items():
            storage = cls.storage(config, name) if dtype == torch.float32 else None
            if storage is not None:
                packed[name] = decode(name, stored, shape, storage, users.get(name))
                for part in (f"{name}.codes", f"{name}.scale"):
                    packed.pop(part, None)
        method = cls.unpack(packed, table, config)
        method.round_no_more()
        return method

    def round_no_more(self) -> None:
        """Values are those of a file: they are rounded already."""
        self._roundings.clear()
        for table in self.tables():
            table.rounding = None

    @classmethod
    @torch.no_grad()
    def rows(
        cls,
        packed: Mapping[str, Tensor],
        table: Table,
        config: Any,
        ids: Tensor,
    ) -> Tensor:
        """Rows of ids from the arrays of the file alone: int64 [*] -> float32 [*, dim]."""
        return cls.restore(packed, table.bare(), config)(ids)

    def advance(self, phase: Phase, progress: Progress) -> None:
        """Called before each training step: turns rounding on when its part of training begins."""
        for rounding, table in self.rounded_tables():
            share = 1 - progress.step / max(1, progress.steps)
            active = not phase.until_budget and share <= rounding.aware
            if active and (not rounding.active or progress.epoch != rounding.measured):
                rounding.measure(table)
                rounding.measured = progress.epoch
            rounding.active = active

    def rounded_tables(self) -> Iterator[tuple[Rounding, Tensor]]:
        """What is rounded, and the values that it holds now."""
        for table in self.tables():
            if table.rounding is not None:
                yield table.rounding, table.weight
        for name, rounding in self._roundings.items():
            value = getattr(self, name)
            yield rounding, value.view(len(value), -1)

    def value(self, name: str) -> Tensor:
        """A parameter of the method's own as the file will give it back; for use in `forward`.

        Only parameters outside of `Rows` need it. One that is read without it is rounded after
        training.
        """
        parameter: Tensor = getattr(self, name)
        rounding = self._roundings.get(name)
        if rounding is None:
            return parameter
        if not torch.is_grad_enabled():
            return rounding.whole(parameter)
        if not rounding.active:
            return parameter
        flat = rounding.straight(parameter.view(len(parameter), -1))
        return flat.view(parameter.shape)

    def begin(self, phase: Phase, progress: Progress, lr: float) -> None:
        """Called before a phase, after any rewind; `progress.steps` is the most it can take."""

    def finish(self, phase: Phase) -> None:
        """Called when a phase has ended; a search cuts to the exact budget here."""

    def live(self) -> int:
        """Entries that the search still keeps; asked for in `until_budget` phases only."""
        raise NotImplementedError

    def target(self) -> int:
        """Entries that the search has to come down to; asked for with `live`."""
        raise NotImplementedError

    def penalty(self, rows: Tensor, progress: Progress) -> Tensor | float:
        """Extra loss, from the distinct rows of the batch, float32 [n, dim or `width`]."""
        return 0.0

    def groups(self, lr: float) -> Iterable[dict[str, Any]]:
        """Optimiser groups: `params`, and `lr` or `weight_decay` where they differ."""
        yield {"params": list(self.parameters()), "lr": lr}

    def tables(self) -> Iterator[Rows]:
        """The lookup tables inside, for the optimiser."""
        return (module for module in self.modules() if isinstance(module, Rows))
