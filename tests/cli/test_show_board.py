"""What the terminal shows of a board."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.make_records import Toy, make, write

from bench.board import load
from bench.cli import main
from bench.cli.show_board import summary

TOY = Toy("toy", 300, 400, 0.4)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for seed in (0, 1, 2):
        write(tmp_path, *make(TOY, "mf", "full", None, seed))
        for method in ("dims", "hashing"):
            write(tmp_path, *make(TOY, "mf", method, 0.1, seed))
    return tmp_path


def test_a_try_of_one_seed_is_shown_without_a_rank(results: Path) -> None:
    write(results, *make(TOY, "mf", "cerp", 0.1, 0))
    [board] = load(results).boards
    rows = {str(cells[2]): [str(cell) for cell in cells] for cells in summary(board).rows}
    assert [rows[name][1] for name in ("Fewer dimensions", "Hashing", "CERP")] == ["1", "2", "–"]
    assert rows["CERP"][6] == f"{board.leaderboards[0].apart[0].row.mean('ndcg@20'):.4f}"
    assert rows["CERP"][7] == "1"


def test_choose_prints_the_command_that_exports_its_first_choice(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bench", "choose", "--max-bytes", "24kib", "--results", str(results)]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as done:
        main()
    assert not done.value.code
    out = capsys.readouterr().out
    [line] = [line for line in out.splitlines() if "bench export" in line]
    words = line.split()
    run = words[words.index("export") + 1]
    [record] = [record for record in load(results).records if record.id == run]
    assert f"Take {record.method.title} on mf" in out
