"""The command line as a user meets it: exit codes, one-line errors, plans, a board, resuming."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from support.faults import blocks
from support.make_records import Toy, make, write
from typer.testing import CliRunner

from bench.cli import app, main


def bench(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The exit status of a command, which runs in this process."""
    monkeypatch.setattr(sys, "argv", ["bench", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return blocks(tmp_path_factory.mktemp("data") / "blocks")


QUICK = ("--seeds", 1, "--budget", "25%", "--set", "dim=8", "--set", "training.epochs=3")
QUICK += ("--set", "training.search_epochs=2", "--set", "training.batch=256")


@pytest.mark.usefixtures("runs_here")
def test_a_board_of_ones_own_data_runs_once_and_then_has_nothing_to_do(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ("leaderboard", "-d", data, *QUICK, "-m", "full", "-m", "dims", "-m", "cerp")
    assert bench(monkeypatch, *arguments) == 0
    records = sorted((tmp_path / "results/local").rglob("*.json"))
    loaded = {path: json.loads(path.read_text()) for path in records}
    assert {r["method"]["name"] for r in loaded.values()} == {"full", "dims", "cerp", "popularity"}
    assert {r["status"] for r in loaded.values()} == {"ok"}
    for record in loaded.values():
        if record["budget"]:
            assert record["size"]["file_bytes"] <= record["budget"]["cap"]
    page = (tmp_path / "reports/local/index.md").read_text()
    assert "Fewer dimensions" in page
    assert "CERP" in page
    stamps = {path: path.stat().st_mtime_ns for path in records}
    assert bench(monkeypatch, *arguments) == 0
    assert {path: path.stat().st_mtime_ns for path in records} == stamps

    # The command in a record repeats its run, number for number.
    record = next(r for r in loaded.values() if r["method"]["name"] == "cerp")
    words = [*record["command"].split()[1:], "--results", "again"]
    extra = [str(word) for word in QUICK[4:]] if "--set" not in words else []
    repeated = CliRunner().invoke(app, [*words, *extra])
    assert repeated.exit_code == 0, repeated.output
    (path,) = (tmp_path / "again").rglob(f"{record['id']}.json")
    assert json.loads(path.read_text())["metrics"] == record["metrics"]


def test_dry_run_prints_sizes_and_trains_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert bench(monkeypatch, "leaderboard", "-d", data, *QUICK, "--dry-run") == 0
    assert "ttrec" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_a_plan_names_what_a_backbone_goes_without(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "Left out under neumf, which does not score by products of rows: ptq."
    few = ("-d", data, "-m", "full", "-m", "ptq", "-b", "50%", *QUICK[4:], "--dry-run")
    boards = ("--backbone", "mf", "--backbone", "neumf", "--seeds", "1")
    assert bench(monkeypatch, "leaderboard", *few, *boards) == 0
    assert said in capsys.readouterr().out
    assert bench(monkeypatch, "tune", *few, "--backbone", "neumf") == 0
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("leaderboard", "-d", "nowhere"), "nowhere"),
        (("leaderboard", "--suite", "nosuite"), "nosuite"),
        (("run", "-m", "nomethod", "-b", "5%"), "nomethod"),
        (("run", "-m", "cerp", "-b", "lots"), "lots"),
        (("run", "-m", "cerp"), "name one --budget"),
        (("run", "-m", "cerp", "-b", "5%", "--set", "cerp.gama=1"), "gama"),
        (("run", "-m", "cerp", "-b", "5%", "--set", "training.lr"), "KEY=VALUE"),
        (("run", "-m", "cerp", "-b", "5%", "--set", "training.lr=-1"), "training.lr"),
        (("run", "-m", "qr", "-b", "0.01%"), "infeasible"),
        (("run", "-m", "full", "--plugin", "absent.py"), "absent.py"),
        (("report", "--results", "absent"), "absent"),
        (("status", "--results", "absent"), "absent"),
        (("choose", "--max-bytes", "5%", "--results", "absent"), "256KB"),
        (("list", "nothing"), "nothing"),
        (("check", "nomethod"), "nomethod"),
        (("new", "Bad Name"), "small letters"),
        (("new", "cerp"), "already"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    arguments: tuple[str, ...],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert bench(monkeypatch, *arguments) == 2
    said = capsys.readouterr().err
    assert expected in said
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) == 1


@pytest.mark.usefixtures("runs_here")
def test_a_method_that_fails_is_a_failed_record_and_status_1(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "liar.py").write_text(
        "from bench.method import Method, Rows\n"
        "class Liar(Method):\n"
        "    name = 'liar'\n"
        "    title = 'Liar'\n"
        "    def build(self): self.stored = Rows(self.table.ids, self.table.dim)\n"
        "    def reset(self, generator): self.stored.normal(0.1, generator)\n"
        "    def forward(self, ids): return self.stored(ids)\n"
    )
    monkeypatch.chdir(tmp_path)
    words = ("leaderboard", "-d", data, *QUICK, "-m", "liar", "--plugin", "liar.py")
    assert bench(monkeypatch, *words) == 1
    assert "OverBudget" in capsys.readouterr().err
    (path,) = (tmp_path / "results/local").rglob("liar/*.json")
    assert json.loads(path.read_text())["status"] == "failed"


def three(folder: Path, method: str, **changes: object) -> None:
    """A row of three seeds."""
    for seed in range(3):
        write(folder, *make(Toy("toy", 300, 400, 0.4), "mf", method, 0.1, seed, **changes))


@pytest.mark.parametrize(
    ("method", "shift", "verdict", "status"),
    [
        ("cerp", 0.0, "0 of 1 rows moved", 0),
        ("cerp", 0.1, "better", 0),
        ("cerp", -0.1, "worse", 1),
        ("pep", 0.0, "gone", 1),
    ],
)
def test_diff_is_status_1_where_a_row_got_worse_or_was_lost(
    method: str,
    shift: float,
    verdict: str,
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before, after = tmp_path / "a", tmp_path / "b"
    three(before, "cerp")
    three(after, method, shift=shift)
    assert bench(monkeypatch, "diff", before, after) == status
    assert verdict in capsys.readouterr().out


def test_status_counts_the_runs_of_each_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    three(tmp_path, "cerp")
    write(tmp_path, *make(Toy("toy", 300, 400, 0.4), "mf", "pep", 0.1, 0, status="failed"))
    assert bench(monkeypatch, "status", "--results", tmp_path) == 0
    assert capsys.readouterr().out.splitlines() == [
        "toy-v10-s0  mf  failed: 1",
        "toy-v10-s0  mf  ok: 3",
    ]
