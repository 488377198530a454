"""Rows that `compact_lookup` reads are those of the program, for every method and precision."""

from __future__ import annotations

import ast
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from support.exported import made, makeable, rows_of, write

import compact_lookup
from bench.errors import Infeasible
from bench.method.precision import NORMAL
from bench.method.registry import find_methods
from compact_lookup import values
from compact_lookup.readers import READERS

METHODS = find_methods()
# Sums in another order: these methods multiply matrices, or add many words.
# A normalised layer enlarges errors of float32.
INEXACT = {"dhe": 1e-5, "rq": 1e-6, "rq-tuned": 1e-6, "ttrec": 1e-6}
FOLDER = Path(compact_lookup.__file__).parent


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_a_reader(name):
    assert name in READERS, (
        f"nothing reads the files of {name} without PyTorch: write a function that takes a"
        " compact_lookup.File and returns a function from ids to rows, with NumPy only, in a"
        f" module of compact_lookup/readers, and list it there as METHODS = {{{name!r}: ...}}"
    )


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        pytest.param(name, whole, marks=pytest.mark.slow if whole else [])
        for name in METHODS
        for whole in (False, True)
    ],
)
def test_rows_are_those_of_the_program_to_the_bit(name, whole, tmp_path):
    tried = 0
    for knobs, method in makeable(METHODS[name], whole):
        table = compact_lookup.load(write(tmp_path, method))
        size = (tmp_path / "embeddings.safetensors").stat().st_size
        assert size == method.file_size(method.table, method.config).bytes, knobs
        wanted, found = rows_of(method), table.rows(np.arange(method.table.ids))
        assert found.dtype == np.float32 and found.shape == (len(wanted), table.columns)
        assert not wanted[:, table.columns :].any(), knobs
        wanted = wanted[:, : table.columns]
        if name in INEXACT:
            np.testing.assert_allclose(found, wanted, atol=INEXACT[name], err_msg=str(knobs))
        else:
            np.testing.assert_array_equal(found, wanted, err_msg=str(knobs))
        some = np.random.default_rng(0).integers(0, len(wanted), (3, 5))
        near = INEXACT.get(name, 1e-6)
        np.testing.assert_allclose(table.rows(some), found[some], atol=near, err_msg=str(knobs))
        tried += 1
    assert tried


@pytest.mark.parametrize(
    ("name", "share", "knobs", "distinct"),
    [
        ("hashing", 0.4, {"head": 0.5, "hashes": 2}, 70),
        ("hashing", 0.4, {"head": 0.3, "hashes": 3, "joint": True}, 90),
        ("hashing", 0.4, {"user_share": 0.8}, 70),
        ("qr", 0.6, {"divisor_size": "large", "user_share": 0.8}, 102),
        ("qr", 0.6, {"divisor_size": "large", "combine": "add", "user_share": 0.3}, 102),
        ("optembed", 0.5, {"item_columns": 0.5}, 100),
        ("optembed", 0.5, {"kept_user_share": 0.8}, 80),
        ("mgqe", 0.6, {"head": 0.4}, 90),
        ("robe", 0.4, {"user_share": 0.8}, 80),
        ("cce", 0.6, {"user_share": 0.8}, 100),
        ("graphhash", 0.6, {"head": 0.5}, 50),
    ],
)
def test_knobs_count_in_tables_of_many_rows(name, share, knobs, distinct, tmp_path):
    """The smallest tables have two rows, which leave most knobs without an effect."""
    method = made(METHODS[name], shares=(share,), **knobs)
    wanted = rows_of(method)
    assert len(np.unique(wanted, axis=0)) >= distinct
    table = compact_lookup.load(write(tmp_path, method))
    assert not wanted[:, table.columns :].any()
    found = table.rows(np.arange(method.table.ids))
    np.testing.assert_array_equal(found, wanted[:, : table.columns])


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("shape", [(5, 1, 8), (1, 5, 8), (40, 30, 3)])
def test_tables_of_few_ids_or_columns_are_read(shape, name, tmp_path):
    try:
        method = made(METHODS[name], *shape)
    except Infeasible:
        pytest.skip("no size fits")
    table, wanted = compact_lookup.load(write(tmp_path, method)), rows_of(method)
    found = table.rows(np.arange(method.table.ids))
    np.testing.assert_allclose(found, wanted[:, : table.columns], atol=INEXACT.get(name, 0))


@pytest.mark.parametrize("words", [101, 102])
def test_a_codebook_may_have_as_many_rows_as_there_are_ids(words, tmp_path):
    method = made(METHODS["lerg"], words=words, bits=8, scale="side")
    table = compact_lookup.load(write(tmp_path, method))
    found = table.rows(np.arange(method.table.ids))
    np.testing.assert_array_equal(found, rows_of(method)[:, : table.columns])


@pytest.mark.parametrize("knobs", [{}, {"unit_rows": True}], ids=str)
def test_cores_of_unequal_heights(knobs, tmp_path):
    """44 ids are 3 x 4 x 4 slices, 11 ids 2 x 2 x 3."""
    for users, items in ((30, 14), (3, 8)):
        method = made(METHODS["ttrec"], users, items, 8, **knobs)
        table, wanted = compact_lookup.load(write(tmp_path, method)), rows_of(method)
        assert len(np.unique(wanted, axis=0)) == users + items
        np.testing.assert_allclose(table.rows(np.arange(users + items)), wanted, atol=1e-6)


