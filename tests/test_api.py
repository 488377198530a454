"""`import bench` in a notebook."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.faults import blocks
from support.here import run_all_here
from support.make_records import TOYS, make, write

import bench
from bench.api import ranks, single
from bench.errors import BenchError
from bench.runs import schedule
from bench.runs.record import failed, new_record
from bench.runs.request import Request

PAGE = Path(__file__).parent.parent / "docs" / "python.md"


def test_importing_bench_imports_nothing_slow() -> None:
    script = "import sys, json, bench; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert not loaded & {"torch", "pandas", "numpy", "matplotlib", "pydantic"}


def test_only_what_is_listed_is_there() -> None:
    assert all(callable(getattr(bench, name)) for name in bench.__all__)
    with pytest.raises(AttributeError, match="no attribute 'leaderbord'"):
        _ = bench.leaderbord


@pytest.mark.skipif(not PAGE.is_file(), reason="needs a checkout")
def test_the_page_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks(tmp_path / "my-data")
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = {}
    codes = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    monkeypatch.setattr(schedule, "run_all", run_all_here)
    for code in codes:
        exec(compile(code, str(PAGE), "exec"), found)
    assert found["record"].metrics.test["ndcg@20"] > 0
    board = found["board"]
    assert set(board.method) == {"full", "dims", "popularity"}
    [dims] = board[board.method == "dims"].to_dict("records")
    assert dims["rank"] == 1 and dims["bytes"] == found["record"].size.bytes
    assert set(found["runs"].status) == {"ok"}
    assert (tmp_path / "board.svg").stat().st_size > 1000


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for toy in TOYS:
        for method in ("dims", "hashing"):
            for fraction in (0.05, 0.1):
                write(tmp_path, *make(toy, "mf", method, fraction, 0))
    return tmp_path


def test_one_board_is_drawn(results: Path) -> None:
    figure = bench.plot(results, "gowalla", size="values")
    assert "gowalla" in figure.get_suptitle().lower()
    with pytest.raises(BenchError, match=r"ml-100k mf.*|gowalla mf"):
        bench.plot(results)
    with pytest.raises(BenchError, match="'bytes' or 'values'"):
        bench.plot(results, "gowalla", size="rows")


QUICK = {"dim": 8, "training.epochs": 1, "training.batch": 256}


@pytest.mark.usefixtures("runs_here")
def test_a_board_has_no_rows_of_other_data_in_the_same_folder(
    results: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = blocks(tmp_path_factory.mktemp("data") / "blocks")
    options: dict[str, Any] = {"seeds": 1, "workers": 1, "settings": QUICK, "results": results}
    board = bench.leaderboard(data, methods=["dims"], budgets=["40%"], **options)
    assert set(board.method) == {"dims", "popularity"}
    assert len(board) == 2
    assert len(ranks(results)) > 2


@pytest.mark.usefixtures("runs_here")
def test_a_run_that_has_failed_is_not_done(tmp_path: Path) -> None:
    data, words = blocks(tmp_path / "blocks"), [f"{key}={value}" for key, value in QUICK.items()]
    asked = Request(dataset=str(data), settings=words)
    one = single(asked, "dims", "40%", results=tmp_path / "results")
    assert not one.done
    run, store = one.planned.run, one.store
    store.write(failed(new_record(run, one.plan.data, one.plan.methods), "Diverged", "lower lr"))
    assert not one.done
    assert one.execute().status == "ok"
    assert one.done


def test_the_frame_says_which_precision_and_form_a_run_has(tmp_path: Path) -> None:
    for method, config in (("hashing", {"rows": 3}), ("dims", {"bits": 4, "width": 9})):
        record, users = make(TOYS[0], "mf", method, 0.05, 0, config=config)
        write(tmp_path, record, users)
    frame = bench.load_results(tmp_path).set_index("method")
    assert frame.bits.to_dict() == {"hashing": 32, "dims": 4}
    assert set(frame.form) == {"tuned"}


def test_mistakes_are_errors_of_the_program(results: Path) -> None:
    with pytest.raises(BenchError, match="no such results folder"):
        bench.load_results(results / "missing")
    with pytest.raises(BenchError, match=r"files were left out, for example .*belongs at"):
        bench.load_results(next(path for path in results.iterdir() if path.is_dir()))
    with pytest.raises(BenchError, match="sede"):
        bench.run("dims", "10%", sede=1)
    with pytest.raises(BenchError, match="no method 'dimz'"):
        bench.run("dimz", "10%", dataset="ml-100k", results=results)
    with pytest.raises(BenchError, match="no such plugin file"):
        bench.run("dims", "10%", plugins=["nothing.py"])
    with pytest.raises(BenchError, match=r"0 boards fit.* of these: .*gowalla mf"):
        bench.plot(results, "nothing")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"device": "gpu"}, "write cuda"),
        ({"threads": 0}, "threads = 0"),
        ({"seeds": 0}, "seeds = 0"),
        ({"workers": 0}, "workers = 0"),
        ({"methods": "dims"}, r"write \['dims'\]"),
        ({"budgets": [""]}, "one of the budgets is empty"),
    ],
)
def test_values_that_a_board_cannot_have_are_refused(options: dict, said: str) -> None:
    with pytest.raises(BenchError, match=said):
        bench.leaderboard("ml-100k", **options)


def test_a_seed_is_not_negative() -> None:
    with pytest.raises(BenchError, match="seed = -1"):
        bench.run("dims", "10%", seed=-1)
