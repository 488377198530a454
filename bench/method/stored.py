"""The file of a method: which arrays it holds, at which precision, and how it is read back.

A method that is stored as its parameters and buffers needs nothing of this. `pack` and `unpack`
(with `arrays`, where `pack` builds something expensive) are for methods that store another form;
`storage` and `kind_of` say how single arrays are stored and what they hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch
from torch import Tensor, nn

from bench.errors import SpecError
from bench.method.precision import Storage
from bench.method.rows import Rows
from bench.method.size import Array, ArrayKind, Arrays, describe
from bench.method.storage import decode, encode, encoded
from bench.method.storage import kinds as storage_kinds
from bench.method.straight_through import Rounding
from bench.method.table import Table

if TYPE_CHECKING:
    from bench.method.base import Method


class Stored(nn.Module):
    """The part of `bench.method.Method` that turns a method into the arrays of a file and back."""

    name: ClassVar[str]
    table: Table
    config: Any

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

    def _prepare_rounding(self) -> None:
        """Called when parameters exist: tables and parameters learn how they are stored."""
        self._roundings: dict[str, Rounding] = {}
        for name, module in self.named_modules():
            if isinstance(module, Rows):
                if module.users is None and len(module.weight) == self.table.ids:
                    module.users = self.table.users
                module.rounding = self.rounding(f"{name}.weight", module)
        for name, _ in self.named_parameters(recurse=False):
            if storage := self.storage(self.config, name):
                self._roundings[name] = Rounding(storage)

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
        method = cast("Method", cls(table, config))
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

    def tables(self) -> Iterator[Rows]:
        """The lookup tables inside, for the optimiser."""
        return (module for module in self.modules() if isinstance(module, Rows))
