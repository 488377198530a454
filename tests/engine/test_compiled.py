"""Compiled loops and numba's cache."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

numba = pytest.importorskip("numba")


def test_a_cache_that_cannot_be_written_stops_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that trains may write no file of the program."""
    from numba.core.caching import IndexDataCacheFile

    from bench.compiled import compiled

    tried = []

    def refuse(*_: object) -> None:
        tried.append(1)
        raise PermissionError("was opened to be written in training")

    monkeypatch.setattr(IndexDataCacheFile, "save", refuse)
    path = tmp_path / "loops.py"
    path.write_text("def double(values):\n    return values * 2\n")
    spec = importlib.util.spec_from_file_location("loops", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert compiled(module.double)(np.arange(3.0)).tolist() == [0, 2, 4]
    assert tried


def test_without_numba_there_are_no_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.compiled import available

    available.cache_clear()
    monkeypatch.setitem(sys.modules, "numba", None)
    try:
        assert not available()
    finally:
        available.cache_clear()
