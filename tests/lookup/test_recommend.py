"""Own ids, and the items that score highest."""

from __future__ import annotations

import numpy as np
import pytest
import safetensors.numpy
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.exported import made, rows_of, write

import compact_lookup
from bench.backbones.similarity import Similarity
from bench.export.names import names_file
from bench.method.registry import find_methods
from compact_lookup import table as lookup
from compact_lookup.table import Names

METHODS = find_methods()
SCORES = [
    {"similarity": "dot"},
    {"similarity": "cosine"},
    {"similarity": "cosine", "lengths": 0.1},
    {"similarity": "cosine", "norm_power": 0.1},
]


@pytest.fixture(name="method", scope="module")
def method_fixture():
    return made(METHODS["dims-quantised"])


@pytest.mark.parametrize("config", SCORES, ids=str)
def test_the_best_items_are_those_of_the_program(method, config, tmp_path, monkeypatch):
    monkeypatch.setattr(lookup, "_BLOCK", 7)  # several blocks, the last one short
    backbone = {"name": "mf", "config": config}
    table = compact_lookup.load(write(tmp_path, method, backbone=backbone))
    vectors = Similarity.model_validate(config).scaled(torch.from_numpy(rows_of(method)))
    users, items = vectors.split([table.users, table.items])
    for user in (0, 17, 60):
        scores = items @ users[user]
        scores[[3, 5]] = -torch.inf
        wanted = scores.sort(descending=True, stable=True)
        found = table.recommend(f"u{user}", k=9, seen=["i3", "i5", "unknown"])
        np.testing.assert_allclose([s for _, s in found], wanted.values[:9], rtol=1e-4, atol=1e-6)
        assert {name for name, _ in found[:5]} <= {f"i{n}" for n in wanted.indices[:9].tolist()}


def test_all_items_that_were_not_seen_can_be_asked_for(method, tmp_path):
    table = compact_lookup.load(write(tmp_path, method))
    for one in ("i0", b"i0"):
        with pytest.raises(TypeError, match=r"seen=b?'i0' is one id; write seen=\["):
            table.recommend("u1", seen=one)
    names = [name for name, _ in table.recommend("u1", k=1000, seen=["i0"])]
    assert sorted(names) == sorted(f"i{n}" for n in range(1, table.items))
    assert table.recommend("u1", k=0) == []


def test_of_items_with_the_same_score_the_earlier_comes_first(method, tmp_path):
    def reader(file):
        return lambda ids: np.where(ids < file.users, 1, ids % 3)[:, None].astype(np.float32)

    table = compact_lookup.load(write(tmp_path, method), reader=reader)
    found = [int(name[1:]) for name, _ in table.recommend("u1", k=1000)]
    scores = [(table.users + item) % 3 for item in range(table.items)]
    assert found == sorted(range(table.items), key=lambda item: (-scores[item], item))


def test_rows_by_own_ids(method, tmp_path):
    table = compact_lookup.load(write(tmp_path, method))
    assert np.array_equal(table.user("u5"), table.rows(5))
    assert np.array_equal(table.item("i5"), table.rows(table.users + 5))
    for unknown in ("i5", "u", "u61", ""):
        with pytest.raises(KeyError, match="no user"):
            table.user(unknown)
    with pytest.raises(KeyError, match="no user"):
        table.recommend("nobody")


@pytest.mark.parametrize("name", ["lightgcn", "neumf", "mlp"])
def test_scores_that_need_more_than_the_table_are_refused(method, name, tmp_path):
    table = compact_lookup.load(write(tmp_path, method, backbone={"name": name, "config": {}}))
    assert table.user("u1").shape == (table.columns,)
    with pytest.raises(compact_lookup.NoReader, match=name):
        table.recommend("u1")


def test_a_file_without_ids_has_rows_by_number_only(method, tmp_path):
    folder = write(tmp_path, method)
    table = compact_lookup.load(folder / "embeddings.safetensors")
    assert table.rows(0).shape == (table.columns,)
    with pytest.raises(compact_lookup.NoReader, match=r"ids\.safetensors"):
        table.user("u1")


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(names=st.lists(texts, min_size=1, max_size=40, unique=True))
def test_every_id_is_found_and_others_are_not(names):
    arrays = safetensors.numpy.load(names_file(names, ["x"]))
    found = Names("file", arrays, "user", len(names))
    assert [found[n] for n in range(len(names))] == names
    assert [found.number(name) for name in names] == list(range(len(names)))
    for name in names:
        if (other := name + "!") not in names:
            with pytest.raises(KeyError):
                found.number(other)


def test_numbers_are_taken_as_their_digits():
    arrays = safetensors.numpy.load(names_file(["7", "30"], ["x"]))
    names = Names("file", arrays, "user", 2)
    for one in (30, np.int64(30), 30.0, np.float32(30), b"30", np.bytes_(b"30")):
        assert names.number(one) == 1
    for other in (30.5, float("nan"), float("inf"), b"\xff", 3):
        with pytest.raises(KeyError):
            names.number(other)


def test_ids_that_look_like_floats_are_found_as_they_are_written():
    arrays = safetensors.numpy.load(names_file(["7.0", "7"], ["x"]))
    names = Names("file", arrays, "user", 2)
    assert [names.number(one) for one in ("7.0", 7.0, "7", 7)] == [0, 0, 1, 1]


def test_items_that_were_seen_are_left_out_in_whatever_form_their_ids_come(method, tmp_path):
    folder = write(tmp_path, method)
    count = [method.table.users, method.table.items]
    ids = [[str(n) for n in range(one)] for one in count]
    (folder / "ids.safetensors").write_bytes(names_file(*ids))
    table = compact_lookup.load(folder)
    seen = [b"4", 5.0, np.float64(6), np.int64(7), "8"]
    found = {name for name, _ in table.recommend(b"1", k=1000, seen=seen)}
    assert found == set(ids[1]) - {"4", "5", "6", "7", "8"}
