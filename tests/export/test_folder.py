"""The files of an exported folder: whose row is which, and what is refused."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from support.exported import content, made
from support.make_records import Toy, make
from support.make_records import write as write_record

import compact_lookup
from bench.data import load_labels
from bench.errors import BenchError
from bench.export.again import Table
from bench.export.card import Card
from bench.export.find import Data
from bench.export.folder import by_kind, check_target, reads_back, write_folder
from bench.method.registry import find_methods
from bench.records.scan import scan

METHODS = find_methods()


@pytest.fixture(name="data")
def data_fixture(tmp_path):
    """Later users have more interactions, and earlier items."""
    rows = "".join(f"u{user},i{item}\n" for user in range(9) for item in range(8 + user))
    path = tmp_path / "clicks.csv"
    path.write_text("user,item\n" + rows)
    return Data(*load_labels(path), ())


@pytest.mark.parametrize("numbering", ["file", "popularity", "random"])
def test_own_ids_follow_the_numbering_of_the_run(numbering, data, tmp_path):
    toy = Toy("toy", data.split.users, data.split.items, 0.4)
    write_record(tmp_path, *make(toy, "mf", "dims", 0.1, 0, training={"numbering": numbering}))
    [record] = scan(tmp_path).records
    method = made(METHODS["dims"], data.split.users, data.split.items)
    table = Table(content(method), data.split, None)
    write_folder(tmp_path / "t", record, table, data, METHODS["dims"], Card(tmp_path, kept=True))
    found = compact_lookup.load(tmp_path / "t")
    rows = found.rows(np.arange(found.users)).tolist()
    order = [rows.index(found.user(name).tolist()) for name in data.users.texts()]
    counts = [count for _, count in sorted(zip(order, data.split.user_counts(), strict=True))]
    assert sorted(order) == list(range(found.users))
    assert (order == sorted(order)) == (numbering == "file")
    assert (counts == sorted(counts, reverse=True)) == (numbering == "popularity")


@pytest.mark.parametrize("name", ["dims", "dims-quantised", "pep", "pq"])
def test_the_bytes_by_kind_are_those_of_the_file(name):
    file = content(made(METHODS[name]))
    found = Counter(by_kind(file, METHODS[name]))
    assert found.total() == len(file)
    assert found["header"] == 8 + int.from_bytes(file[:8], "little")


@pytest.mark.parametrize("columns", [1, 12])
def test_a_reader_that_leaves_columns_out_is_refused(columns, tmp_path, monkeypatch):
    def reader(file):
        table = compact_lookup.Values(file, "stored.weight", (file.ids, file.columns))
        return lambda ids: table(ids)[:, :columns]

    monkeypatch.setattr("bench.export.folder.own_reader", lambda kind: reader)
    method = made(METHODS["full"], dim=13)
    with pytest.raises(BenchError, match="full: compact_lookup reads other rows"):
        reads_back(tmp_path, content(method), METHODS["full"])
    assert not any(tmp_path.iterdir())


def test_a_file_is_no_folder_to_write_into(tmp_path):
    path = tmp_path / "table"
    path.write_text("mine")
    for force in (False, True):
        with pytest.raises(BenchError, match="table: a file is there; name a folder with --to"):
            check_target(path, force)
    assert path.read_text() == "mine"
