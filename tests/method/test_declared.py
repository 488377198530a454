"""Integers count as values; what is declared to be positions has to have their form."""

from __future__ import annotations

import pytest
import torch
from support.conformance import Sound

from bench.budget import Budget
from bench.errors import Infeasible
from bench.method import Table
from bench.method.declared import WrongDeclaration, check_declared
from bench.method.file import read_file, write_file
from bench.method.index_map import bits_for, pack_numbers
from bench.method.registry import get_method

TABLE = Table(users=6, items=5, dim=4)


class Mapped(Sound):
    """Ids find their row by a map."""

    name = "mapped"
    index_maps = ("slot",)
    slots = torch.arange(11, dtype=torch.int32) % 3

    def build(self):
        super().build()
        self.register_buffer("slot", self.slots.clone())

    def forward(self, ids):
        return self.stored(self.slot.reshape(-1)[ids].long())


class Undeclared(Mapped):
    index_maps = ()


class FloatBits(Mapped):
    """A float32 of every id as an integer."""

    slots = torch.randn(11).view(torch.int32)


class Matrix(Mapped):
    slots = torch.zeros(11, 2, dtype=torch.int32)


class Wide(Mapped):
    index_maps = ()
    slots = torch.zeros(11, dtype=torch.int64)


class NoTable(Sound):
    """Positions of no table."""

    def build(self):
        super().build()
        self.register_buffer("bits", torch.zeros(40, dtype=torch.uint8))

    @classmethod
    def kind_of(cls, array, dtype):
        return "mask" if array == "bits" else super().kind_of(array, dtype)


def file_of(kind) -> bytes:
    method = kind(TABLE, kind.Config(rows=3))
    method.reset(torch.Generator().manual_seed(1))
    return write_file(method)


@pytest.mark.parametrize(
    ("kind", "values"), [(Mapped, 12), (Undeclared, 12 + 11), (Wide, 12 + 2 * 11)]
)
def test_an_index_map_is_free_and_other_integers_count(kind, values):
    assert read_file(kind, file_of(kind))[0].values == values
    assert kind.file_size(TABLE, kind.Config(rows=3)).values == values


def test_a_budget_of_values_binds_integers_too():
    table = Table(users=6, items=5, dim=4, budget=Budget(14, "values"))
    assert Mapped.plan(table, Mapped.Config()).rows == 3
    with pytest.raises(Infeasible) as caught:
        Undeclared.plan(table, Undeclared.Config())
    assert caught.value.minimum == 11 + 4


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (FloatBits, "slot is declared as an index map, but holds .* longest table has 3 rows"),
        (Matrix, r"slot is declared as an index map and has the shape \[11, 2\]"),
        (NoTable, "bits is declared as positions, but of no table in `pruned_tables`"),
    ],
)
def test_a_declaration_that_is_not_true_is_refused(kind, message):
    with pytest.raises(WrongDeclaration, match=message) as caught:
        read_file(kind, file_of(kind))
    assert "\n" not in str(caught.value)


class Streamed(Sound):
    """Ids find their row by a map of as few bits as the rows take."""

    name = "streamed"
    entries, named = 11, 3  # as `packed_maps` says

    @classmethod
    def kind_of(cls, array, dtype):
        return "indices" if array == "slot" else super().kind_of(array, dtype)

    @classmethod
    def packed_maps(cls, table, config):
        return {"slot": (cls.entries, cls.named)}


def streamed(numbers: torch.Tensor, kind: type[Streamed] = Streamed) -> dict[str, torch.Tensor]:
    bits = bits_for(kind.named - 1)
    return {"stored.weight": torch.zeros(3, 4), "slot": pack_numbers(numbers, bits)}


def test_a_packed_map_names_rows_that_there_are():
    config = Streamed.Config(rows=3)
    check_declared(Streamed, streamed(torch.arange(11) % 3), TABLE, config)
    wrong = streamed(torch.arange(11) % 4)
    with pytest.raises(WrongDeclaration, match="slot names rows beyond the 3 that"):
        check_declared(Streamed, wrong, TABLE, config)
    shorter = wrong | {"slot": wrong["slot"][:-1]}
    with pytest.raises(WrongDeclaration, match="slot has 2 bytes; 11 entries of 2 bits take 3"):
        check_declared(Streamed, shorter, TABLE, config)


@pytest.mark.parametrize(
    ("entries", "named", "allowed"),
    [(16 * 11, 3, True), (16 * 11 + 1, 3, False), (11, 4, False), (11, 2**32, False)],
)
def test_a_packed_map_is_no_larger_than_a_map_can_be(entries, named, allowed):
    """Else any bits could be stored as one."""
    kind = type("Own", (Streamed,), {"entries": entries, "named": named})
    packed = streamed(torch.arange(entries) % 2, kind)
    if allowed:
        check_declared(kind, packed, TABLE, kind.Config(rows=3))
        return
    with pytest.raises(WrongDeclaration, match="a map has at most 16 entries an id, and the long"):
        check_declared(kind, packed, TABLE, kind.Config(rows=3))


def pruned(kept: int):
    kind = get_method("pep")
    table = Table(60, 41, 16)
    method = kind(table, kind.Config(kept=kept))
    method.reset(torch.Generator().manual_seed(0))
    method.finish(kind.phases[0])
    return method


@pytest.mark.parametrize("kept", [20, 800])
def test_positions_have_to_be_those_of_the_stored_values(kept, monkeypatch):
    method = pruned(kept)
    assert read_file(type(method), write_file(method))[0].values == kept
    honest = method.store()
    part = "stored.mask" if "stored.mask" in honest else "stored.counts"
    longer = torch.cat((honest[part], torch.zeros(1, dtype=torch.uint8)))
    for wrong in (honest[part] ^ 255, longer, honest[part][:-1]):
        monkeypatch.setattr(method, "store", lambda wrong=wrong: {**honest, part: wrong})
        with pytest.raises(WrongDeclaration, match=f"{kept} values are stored of a table of 101"):
            read_file(type(method), write_file(method))


def test_a_table_that_is_too_large_cannot_be_pruned(monkeypatch):
    method = pruned(20)
    kind = type(method)
    monkeypatch.setattr(kind, "pruned_tables", classmethod(lambda *_: {"stored": (101, 2**31)}))
    with pytest.raises(WrongDeclaration, match="16 columns can be pruned"):
        read_file(kind, write_file(method))


@pytest.mark.parametrize(("rows", "allowed"), [(202, True), (203, False)])
def test_at_most_two_rows_an_id_can_be_pruned(rows, allowed, monkeypatch):
    """Else the positions of a few values among very many entries could hold anything."""
    method = pruned(20)
    kind, table = type(method), method.table
    monkeypatch.setattr(kind, "pruned_tables", classmethod(lambda *_: {"stored": (rows, 16)}))
    mask = pack_numbers(torch.arange(rows * 16) < 20, 1)
    packed = {"stored": torch.ones(20), "stored.mask": mask}
    if allowed:
        check_declared(kind, packed, table, method.config)
        return
    with pytest.raises(WrongDeclaration, match="at most two rows an id"):
        check_declared(kind, packed, table, method.config)
