"""Which run is exported, and which data and plugins its command names."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from support.make_records import Toy, exact, make, write

from bench.data import load
from bench.errors import BenchError
from bench.export.find import best_run, load_data
from bench.records.scan import scan

TOY = Toy("toy", 60, 80, 0.4)


@pytest.fixture(name="clicks")
def clicks_fixture(tmp_path: Path) -> Path:
    rows = "".join(f"u{user},i{item}\n" for user in range(9) for item in range(12))
    path = tmp_path / "my clicks.csv"
    path.write_text("user,item\n" + rows)
    (tmp_path / "other.csv").write_text("user,item\n" + rows + "u0,i12\n")
    return path


@pytest.fixture(name="record")
def record_fixture(clicks: Path, tmp_path: Path):
    data = load(clicks)
    made, _ = make(TOY, "mf", "dims", 0.1, 0)
    made["spec"]["dataset"] = {
        "name": data.name,
        "split": data.split,
        "fingerprint": data.fingerprint,
    }
    write(tmp_path / "results", made)
    [record] = scan(tmp_path / "results").records
    return record


def commanded(record, *words: object):
    """The record, with another command."""
    return record.model_copy(update={"command": shlex.join(["bench", "run", *map(str, words)])})


def test_the_data_are_those_that_the_command_names_last(record, clicks, tmp_path):
    for option in ("--dataset", "-d"):
        found = load_data(commanded(record, "-d", tmp_path / "other.csv", option, clicks))
        assert found.split.fingerprint == record.spec.dataset.fingerprint
        assert found.users.text(0) == "u0"
        with pytest.raises(BenchError, match=r"other\.csv: the interactions are not those of"):
            load_data(commanded(record, "-d", clicks, option, tmp_path / "other.csv"))


def test_plugins_that_are_given_take_the_place_of_those_in_the_command(record, clicks):
    run = commanded(record, "--plugin", "a.py", "-d", clicks, "--plugin", "b c.py")
    assert load_data(run).plugins == (Path("a.py"), Path("b c.py"))
    assert load_data(run, plugins=(Path("d.py"),)).plugins == (Path("d.py"),)


def test_no_table_is_exported_where_popularity_is_better_than_all_that_fit(tmp_path):
    for fraction, score in ((0.1, 0.2), (0.25, 0.4)):
        write(tmp_path, exact(TOY, "dims", fraction, score, valid=score))
    popular, _ = make(TOY, "none", "popularity", None, 0)
    for part in popular["metrics"].values():
        part["ndcg@20"] = 0.3
    write(tmp_path, popular)
    with pytest.raises(
        BenchError, match=r"than every table of 4,000 .*is better: raise --max-bytes"
    ):
        best_run(tmp_path, 4_000)
    assert best_run(tmp_path, 10_000).budget.label == "25%"
    popular["metrics"]["test"]["ndcg@20"] = 0.5
    write(tmp_path, popular)
    with pytest.raises(BenchError, match="train longer, tune, or add a budget"):
        best_run(tmp_path, 4_000)
