"""The file of a method: its header, its size to the byte, and what reading it back refuses."""

from __future__ import annotations

import json

import pytest
import safetensors.torch
import torch
from support.conformance import Sound

from bench.budget import Budget
from bench.check.subject import Subject
from bench.method import Table
from bench.method.file import OverBudget, read_file, write_file
from bench.method.header import BadFile, Header, read_header
from bench.method.registry import find_methods, get_method

SCORED = {"name": "mf", "config": {"similarity": "cosine"}}
TABLE = Table(users=6, items=5, dim=4, seed=3, counts=torch.ones(11), wide=True, backbone=SCORED)


def trained(rows: int = 3) -> Sound:
    method = Sound(TABLE, Sound.Config(rows=rows))
    method.reset(torch.Generator().manual_seed(1))
    return method


def test_the_header_holds_what_look_up_needs_and_the_file_is_as_long_as_counted_by_hand():
    content = write_file(trained())
    said = (
        '{"format":2,"method":{"name":"sound","config":{"rows":3}},'
        '"table":{"users":6,"items":5,"dim":4,"wide":true},'
        '"backbone":{"name":"mf","config":{"similarity":"cosine"}}}'
    )
    assert Header("sound", {"rows": 3}, TABLE).text() == said
    escaped = said.replace('"', '\\"')
    header = (
        f'{{"__metadata__":{{"bench":"{escaped}"}},'
        '"stored.weight":{"dtype":"F32","shape":[3,4],"data_offsets":[0,48]}}'
    )
    assert (len(said), len(header)) == (166, 297)
    assert content[8:305].decode() == header
    assert len(content) == 8 + 304 + 48  # the next multiple of 8
    assert Sound.file_size(TABLE, Sound.Config(rows=3)).bytes == 360


def test_a_header_reads_back():
    header = read_header(write_file(trained()))
    assert (header.method, header.config) == ("sound", {"rows": 3})
    table = header.table
    assert (table.users, table.items, table.dim, table.wide) == (6, 5, 4, True)
    assert table.backbone == SCORED
    assert (table.counts, table.budget, table.seed) == (None, None, 0)


@pytest.mark.parametrize("name", sorted(find_methods()))
def test_files_of_every_method_give_the_rows_of_training(name):
    """With knobs from the header alone, and a length to the byte."""
    kind = get_method(name)
    budget = Budget(4000) if kind.budgeted else None
    table = Table(60, 41, 16, budget, seed=5, counts=torch.arange(101), backbone=SCORED)
    config = kind.plan(table, kind.Config())
    method = kind(Subject(kind).given(table), config)
    method.reset(torch.Generator().manual_seed(0))
    for phase in kind.phases:
        if phase.until_budget:
            method.finish(phase)
    content = write_file(method)
    assert len(content) == kind.file_size(table, config).bytes
    assert kind.budgeted is False or len(content) <= 4000
    packed, found = read_file(kind, content)
    assert packed.size == kind.file_size(table, config)
    assert found.config == config
    assert found.table.counts is None
    with torch.no_grad():
        assert torch.equal(found(torch.arange(101)), method(torch.arange(101)))


@pytest.mark.parametrize("accounting", ["values", "bytes"])
def test_a_budget_binds_to_the_last_unit(accounting):
    packed, _ = read_file(Sound, write_file(trained()))
    exact = packed.values if accounting == "values" else packed.bytes
    assert packed.values == 12
    read_file(Sound, write_file(trained()), Budget(exact, accounting))
    with pytest.raises(OverBudget, match=rf"sound stores {exact} {accounting}.*of {exact - 1}$"):
        read_file(Sound, write_file(trained()), Budget(exact - 1, accounting))


def changed(**changes) -> bytes:
    said = json.loads(Header("sound", {"rows": 3}, TABLE).text()) | changes
    arrays = safetensors.torch.load(write_file(trained()))
    return safetensors.torch.save(arrays, {"bench": json.dumps(said)})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "header of the file cannot be read"),
        (b"\x10\0\0\0\0\0\0\0{}", "header of the file cannot be read"),
        (safetensors.torch.save({"a": torch.zeros(1)}), "__metadata__"),
        (changed(format=1), "format 1; this version reads format 2"),
        (changed(table={}), "users"),
        (changed(method={"name": "dims", "config": {}}), "the file is of dims, not of sound"),
    ],
)
def test_other_files_are_refused_in_one_line(content, message):
    with pytest.raises(BadFile, match=message) as caught:
        read_file(Sound, content)
    assert "\n" not in str(caught.value)
