"""What is deployed is the stored file: its size, and rows from it alone."""

from __future__ import annotations

import pytest
import safetensors.torch
import torch
from support.conformance import Sound

from bench.budget import Budget
from bench.engine.deploy import (
    BrokenContract,
    OverBudget,
    deploy,
    look_up,
    lookup_speed,
    pack,
)
from bench.method import Table

TABLE = Table(users=6, items=5, dim=4, counts=torch.ones(11))


def trained(rows: int = 3) -> Sound:
    method = Sound(TABLE, Sound.Config(rows=rows))
    method.reset(torch.Generator().manual_seed(1))
    return method


def test_size_is_that_of_the_file_with_its_header():
    packed = pack(trained())
    assert packed.size.values == 3 * 4
    assert packed.size.bytes == len(packed.content) > 3 * 4 * 4
    stored = safetensors.torch.load(packed.content)
    assert {name: tensor.tolist() for name, tensor in stored.items()} == {
        name: tensor.tolist() for name, tensor in packed.arrays.items()
    }


@pytest.mark.parametrize("accounting", ["values", "bytes"])
def test_a_budget_binds_to_the_last_unit(accounting):
    packed = pack(trained())
    exact = packed.size.values if accounting == "values" else packed.size.bytes
    packed.require(Budget(exact, accounting), "sound")
    with pytest.raises(OverBudget, match=rf"sound packs {exact} {accounting}.*of {exact - 1}$"):
        packed.require(Budget(exact - 1, accounting), "sound")


def test_rows_come_from_the_file_alone():
    method = trained()
    content = pack(method).content
    expected = method(torch.arange(TABLE.ids)).detach()
    with torch.no_grad():
        method.stored.weight.zero_()
    deployed = deploy(Sound, content, TABLE, method.config)
    assert deployed.table.counts is None
    assert torch.equal(look_up(deployed, TABLE, "cpu"), expected)


class Wide(Sound):
    def forward(self, ids):
        return super().forward(ids).repeat(1, 2)


class Double(Sound):
    def forward(self, ids):
        return super().forward(ids).double()


class Infinite(Sound):
    def forward(self, ids):
        return super().forward(ids) / 0


@pytest.mark.parametrize(
    ("kind", "message"), [(Wide, r"\(11, 8\)"), (Double, "float64"), (Infinite, "not finite")]
)
def test_rows_that_break_the_contract_are_named(kind, message):
    content = pack(trained()).content
    deployed = deploy(kind, content, TABLE, Sound.Config(rows=3))
    with pytest.raises(BrokenContract, match=message):
        look_up(deployed, TABLE, "cpu")


def test_lookups_are_timed_in_two_sizes_of_batch():
    speeds = lookup_speed(trained(), TABLE)
    assert set(speeds) == {"rows_per_s_1", "rows_per_s_1024"}
    assert all(speed > 0 for speed in speeds.values())
