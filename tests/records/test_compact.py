"""Packing the per-user metrics of older runs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.make_records import Toy, make, write

from bench.records import compact, per_user
from bench.records.scan import scan


@pytest.mark.parametrize("name", ["clicks", "clicks.json"])
def test_files_are_packed_whatever_the_data_are_called(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, users = make(Toy(name, 60, 90, 0.4), "mf", "cerp", 0.1, 0)
    assert users is not None and record["metrics"] is not None
    users["ndcg@20"][users["recall@20"] == 0] = 0  # as in runs that are not invented
    record["metrics"]["test"]["ndcg@20"] = float(users["ndcg@20"].mean(dtype=np.float64))
    path = write(tmp_path, record, users).with_suffix(".npz")
    test = SimpleNamespace(degrees=lambda: np.full(60, 20))
    data = SimpleNamespace(
        name=name, fingerprint=record["spec"]["dataset"]["fingerprint"], test=test
    )

    def load(*_: Any, **__: Any) -> SimpleNamespace:
        return data

    monkeypatch.setattr(compact, "load", load)
    (run,) = scan(tmp_path).records
    before = per_user.read(tmp_path, run)
    assert compact.compact(tmp_path) == 1
    with np.load(path) as stored:
        assert "hits@20" in stored.files and "users" not in stored.files
    after = per_user.read(tmp_path, run)
    assert before is not None and after is not None
    np.testing.assert_allclose(after.ndcg, before.ndcg, atol=1e-3)
    assert compact.compact(tmp_path) == 0
