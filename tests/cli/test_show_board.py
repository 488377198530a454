"""What the terminal shows of a board."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.make_records import Toy, exact, make, write

from bench.board import load
from bench.board.choose import Advice, choose
from bench.board.stats import Comparison
from bench.cli import main
from bench.cli.show_board import advice, not_ranked, summary

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


def test_popularity_has_no_table_to_export(results: Path) -> None:
    write(results, *make(TOY, "none", "popularity", None, 0, shift=0.5))
    shown = [str(one) for one in advice(choose(load(results), 24 * 1024), results)]
    assert any(one.startswith("Take Popularity") for one in shown)
    assert not any("bench export" in one for one in shown)


@pytest.mark.parametrize(("count", "rest"), [(3, ""), (5, " and 2 more")])
def test_three_rows_that_are_not_ranked_are_named_and_others_counted(
    results: Path, count: int, rest: str
) -> None:
    for method in ("cerp", "dhe", "pep", "qr", "ttrec")[:count]:
        write(results, *make(TOY, "mf", method, 0.1, 0))
    [board] = load(results).boards
    [line] = not_ranked(board)
    apart = board.leaderboards[0].apart
    assert len(apart) == count
    named = ", ".join(f"{entry.row.label} at 10%" for entry in apart[:3])
    assert line == f"Not ranked: {named}{rest}: {apart[0].reason}."


def larger(folder: Path, ndcg: dict[float, float], gain: Comparison | None) -> Advice:
    """What to take at 10 % where 25 % is known, too."""
    for fraction, score in ndcg.items():
        write(folder, exact(TOY, "dims", fraction, score))
    (found,) = choose(load(folder), (TOY.users + TOY.items) * 64 * 4 // 10)
    assert found.larger is not None and found.larger.budget == "25%"
    return replace(found, gain=gain)


@pytest.mark.parametrize(
    ("gain", "said"),
    [
        (Comparison(0.1, 0.06, 0.14, 0.001, 0.002), ", 95 % interval +0.0600 to +0.1400."),
        (Comparison(0.1, -0.1, 0.3, 0.3, 0.4), ", 95 % interval -0.1000 to +0.3000, within noise."),
        (Comparison(0.1), ", not tested."),
        (None, ", not tested."),
    ],
)
def test_a_gain_within_noise_is_said_to_be(
    tmp_path: Path, gain: Comparison | None, said: str
) -> None:
    found = larger(tmp_path, {0.1: 0.2, 0.25: 0.3}, gain)
    (line,) = (one for one in advice([found], tmp_path) if "gains 2 %" in str(one))
    assert str(line).startswith(
        "The smallest table that gains 2 % or more is Fewer dimensions on mf, "
    )
    assert str(line).endswith(f" bytes: +0.1000 NDCG@20 (+50.0 %){said}")
