import logging
import os
import sys

import numpy as np
import pytest
from support.data import TEST, TRAIN, alone_fixture, cards_fixture, pairs, write  # noqa: F401

from bench.data import cache as cache_module
from bench.data import load, loading
from bench.data.cache import cache_root

pytestmark = pytest.mark.usefixtures("alone")
PART_NAMES = ("train", "valid", "test")


@pytest.fixture()
def own(tmp_path):
    """A small data set, written long ago."""
    folder = write(tmp_path / "own", train_txt=TRAIN, test_txt=TEST)
    for path in folder.iterdir():
        os.utime(path, (1e9, 1e9))
    return folder


@pytest.fixture()
def builds(monkeypatch):
    """How often a data set was built from its files."""
    made = []
    real = loading.assemble
    monkeypatch.setattr(loading, "assemble", lambda *given: made.append(given) or real(*given))
    return made


def kept(tmp_path):
    return [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def same(a, b):
    assert (a.name, a.split, a.users, a.items) == (b.name, b.split, b.users, b.items)
    assert (a.title, a.note, a.repairs, a.temporal) == (b.title, b.note, b.repairs, b.temporal)
    assert (a.fingerprint, a.fingerprints) == (b.fingerprint, b.fingerprints)
    for part in PART_NAMES:
        one, two = getattr(a, part), getattr(b, part)
        assert one.indptr.dtype == two.indptr.dtype == np.int64
        assert one.indices.dtype == two.indices.dtype == np.int32
        assert pairs(one) == pairs(two)


def test_the_second_load_does_not_read_the_files(tmp_path, own, builds, monkeypatch):
    first = load(own)
    monkeypatch.setattr(cache_module.Path, "read_bytes", None)
    second = load(own)
    same(first, second)
    assert len(builds) == 1
    assert [path.suffix for path in kept(tmp_path)] == [".npz"]


def test_a_changed_file_is_noticed_and_a_touched_one_is_not_built_again(own, builds):
    first = load(own)
    os.utime(own / "train.txt", (2e9, 2e9))
    load(own)
    assert len(builds) == 1
    write(own, train_txt=TRAIN.replace("1 2 3", "3 1 2"))
    assert load(own).fingerprint == first.fingerprint
    assert len(builds) == 2
    write(own, train_txt=TRAIN.replace("3 4 5", "2 4 5"))
    assert load(own).fingerprint != first.fingerprint


def test_a_change_within_a_tick_of_the_clock_is_noticed(tmp_path, builds):
    folder = write(tmp_path / "own", train_txt=TRAIN, test_txt=TEST)
    state = (folder / "test.txt").stat()
    first = load(folder)
    load(folder)
    assert len(builds) == 1
    # The same size and the same time, as two quick writes can have.
    write(folder, test_txt=TEST.replace("4 5", "5 4").replace("1 0", "1 3"))
    os.utime(folder / "test.txt", ns=(state.st_atime_ns, state.st_mtime_ns))
    assert load(folder).fingerprints["test"] != first.fingerprints["test"]


def test_another_size_is_noticed_whatever_the_time(own, builds):
    load(own)
    write(own, test_txt=TEST + "0 5\n")
    os.utime(own / "test.txt", (1e9, 1e9))
    load(own)
    assert len(builds) == 2


def test_another_version_of_the_program_builds_anew(own, builds, monkeypatch):
    load(own)
    monkeypatch.setattr(cache_module, "_VERSION", cache_module._VERSION + 1)
    load(own)
    assert len(builds) == 2


def test_ones_own_copy_of_a_card_is_not_the_installed_data_set(cards, own):
    write(own, dataset_toml='name = "toy"\n')
    write(cards, toy_toml='name = "toy"\n')
    assert load(own).split.startswith("toy-v10-s0-")
    assert load("toy", data_dir=own).split == "toy-v10-s0"


def test_another_split_is_another_entry(tmp_path, own, builds):
    one = load(own)
    write(own, dataset_toml='name = "own"\n[split]\nvalid_percent = 30\nseed = 5\n')
    two = load(own)
    assert one.split.startswith("own-v10-s0-")
    assert two.split.startswith("own-v30-s5-")
    assert len(builds) == len(kept(tmp_path)) == 2


def test_damage_anywhere_is_mended_silently(tmp_path, own, builds, caplog):
    whole = load(own)
    (path,) = kept(tmp_path)
    good = path.read_bytes()
    damaged = [good[:cut] for cut in range(0, len(good), 97)]
    for at in range(0, len(good), 23):
        damaged.append(good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1 :])
    damaged += [b"", b"nonsense", good + b"more"]
    for content in damaged:
        path.write_bytes(content)
        same(whole, load(own))
    assert len(builds) > len(damaged) / 2
    assert not [record for record in caplog.records if record.levelno > logging.DEBUG]


def test_the_reason_for_a_rebuild_is_in_the_log(tmp_path, own, caplog):
    load(own)
    kept(tmp_path)[0].write_bytes(b"nonsense")
    with caplog.at_level(logging.DEBUG, logger="bench.data"):
        load(own)
    assert "rebuilt, since it cannot be read" in caplog.text


def test_arrays_that_do_not_fit_are_not_used(tmp_path, own, builds):
    whole = load(own)
    (path,) = kept(tmp_path)
    with np.load(path) as archive:
        arrays = dict(archive)
    changes = {
        "train.indices": arrays["train.indices"] + 100,
        "valid.indptr": arrays["valid.indptr"][:-1],
        "test.indptr": arrays["test.indptr"][::-1],
        "test.indices": arrays["test.indices"].astype(np.int64),
        "train.indptr": np.array([0, 9, 2, arrays["train.indices"].size]),
    }
    for name, value in changes.items():
        np.savez(path, **{**arrays, name: value})
        same(whole, load(own))
    assert len(builds) == 1 + len(changes)


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, own, builds):
    (tmp_path / "blocked").write_text("a file where the folder should be")
    for _ in range(2):
        assert load(own, cache_dir=tmp_path / "blocked").train.nnz
    assert len(builds) == 2


def test_a_failed_write_leaves_nothing_behind(tmp_path, own, monkeypatch):
    def full(stream, **arrays):
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module.np, "savez", full)
    assert load(own).train.nnz
    assert kept(tmp_path) == []


def test_where_the_cache_is(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "x"))
    assert cache_root(tmp_path) == tmp_path
    assert cache_root(None) == tmp_path / "x"
    monkeypatch.delenv("BENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_root(None).name in ("compact-embedding-benchmark", "Cache")
    if sys.platform == "linux":
        assert cache_root(None) == tmp_path / "compact-embedding-benchmark"


def test_what_a_card_says_is_kept_too(own, builds):
    write(own, dataset_toml='name = "own"\ntitle = "Own"\nnote = "mine"\ntemporal = true\n')
    first, second = load(own), load(own)
    assert len(builds) == 1
    same(first, second)
    assert (second.title, second.note, second.temporal) == ("Own", "mine", True)


def test_an_item_behind_the_last_one_is_not_used(tmp_path, own, builds):
    whole = load(own)
    (path,) = kept(tmp_path)
    with np.load(path) as archive:
        arrays = dict(archive)
    assert arrays["test.indices"].max() < whole.items
    for item, made in ((whole.items - 1, 1), (whole.items, 2)):
        arrays["test.indices"][0] = item
        np.savez(path, **arrays)
        load(own)
        assert len(builds) == made
