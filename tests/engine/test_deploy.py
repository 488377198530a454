"""Rows of a method that was read back from its file, and their speed."""

from __future__ import annotations

import pytest
import torch
from support.conformance import Sound

from bench.engine.deploy import BrokenContract, look_up, lookup_speed
from bench.method import Table
from bench.method.file import read_file, write_file

TABLE = Table(users=6, items=5, dim=4, counts=torch.ones(11))


def trained(rows: int = 3) -> Sound:
    method = Sound(TABLE, Sound.Config(rows=rows))
    method.reset(torch.Generator().manual_seed(1))
    return method


def test_rows_come_from_the_file_alone():
    method = trained()
    content = write_file(method)
    expected = method(torch.arange(TABLE.ids)).detach()
    with torch.no_grad():
        method.stored.weight.zero_()
    deployed = read_file(Sound, content)[1]
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
    deployed = read_file(kind, write_file(trained()))[1]
    with pytest.raises(BrokenContract, match=message):
        look_up(deployed, TABLE, "cpu")


def test_lookups_are_timed_in_two_sizes_of_batch():
    speeds = lookup_speed(trained(), TABLE)
    assert set(speeds) == {"rows_per_s_1", "rows_per_s_1024"}
    assert all(speed > 0 for speed in speeds.values())
