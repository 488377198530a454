"""Records are believed only when they agree with themselves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.make_records import TOYS, Toy, make, write

from bench.board import load
from bench.records import per_user
from bench.records.scan import scan
from bench.records.schema import canonical_json, digest

TOY = TOYS[0]


def one(folder: Path, method: str = "cerp") -> Path:
    return write(folder, *make(TOY, "mf", method, 0.1, 0))


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    record = json.loads(path.read_text())
    edit(record)
    path.write_text(json.dumps(record))


def only_reason(folder: Path) -> str:
    found = scan(folder)
    assert not found.records
    assert len(found.rejected) == 1
    return found.rejected[0].reason


def test_a_good_record_is_read(tmp_path: Path) -> None:
    path = one(tmp_path)
    found = scan(tmp_path)
    assert not found.rejected
    (record,) = found.records
    assert record.path == path.relative_to(tmp_path).as_posix()
    assert record.history == ()
    assert len(scan(tmp_path, history=True).records[0].history) == 40


def test_canonical_json_is_the_contract() -> None:
    assert canonical_json({"b": 1, "a": ["é", None, 0.1]}) == '{"a":["\\u00e9",null,0.1],"b":1}'
    assert digest({}) == "44136fa355b3"  # sha256 of "{}"


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda r: r["spec"].update(seed=7), "is not the hash of its spec"),
        (lambda r: r["spec"]["training"].update(lr=1.0), "is not the hash of its spec"),
        (lambda r: r["metrics"]["test"].update({"ndcg@20": 1.2}), "metrics.test.ndcg@20"),
        (lambda r: r["metrics"]["test"].update({"ndcg@20": -0.1}), "metrics.test.ndcg@20"),
        (lambda r: r["metrics"]["test"].update({"ndcg@20": float("nan")}), "contains NaN"),
        (lambda r: r["metrics"]["test"].update({"recall@5": 0.99}), "recall@5 is above"),
        (lambda r: r["metrics"]["valid"].update({"recall@5": 0.99}), "metrics.valid: recall@5 is"),
        (lambda r: r["metrics"]["test"].pop("recall@20"), "has no recall@20"),
        (lambda r: r["metrics"]["test"].update({"ndcg@20": "0.1"}), "metrics.test.ndcg@20"),
        (lambda r: r.update(metrics=None), "size or metrics are missing"),
        (lambda r: r.update(size=None), "size or metrics are missing"),
        (lambda r: r["size"].update(bytes=10**9, file_bytes=10**9), "exceed its budget"),
        (lambda r: r["size"].update(bytes=10), "below the"),
        (lambda r: r["size"].update(file_bytes=r["size"]["bytes"] + 1), "of its file"),
        (lambda r: r["size"]["arrays"]["table"].update(bytes=4), "its shape has"),
        (lambda r: r["size"]["arrays"]["table"].update(dtype="F7"), "unknown dtype 'F7'"),
        (lambda r: r["budget"].update(cap=10**9), "not the budget of its spec"),
        (lambda r: r["method"].update(name="pep"), "its spec says 'cerp'"),
        (lambda r: r["method"].update(title="a\nb"), "method.title"),
        (lambda r: r["method"].update(title=""), "method.title"),
        (lambda r: r.update(schema=2), "schema is 2"),
        (lambda r: r.update(status="great"), "status"),
        (lambda r: r.pop("data"), "data: Field required"),
        (lambda r: r["timings"].update(train_s=-1), "timings.train_s"),
    ],
)
def test_a_record_that_contradicts_itself_is_named(
    tmp_path: Path, edit: Callable[[dict[str, Any]], object], said: str
) -> None:
    path = one(tmp_path)
    change(path, edit)
    assert said in only_reason(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000])
def test_a_file_that_is_no_record_is_named(tmp_path: Path, content: bytes) -> None:
    path = one(tmp_path)
    path.write_bytes(content)
    assert only_reason(tmp_path).startswith(("not valid JSON", "not a JSON object"))


def test_a_misplaced_record_is_named(tmp_path: Path) -> None:
    path = one(tmp_path)
    path.rename(tmp_path / path.name)
    assert f"belongs at ml-100k-v10-s0/mf/cerp/{path.name}" in only_reason(tmp_path)


def test_work_and_hidden_folders_are_left_alone(tmp_path: Path) -> None:
    for folder in (".work", "ml-100k-v10-s0/.cache", "local/ml-100k-v10-s0/mf/cerp"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "x.json").write_text("{")
    assert scan(tmp_path) == scan(tmp_path / "missing")
    assert len(scan(tmp_path / "local").rejected) == 1


def test_a_results_folder_inside_another_is_left_alone(tmp_path: Path) -> None:
    outer, inner = one(tmp_path), one(tmp_path / "studies", "pep")
    assert [record.path for record in scan(tmp_path).records] == [
        outer.relative_to(tmp_path).as_posix()
    ]
    (found,) = scan(tmp_path / "studies").records
    assert found.path == inner.relative_to(tmp_path / "studies").as_posix()


def test_values_accounting_binds_the_values(tmp_path: Path) -> None:
    record, users = make(TOY, "mf", "cerp", 0.1, 0)
    for part in (record["spec"]["budget"], record["budget"]):
        part.update(cap=record["size"]["values"], accounting="values")
    write(tmp_path, record, users)
    assert len(scan(tmp_path).records) == 1  # its bytes may exceed the number of values
    for part in (record["spec"]["budget"], record["budget"]):
        part.update(cap=record["size"]["values"] - 1)
    path = write(tmp_path, record, users)
    (rejected,) = scan(tmp_path).rejected
    assert rejected.path.endswith(path.name)
    assert "values exceed its budget" in rejected.reason


@pytest.mark.parametrize("key", ["recall@20", "ndcg@20"])
def test_metrics_must_be_the_mean_of_the_users(tmp_path: Path, key: str) -> None:
    path = one(tmp_path)
    # By little: Recall@20 has to stay between Recall@10 and Recall@50.
    change(path, lambda r: r["metrics"]["test"].update({key: r["metrics"]["test"][key] + 1e-4}))
    board = load(tmp_path)
    assert not board.records
    reason = board.rejected[0].reason
    assert reason.startswith(f"metrics.test {key} is") and "per-user metrics average" in reason


def test_damaged_users_are_named(tmp_path: Path) -> None:
    path = one(tmp_path)
    users = path.with_suffix(".npz")
    users.write_bytes(users.read_bytes()[:200])
    assert "cannot be read" in load(tmp_path).rejected[0].reason
    np.savez(users, users=np.arange(3), **{"recall@20": np.zeros(2), "ndcg@20": np.zeros(3)})
    assert "shapes that do not agree" in load(tmp_path).rejected[0].reason
    # An object array would be run as a pickle; it must not be.
    np.savez(users, users=np.array([{}], dtype=object))
    assert "cannot be read" in load(tmp_path).rejected[0].reason


def test_users_are_found_whatever_the_data_are_called(tmp_path: Path) -> None:
    toy = Toy("clicks.json", 60, 90, 0.4)
    path = write(tmp_path, *make(toy, "mf", "cerp", 0.1, 0))
    (record,) = scan(tmp_path).records
    found = per_user.read(tmp_path, record)
    assert found is not None
    with np.load(path.with_suffix(".npz")) as users:
        np.testing.assert_array_equal(found.ndcg, users["ndcg@20"])


def test_the_rest_is_drawn_when_one_is_bad(tmp_path: Path) -> None:
    for method in ("cerp", "pep"):
        one(tmp_path, method)
    bad = write(tmp_path, *make(TOY, "mf", "qr", 0.1, 0))
    change(bad, lambda r: r["spec"].update(seed=5))
    board = load(tmp_path)
    assert sorted(board.frame["method"]) == ["cerp", "pep"]
    (leaderboard,) = board.boards[0].leaderboards
    assert [entry.row.method for entry in leaderboard.entries] == ["cerp", "pep"]
    assert [r.path for r in board.rejected] == [bad.relative_to(tmp_path).as_posix()]
