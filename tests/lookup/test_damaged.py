"""Damaged and hostile files: a clear error, and nothing else."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.exported import content, made

import compact_lookup
from bench.export.names import names_file
from bench.method.registry import find_methods
from compact_lookup.table import Names

METHODS = find_methods()
# One of each family, and of each way to store values.
KINDS = {
    "dims": {},
    "dims-quantised": {},
    "graded": {},
    "hashing": {"bits": 3},
    "qr": {"bits": 8, "scale": "side"},
    "ttrec": {},
    "pep": {},
    "cerp": {"bits": 4},
    "pq": {},
    "mgqe": {},
    "svd": {},
}
FILES = {name: content(made(METHODS[name], **knobs)) for name, knobs in KINDS.items()}
NAMES = names_file(["u0", "u1", "ü"], ["a", "bb"])
SMALL = content(made(METHODS["dims"], users=3, items=2))
MUCH = 20_000_000
SETTINGS = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
# Arithmetic on damaged scales.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def header_length(file):
    return 8 + int.from_bytes(file[:8], "little")


def attempt(path, file):
    """Opens a file and uses it; only errors that say what is wrong may come of it."""
    path.write_bytes(file)
    tracemalloc.start()
    try:
        table = compact_lookup.load(path)
        few = np.arange(min(300, table.users + table.items))
        assert table.rows(few).dtype == np.float32
        assert table.rows(table.users + table.items - 1).shape == (table.columns,)
    except (compact_lookup.BadFile, compact_lookup.NoReader) as error:
        assert str(path) in str(error)
        assert "\n" not in str(error)
        return str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MUCH
    return ""


def changed(file, change):
    """A file with another header text."""
    arrays = safetensors.numpy.load(file)
    length = header_length(file)
    said = json.loads(json.loads(file[8:length])["__metadata__"]["bench"])
    change(said, arrays)
    return safetensors.numpy.save(arrays, {"bench": json.dumps(said)})


@pytest.mark.parametrize("name", FILES)
def test_whole_files_are_read(name, tmp_path):
    assert attempt(tmp_path / "f", FILES[name]) == ""


@SETTINGS
@given(data=st.data(), name=st.sampled_from(sorted(FILES)))
def test_truncated_files(data, name, tmp_path):
    file = FILES[name]
    cut = data.draw(st.integers(0, len(file) - 1))
    assert "export it again" in attempt(tmp_path / "f", file[:cut])


@settings(SETTINGS, max_examples=150)
@given(data=st.data(), name=st.sampled_from(sorted(FILES)))
def test_flipped_bits(data, name, tmp_path):
    file = bytearray(FILES[name])
    within = data.draw(st.sampled_from([header_length(file), len(file)]))
    for place in data.draw(st.lists(st.integers(0, within * 8 - 1), min_size=1, max_size=3)):
        file[place // 8] ^= 1 << place % 8
    attempt(tmp_path / "f", bytes(file))


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.sampled_from([2**31, 2**40, 2**63, 10**30, -(10**30)]),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(0, 3), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@settings(SETTINGS, max_examples=200)
@given(data=st.data(), name=st.sampled_from(sorted(FILES)), value=values)
def test_any_value_in_the_header(data, name, value, tmp_path):
    def change(said, arrays):
        places = [(said, key) for key in said]
        places += [(part, key) for part in said.values() if isinstance(part, dict) for key in part]
        places += [(said["method"]["config"], key) for key in said["method"]["config"]]
        place, key = data.draw(st.sampled_from(range(len(places))).map(places.__getitem__))
        place[key] = value

    attempt(tmp_path / "f", changed(FILES[name], change))


@pytest.mark.parametrize("head", [-(10**30), -1e30, -(2**40)])
def test_a_share_that_cannot_be_does_not_start_an_endless_search(head, tmp_path):
    def change(said, arrays):
        said["method"]["config"]["head"] = head

    assert "does not fit" in attempt(tmp_path / "f", changed(FILES["hashing"], change))


@SETTINGS
@given(data=st.data(), name=st.sampled_from(sorted(FILES)))
def test_missing_arrays_and_wrong_shapes(data, name, tmp_path):
    def change(said, arrays):
        key = data.draw(st.sampled_from(sorted(arrays)))
        how = data.draw(st.sampled_from(["missing", "short", "flat", "type"]))
        array = arrays.pop(key)
        if how == "short":
            arrays[key] = array[:-1].copy()
        elif how == "flat":
            arrays[key] = array.reshape(1, -1).copy()
        elif how == "type":
            arrays[key] = array.astype(np.int16)

    assert attempt(tmp_path / "f", changed(FILES[name], change))


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "1", '"x"', "[" * 100_000, '{"method":' * 5000, "{}", "NaN"],
    ids=lambda text: text[:12],
)
def test_texts_that_are_no_header(text, tmp_path):
    file = safetensors.numpy.save({"x": np.zeros(1, np.float32)}, {"bench": text})
    assert "header" in attempt(tmp_path / "f", file)


def test_files_that_are_something_else(tmp_path):
    file = safetensors.numpy.save({"x": np.zeros(1, np.float32)})
    assert "header" in attempt(tmp_path / "f", file)
    for other in (b"", b"PK\x03\x04" + bytes(100), b"\x80\x04cos\nsystem\n", b"\xff" * 64):
        assert attempt(tmp_path / "f", other)
    with pytest.raises(OSError, match="nothing-here"):
        compact_lookup.load(tmp_path / "nothing-here")


@settings(SETTINGS, max_examples=100)
@given(data=st.data())
def test_damaged_ids(data, tmp_path):
    """Whatever the arrays of the ids hold, they are refused or used within their bounds."""
    (tmp_path / "embeddings.safetensors").write_bytes(SMALL)
    arrays = safetensors.numpy.load(NAMES)
    key = data.draw(st.sampled_from(sorted(arrays)))
    array = arrays[key].copy()
    place = data.draw(st.integers(0, len(array) - 1))
    array[place] = data.draw(st.integers(*map(int, (np.iinfo(array.dtype).min, 255))))
    arrays[key] = array[: data.draw(st.integers(0, len(array)))]
    (tmp_path / "ids.safetensors").write_bytes(safetensors.numpy.save(arrays))
    try:
        table = compact_lookup.load(tmp_path)
        table.recommend("u0", seen=["a", "none"])
    except compact_lookup.BadFile as error:
        assert "ids.safetensors" in str(error)
    except KeyError:
        pass


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ("ends", [-1, 2, 6]),
        ("ends", [3, 2, 6]),
        ("ends", [2, 4, 5]),
        ("ends", [2, 4, 7]),
        ("order", [0, 0, 2]),
        ("order", [1, 2, 3]),
        ("order", [-1, 0, 1]),
    ],
)
def test_ids_that_do_not_fill_their_text_in_order_are_refused(part, wrong):
    arrays = safetensors.numpy.load(names_file(["u0", "u1", "ü"], ["a"]))
    assert Names("f", arrays, "user", 3)[2] == "ü"
    arrays[f"user.{part}"] = np.array(wrong, np.int32)
    with pytest.raises(compact_lookup.BadFile, match="f: not the ids of 3 users; export the fold"):
        Names("f", arrays, "user", 3)


def one_row_less(said, arrays):
    said["method"]["config"]["sizes"][-1] -= 1
    arrays["parts.1.weight"] = arrays["parts.1.weight"][:-1].copy()


def bits_of_every_group(bits):
    """All groups have these bits, 3 bits for each number, the most significant first."""

    def change(said, arrays):
        text = f"{bits:03b}" * (len(arrays["group_bits"]) * 8 // 3)
        arrays["group_bits"] = np.packbits(np.array(list(text), np.uint8))

    return change


def another_side(said, arrays):
    """A row of a user less, and one of an item more."""
    users = said["table"]["users"]
    flags = np.unpackbits(arrays["rows"])
    flags[np.flatnonzero(flags[:users])[0]] = 0
    flags[users + np.flatnonzero(flags[users:] == 0)[0]] = 1
    arrays["rows"] = np.packbits(flags)


def filled(name, value):
    def change(said, arrays):
        arrays[name][:] = value

    return change


@pytest.mark.parametrize(
    ("name", "knobs", "change", "says"),
    [
        ("pep", {"bits": 4}, filled("stored.mask", 0), "0 values have a place, 202 are stored"),
        ("pep", {}, filled("stored.counts", 0), "0 values have a place, 17 are stored"),
        ("pep", {}, filled("stored.columns", 255), "a value lies outside of its row"),
        ("mixed", {}, one_row_less, "its buckets have 101 ids, not 102"),
        ("mpe", {}, bits_of_every_group(7), "a group has more than 6 bits"),
        ("mpe", {}, bits_of_every_group(6), "its codes end before those of the last group"),
        ("optembed", {}, another_side, "its mask keeps another number of rows than are stored"),
    ],
)
def test_arrays_that_contradict_each_other_are_refused(name, knobs, change, says, tmp_path):
    file = content(made(METHODS[name], **knobs))
    assert attempt(tmp_path / "f", changed(file, lambda said, arrays: None)) == ""
    assert says in attempt(tmp_path / "f", changed(file, change))
