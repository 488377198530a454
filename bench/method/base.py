"""What a compact-embedding method is. This is the file to read before writing one.

Users are ids 0..U-1 and items U..U+I-1 of one id space of N = U+I ids. A method turns ids into
rows of an embedding; it knows nothing of backbones, losses or data files, and the engine knows
nothing of how rows are made. `bench.method.stored` has the hooks that concern the file of a method.
`bench new NAME` copies a template, `bench check FILE` tests it.

Most methods need `Config`, `plan`, `build`, `reset` and `forward` and leave the rest as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any, ClassVar, Literal, TypeVar

import torch
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from bench.budget import Bits, Budget
from bench.errors import Infeasible, SpecError
from bench.method.precision import Levels, Scale, ScaleBits
from bench.method.rows import Rows
from bench.method.search_space import Choice, LogRange, Range, Space
from bench.method.size import Size, largest
from bench.method.stored import Stored
from bench.method.table import Need, Pairs, Phase, Progress, Table

__all__ = [
    "AliasChoices",
    "Budget",
    "Choice",
    "Field",
    "Infeasible",
    "LogRange",
    "Method",
    "Need",
    "Pairs",
    "Phase",
    "Progress",
    "Range",
    "Rows",
    "Space",
    "Table",
    "model_validator",
]

Role = Literal["ceiling", "control", "method", "ablation"]
_C = TypeVar("_C", bound="Method.Config")


class Method(Stored):
    """Base of all methods; a subclass with a `name` is found without registration.

    Class attributes:
        name: as on the command line.
        title: as on a board.
        family: how it makes a table small, such as `hashing`; listings group methods by it.
        paper: authors, venue, year of the paper; a class that sets it sets the next three, too.
        paper_title, year, url: of the paper.
        stores: what its file holds, in a few words.
        revision: raise it when results may change; it is part of a run's id.
        role: `method`, or `ceiling`, `control`, `ablation` for what boards show apart.
        budgeted: whether a budget binds it; False runs once, at its own size.
        phases: training phases in order; empty for methods that learn nothing.
        needs: what `table` must have beside counts: `interactions`, `teacher`, or both. Where a
            method needs a teacher, a full table is trained first, and its work counts as the run's.
        space: knobs of `Config` that `bench tune` may set, and to what; none by default.
        published: knobs of the form that the paper describes, where it differs from what is tuned;
            all other knobs have their defaults then. Boards show both forms.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    family: ClassVar[str] = ""
    paper: ClassVar[str] = ""
    paper_title: ClassVar[str] = ""
    year: ClassVar[int | None] = None
    url: ClassVar[str] = ""
    stores: ClassVar[str] = ""
    revision: ClassVar[int] = 1
    role: ClassVar[Role] = "method"
    budgeted: ClassVar[bool] = True
    phases: ClassVar[tuple[Phase, ...]] = (Phase("train"),)
    needs: ClassVar[Set[Need]] = frozenset()
    space: ClassVar[Mapping[str, Space]] = {}
    published: ClassVar[Mapping[str, Any]] = {}

    class Config(BaseModel):
        """A method's own knobs. Subclass it; unknown or mistyped keys are errors.

        Knobs that `plan` solves have the default 0, which means: from the budget.

        The knobs below are every method's; `bench.method.storage` explains them. `bits`: of a
        stored value, none: 32. `levels`: none: normal up to 4 bits, uniform above. `scale`: none:
        row. `aware`: share of the training, at its end, that sees rounded values; none: .1.
        `scale_bits`: of the scale of a row, none: 8. A class that sets `own_precision` has knobs of
        its own instead of the first three.
        """

        model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
        own_precision: ClassVar[bool] = False

        bits: Bits | None = None
        levels: Levels | None = None
        scale: Scale | None = None
        aware: float | None = Field(None, ge=0, le=1)
        scale_bits: ScaleBits | None = None

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
            """As a record holds it: what is None by default is left out, so that a knob can be new.

            Knobs that had another name once keep it there (`serialization_alias`).
            """
            fields = type(self).model_fields.items()
            unset = {n for n, one in fields if one.default is None and getattr(self, n) is None}
            return self.model_dump(mode="json", exclude=unset, by_alias=True)

        def but(self: _C, **changes: Any) -> _C:
            """A copy with other values."""
            return type(self).model_validate({**self.model_dump(), **changes})

    def __init__(self, table: Table, config: Any) -> None:
        super().__init__()
        self.table = table
        self.config = config
        self.build()
        self._prepare_rounding()

    @classmethod
    def plan(cls, table: Table, config: Any) -> Any:
        """Solve the size knobs, so that the packed state fits `table.budget`.

        Raises:
            Infeasible: no value fits; carries the least size.
        """
        return config

    @classmethod
    def with_user_lengths(cls, config: _C) -> _C:
        """The knobs for backbones that sum rows over a graph, where a user's length is a weight.

        Called before `plan`. A method that has the knob `user_lengths` keeps them here unless the
        knob is set to false. Others override this if they drop lengths.
        """
        if "user_lengths" not in cls.Config.model_fields:
            return config
        # A default of false is no setting.
        given = config.model_dump(exclude_unset=True).get("user_lengths")
        return config.but(user_lengths=given is not False)

    @classmethod
    def solve(cls: type[Method], knob: str, table: Table, config: _C, low: int, high: int) -> _C:
        """Set one knob to the largest value in `low..high` that fits; keep one that is set.

        Raises:
            Infeasible: not even `low` fits.
            SpecError: there is no such knob.
        """
        if knob not in cls.Config.model_fields:
            raise SpecError(
                f"{cls.name}: its `plan` solves {knob!r}, which is no knob of its Config; there are"
                f" {', '.join(cls.Config.model_fields)}"
            )
        if getattr(config, knob):
            return config

        def size(value: int) -> Size:
            return cls.file_size(table, config.but(**{knob: value}))

        return config.but(**{knob: largest(size, table.cap, low, high)})

    def build(self) -> None:
        """Create parameters and buffers, with any content."""
        raise NotImplementedError(f"{type(self).__name__} has no build(self)")

    def reset(self, generator: torch.Generator) -> None:
        """(Re)initialise everything; the same generator state gives the same weights."""
        raise NotImplementedError(f"{type(self).__name__} has no reset(self, generator)")

    def forward(self, ids: Tensor) -> Tensor:
        """Rows of the embedding: int64 [*] -> float32 [*, dim]. All N ids at once must work."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(self, ids)")

    @property
    def width(self) -> int:
        """Columns, the first ones, that can hold other than zero, in rows that `forward` returns.

        Training leaves the others out where scores are dot products.
        """
        return self.table.dim

    def advance(self, phase: Phase, progress: Progress) -> None:
        """Called before each training step: turns rounding on when its part of training begins."""
        for rounding, values in self.rounded_tables():
            share = 1 - progress.step / max(1, progress.steps)
            active = not phase.until_budget and share <= rounding.aware
            if active and (not rounding.active or progress.epoch != rounding.measured):
                rounding.measure(values())
                rounding.measured = progress.epoch
            rounding.active = active

    def settled(self) -> bool:
        """Whether all that begins late in a phase has begun; patience ends no phase before."""
        return all(one.active or not one.aware for one, _ in self.rounded_tables())

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

    @property
    def distillation(self) -> float:
        """Weight of the loss that pulls scores to the teacher's; 0 for none.

        For methods whose `needs` names a teacher; `bench.engine.distillation` has the loss.
        """
        return 0.0

    def groups(self, lr: float) -> Iterable[dict[str, Any]]:
        """Optimiser groups: `params`, and `lr` or `weight_decay` where they differ."""
        yield {"params": list(self.parameters()), "lr": lr}

    def outcome(self) -> str:
        """What the method made of its budget, in a few words for boards; "" for nothing to say."""
        return ""
