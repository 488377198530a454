"""What the terminal shows: users' text as it stands, tables that are not cut, any encoding."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

import bench
from bench.cli import console, main
from bench.cli.console import Terminal
from bench.cli.encoding import degrade_output
from bench.cli.grid import Column, Grid, number
from bench.cli.show_tune import outcomes
from bench.cli.terminal import in_words
from bench.runs.suite import When
from bench.runs.tuned import Found
from bench.tune.search import Outcome

TITLE = "[bold]x[/items/7]"
PLUGIN = f'''
from bench.method import Method, Rows

class Hostile(Method):
    name = "hostile"
    title = "{TITLE}"
    def build(self): self.stored = Rows(self.table.ids, self.table.dim)
    def reset(self, generator): self.stored.normal(0.1, generator)
    def forward(self, ids): return self.stored(ids)

class Failing(Hostile):
    name = "failing"
    title = "[/red]"
    def forward(self, ids): raise ValueError("no [/items/7] in [link=x]")
'''
QUICK = ["--set", "dim=4", "--set", "training.epochs=1", "-b", "300%", "--plugin", "mine.py"]


@pytest.fixture
def screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A terminal of 80 columns, in a folder with a data set called `[red]` and a plugin."""
    data = tmp_path / "[red]"
    data.mkdir()
    rows = [f"{user} {' '.join(str((user + k) % 30) for k in range(8))}" for user in range(30)]
    (data / "train.txt").write_text("\n".join(rows) + "\n")
    rows = [f"{user} {(user + 9) % 30}" for user in range(30)]
    (data / "test.txt").write_text("\n".join(rows) + "\n")
    (data / "dataset.toml").write_text('name = "mine"\ntitle = "[red]T[/x]"\n')
    (tmp_path / "mine.py").write_text(PLUGIN)
    monkeypatch.chdir(tmp_path)
    stream = io.StringIO()
    for name in ("out", "err"):
        monkeypatch.setattr(console, name, Terminal(file=stream, width=80))
    return stream


def test_estimates_have_units() -> None:
    found = [in_words(one) for one in (0.4, 59, 60, 1040, 3599, 3600, 61_500)]
    assert found == ["0 s", "59 s", "1 min", "17 min", "1 h 0 min", "1 h 0 min", "17 h 5 min"]


def test_a_study_has_the_score_of_its_start_and_that_of_its_best_trial() -> None:
    when = When(method=("cerp",), budget=("10%",))
    best = Found(when=when, set={"gamma": 0.1}, default=0.1, valid=0.3)
    counts = {"complete": 4, "failed": 0, "passes": 1200}
    grid = outcomes([Outcome(when, counts, best, Path()), Outcome(when, counts, None, Path())])
    names = [column.name for column in grid.columns]
    rows = [dict(zip(names, row, strict=True)) for row in grid.rows]
    names = "start, one seed", "best, two seeds"
    assert [tuple(row[name] for name in names) for row in rows] == [("0.1000", "0.3000"), ("", "")]
    assert (rows[0]["trials"], rows[0]["passes"]) == ("4 complete", "1,200")
    assert [row["settings"] for row in rows] == ["gamma=0.1", "none"]


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["bench", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.mark.usefixtures("runs_here")
def test_names_and_messages_are_shown_as_they_stand(
    screen: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(*words: str, status: int = 0) -> str:
        before = len(screen.getvalue())
        assert call(monkeypatch, *words) == status, screen.getvalue()[before:]
        return screen.getvalue()[before:]

    assert "[red]T[/x]: " in said("run", "-d", "[red]", "-m", "hostile", *QUICK)
    assert "no [/items/7] in [link=x]" in said(
        "run", "-d", "[red]", "-m", "failing", *QUICK, status=1
    )
    assert "failed: 1" in said("status")
    # A whole board, one of whose runs fails.
    board = ("leaderboard", "-d", "[red]", "-m", "hostile", "-m", "failing", "--seeds", "1")
    assert "[/items/7]" in said(*board, "--workers", "1", *QUICK, "--retry-failed", status=1)
    assert "hostile" in said("check", "mine.py", status=1)
    assert "hostile" in said("tune", "-d", "[red]", "-m", "hostile", "--dry-run", *QUICK)
    again = ("run", "-d", "[red]", "-m", "hostile", *QUICK, "--set", "training.lr=0.5")
    said(*again)
    said("studies", "results/local")  # it prints Markdown past the terminal
    assert "0 of 3 rows moved" in said("diff", "results/local", "results/local")
    assert "no [/w]" in said("verify", "--read", "--file", "no [/w]", status=2)
    assert "'[/v]'" in said("speed", "-d", "[red]", "-m", "[/v]", status=2)
    assert "'[/u]'" in said("thresholds", "-d", "[red]", "-m", "[/u]", status=2)
    assert "[/t]" in said("new", "[/t]", status=2)
    assert TITLE in said("report")
    assert TITLE in said("choose", "--max-bytes", "1MB")
    assert TITLE in said("list", "methods", "--plugin", "mine.py")
    assert "hostile" in said("leaderboard", "-d", "[red]", "-m", "hostile", "--dry-run", *QUICK)
    assert "no [/x] folder" in said("report", "--results", "no [/x] folder", status=2)
    assert "'[/y]'" in said("run", "-m", "[/y]", status=2)
    assert "'[/z]'" in said("list", "[/z]", status=2)


def table() -> Grid:
    grid = Grid("A title [/x]", (Column("method"), number("values", 1), number("bytes")))
    grid.add("a method with a name of more than forty letters", "1,234,567", "12,345,678")
    grid.add("\x1b[31mb", "1", "2")
    return grid


def shown(width: int | None) -> str:
    stream = io.StringIO()
    Terminal(file=stream, width=width).print(table())
    return stream.getvalue()


@pytest.mark.parametrize("width", [80, 65])
def test_a_narrow_table_loses_columns_and_no_digit(width: int) -> None:
    text = shown(width)
    assert max(map(len, text.splitlines())) <= width
    assert "a method with a name of more than forty letters" in text and "12,345,678" in text
    assert ("1,234,567" in text) == (width == 80)
    assert ("A wider terminal or a file also shows: values." in text) == (width == 65)
    assert "…" not in text


def test_a_file_has_no_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert "1,234,567" in shown(None) and "12,345,678" in shown(None)


def test_control_characters_are_written_out() -> None:
    assert r"\x1b[31mb" in shown(80) and "\x1b" not in shown(80)


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("ascii", "delta +/- * + caf\x65 ? ?"),
        ("cp1252", "delta ± * † café ? ?"),
        ("utf-8", "Δ ± ★ † café 日 ?"),
    ],
)
def test_output_degrades_to_what_its_encoding_has(
    encoding: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    degrade_output()
    Terminal().say("Δ ± ★ † café 日 \udcff")
    Terminal().print(Grid("★", (Column("Δ to first"),), [("±1",)]))
    sys.stdout.flush()
    text = raw.getvalue().decode(encoding)
    assert text.splitlines()[0] == expected
    assert "to first" in text


def test_version_and_help(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(monkeypatch, "--version") == 0
    assert bench.__version__ in capsys.readouterr().out
    assert call(monkeypatch, "--help") == 0
    text = capsys.readouterr().out
    for heading in ("Run", "Read results", "Measure and check the program", "--version"):
        assert heading in text