def test_residual_codes_may_have_many_parts(tmp_path):
    method = made(METHODS["rq"], 400, 300, 3, parts=26, part=3)
    table = compact_lookup.load(write(tmp_path, method))
    np.testing.assert_allclose(table.rows([0, 1]), rows_of(method)[:2], atol=1e-6)


@pytest.mark.parametrize("users", [3000, 40_001])
def test_a_catalogue_with_many_blocks_of_pruned_rows_is_read(users, tmp_path):
    method = made(METHODS["magnitude"], users=users, items=2001, dim=5)
    table = compact_lookup.load(write(tmp_path, method))
    wanted = rows_of(method)
    found = table.rows(np.arange(len(wanted)))
    np.testing.assert_array_equal(found, wanted[:, : table.columns])


@pytest.mark.parametrize("knobs", [{"bits": 2}, {"bits": 8}, {"bits": 4, "scale_bits": 4}], ids=str)
def test_rows_of_zeros_stay_zeros(knobs, tmp_path):
    method = made(METHODS["dims"], scale="row", **knobs)
    with torch.no_grad():
        method.stored.weight[[3, 70]] = 0
    table = compact_lookup.load(write(tmp_path, method))
    found = table.rows(np.arange(method.table.ids))
    np.testing.assert_array_equal(found, rows_of(method)[:, : table.columns])
    assert np.flatnonzero(~found.any(1)).tolist() == [3, 70]


def test_levels_are_those_of_the_program():
    assert values._NORMAL == NORMAL


def half_precision(rows: np.ndarray) -> compact_lookup.Values:
    """A table that is stored in float16."""
    file = object.__new__(compact_lookup.File)
    file.path, file.config, file.arrays = "memory", {}, {"rows": rows}
    return compact_lookup.Values(file, "rows", rows.shape)


def test_half_precision_is_that_of_numpy_for_every_value():
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)[:, None]
    finite = halves[np.isfinite(halves[:, 0])]
    assert len(finite) == 2**16 - 2**11
    for some, finite_only in ((halves, False), (finite, True)):
        table = half_precision(some)
        assert table.finite == finite_only
        found, wanted = table(np.arange(len(some))), some.astype(np.float32)
        assert np.array_equal(found.view(np.uint32), wanted.view(np.uint32))


def test_ids_are_whole_numbers_of_the_table(tmp_path):
    table = compact_lookup.load(write(tmp_path, made(METHODS["dims"])))
    assert table.rows([]).shape == (0, table.columns)
    assert table.rows(3).shape == (table.columns,)
    for wrong in (-1, 102, [0, 102]):
        with pytest.raises(IndexError, match="0 to 101"):
            table.rows(wrong)
    for wrong in (0.5, "u1", [True]):
        with pytest.raises(TypeError, match="whole numbers"):
            table.rows(wrong)


def test_a_method_that_is_not_known_needs_a_reader(tmp_path):
    class Own(METHODS["dims"]):
        name = "own-method"

    method = made(Own)
    with pytest.raises(compact_lookup.NoReader, match=r"own-method.*reader"):
        compact_lookup.load(write(tmp_path, method))

    def reader(file):
        return compact_lookup.Values(file, "stored.weight", (file.ids, file.columns))

    table = compact_lookup.load(tmp_path, reader=reader)
    np.testing.assert_array_equal(table.rows(np.arange(102)), rows_of(method)[:, : table.columns])


def test_the_arrays_of_the_file_are_held_once(tmp_path):
    method = made(METHODS["dims-quantised"], users=30_000, items=20_000, dim=32)
    file = write(tmp_path, method) / "embeddings.safetensors"
    size = file.stat().st_size
    tracemalloc.start()
    try:
        table = compact_lookup.load(file)
        held, _ = tracemalloc.get_traced_memory()
        assert held < 1.1 * size + 200_000
        tracemalloc.reset_peak()
        table.rows(np.arange(64))
        assert tracemalloc.get_traced_memory()[1] - held < 200_000
    finally:
        tracemalloc.stop()


# What it needs ------------------------------------------------------------------------------------


def test_only_numpy_and_safetensors_are_imported():
    code = (
        "import sys, compact_lookup; sys.exit(any(name in sys.modules for name in"
        " ('torch', 'pandas', 'pydantic', 'scipy', 'bench')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=FOLDER.parent)
    assert done.returncode == 0


def test_the_module_stays_small():
    """Lines of code; the readers of single methods are apart."""
    lines = 0
    for path in FOLDER.glob("*.py"):
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source)
        texts: set[int] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                texts |= set(range(node.lineno, (node.end_lineno or 0) + 1))
        lines += sum(
            bool(line.strip()) and not line.lstrip().startswith("#") and number not in texts
            for number, line in enumerate(source.splitlines(), 1)
        )
    assert lines < 400
