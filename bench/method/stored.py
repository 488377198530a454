"""The file of a method: which arrays it holds, at which precision, and how it is read back.

A method that is stored as its parameters and buffers needs nothing of this. `pack` and `unpack`
(with `arrays`, where `pack` builds something expensive) are for methods that store another form;
`storage` and `kind_of` say how single arrays are stored and what they hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch
from torch import Tensor, nn

from bench.errors import SpecError
from bench.method.header import Header
from bench.method.precision import Storage
from bench.method.rows import Rows
from bench.method.size import FREE, Array, ArrayKind, Arrays, Size, describe, size_of
from bench.method.sparse import unpack_positions
from bench.method.storage import decode, encode, encoded
from bench.method.straight_through import Rounding
from bench.method.table import Table

if TYPE_CHECKING:
    from bench.method.base import Method


class Stored(nn.Module):
    """The part of `bench.method.Method` that turns a method into the arrays of a file and back.

    Class attributes:
        index_maps: packed integer arrays [users + items], [users] or [items] of row numbers, one
            for each id. Budgets of values do not count them.
    """

    name: ClassVar[str]
    index_maps: ClassVar[tuple[str, ...]] = ()
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
        return cls._filed(cls.arrays(table, config), table, config)

    @classmethod
    def header(cls, table: Table, config: Any) -> str:
        """The text in the header of the file, which says how the arrays are to be read."""
        return Header(cls.name, config.record(), table).text()

    @classmethod
    def file_size(cls, table: Table, config: Any) -> Size:
        """Size of the file to the byte, before anything is trained.

        Raises:
            SpecError: the budget counts values, and values are stored in fewer than 32 bits.
        """
        arrays = cls.arrays(table, config)
        filed = cls._filed(arrays, table, config)
        values = size_of(arrays, free=cls.free(arrays)).values
        return Size(values, size_of(filed, cls.header(table, config)).bytes)

    @classmethod
    def free(cls, arrays: Arrays) -> set[str]:
        """Packed arrays that budgets of values do not count, because they hold positions."""
        return {
            name
            for name, (dtype, _) in arrays.items()
            if not dtype.is_floating_point and cls.kind_of(name, dtype) in FREE
        }

    @classmethod
    def _filed(cls, arrays: Arrays, table: Table, config: Any) -> Arrays:
        found: dict[str, Array] = {}
        users: dict[str, int] | None = None
        for name, (dtype, shape) in arrays.items():
            storage = cls.storage(config, name) if dtype == torch.float32 else None
            counted = table.budget is not None and table.budget.accounting == "values"
            if counted and dtype == torch.uint8 and cls.kind_of(name, dtype) == "codes":
                raise SpecError(
                    f"{cls.name}: a byte of its array {name!r} may hold several codes, so a budget"
                    " of values cannot count them; use --accounting bytes, or let `kind_of` say"
                    " what else it holds"
                )
            if storage is None:
                found[name] = dtype, shape
                continue
            if counted:
                raise SpecError(
                    f"{cls.name}: bits = {storage.bits} saves bytes, not values; use"
                    " --accounting bytes"
                )
            if users is None:
                users = cls.user_rows(table, config)
            rows, _ = cls.pruned_tables(table, config).get(name, (None, None))
            found.update(encoded(name, shape, storage, users.get(name), rows))
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
        packed = self.pack()
        for name, array in packed.items():
            storage = self.storage(self.config, name) if array.dtype == torch.float32 else None
            if storage is None:
                found[name] = array
                continue
            if users is None:
                users = self.user_rows(self.table, self.config)
            shape = self.pruned_tables(self.table, self.config).get(name)
            kept = _kept(name, packed, len(array), shape, storage)
            if kept is not None:
                array = torch.zeros(kept.shape, device=array.device).masked_scatter_(kept, array)
            found |= encode(name, array, storage, users.get(name), kept)
        return found

    @classmethod
    def kind_of(cls, array: str, dtype: torch.dtype) -> ArrayKind:
        """What a packed array holds.

        Integers are `codes`, which count as values, unless they are declared as positions:
        `indices` (see `index_maps` and `packed_maps`), or `mask` (see `pruned_tables`).
        """
        if dtype.is_floating_point:
            return "values"
        return "indices" if array in cls.index_maps else "codes"

    @classmethod
    def pruned_tables(cls, table: Table, config: Any) -> Mapping[str, tuple[int, int]]:
        """Rows and columns of each table of which only some entries are packed, by array.

        The positions of the entries of `x` are packed by `bench.method.sparse`, as `x.mask`, or as
        `x.counts` and `x.columns`; `kind_of` says `mask` of them.
        """
        return {}

    @classmethod
    def packed_maps(cls, table: Table, config: Any) -> Mapping[str, tuple[int, int]]:
        """Number of entries, and of rows they may name, of arrays that `pack_numbers` has packed.

        The others have one integer for each id.
        """
        return {}

    @classmethod
    def unpack(cls, packed: Mapping[str, Tensor], table: Table, config: Any) -> Method:
        """Rebuild a method that can only look rows up, from its packed state alone."""
        method = cast("Method", cls(table, config))
        method.load_state_dict(dict(packed))
        return method.to(next(iter(packed.values())).device).requires_grad_(False)

    @classmethod
    def restore(cls, stored: Mapping[str, Tensor], table: Table, config: Any) -> Method:
        """Rebuild a method that can only look rows up, from the arrays of its file."""
        method = cls.unpack(decoded(cls, stored, table, config), table, config)
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

    def rounded_tables(self) -> Iterator[tuple[Rounding, Callable[[], Tensor]]]:
        """What is rounded, and a function that gives the values that it holds now, [n, k]."""
        for table in self.tables():
            if table.rounding is not None:
                yield table.rounding, partial(getattr, table, "weight")
        for name, rounding in self._roundings.items():
            yield rounding, partial(_as_rows, getattr(self, name))

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


def _as_rows(values: Tensor) -> Tensor:
    """A parameter of any number of dimensions as a table: [n, *] -> [n, k]."""
    return values.view(len(values), -1)


def _kept(
    name: str,
    arrays: Mapping[str, Tensor],
    count: int,
    shape: tuple[int, int] | None,
    storage: Storage,
) -> Tensor | None:
    """Which entries of a pruned table are stored, bool [n, k], where each row has a scale.

    `shape`: of the table; None for arrays that are not pruned, of which the answer is None.
    """
    if shape is None or storage.scale == "side" or storage.bits == 16:
        return None
    return unpack_positions(arrays, name, count, *shape)


def decoded(
    kind: type[Stored], stored: Mapping[str, Tensor], table: Table, config: Any
) -> dict[str, Tensor]:
    """The arrays of a file as `pack` returned them, but for rounding."""
    packed, users = dict(stored), kind.user_rows(table, config)
    pruned = kind.pruned_tables(table, config)
    for name, (dtype, shape) in kind.arrays(table, config).items():
        storage = kind.storage(config, name) if dtype == torch.float32 else None
        if storage is not None:
            kept = _kept(name, stored, shape[0], pruned.get(name), storage)
            packed[name] = decode(name, stored, shape, storage, users.get(name), kept)
            for part in (f"{name}.codes", f"{name}.scale"):
                packed.pop(part, None)
    return packed
