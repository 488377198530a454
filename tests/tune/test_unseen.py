"""What defaults lose, by records of two leaderboards whose seeds chose nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.make_records import TOYS, exact, make, write

from bench.tune.unseen import compare, main, read, scores

SPLIT = f"{TOYS[0].name}-v10-s0"


def add(
    folder: Path, method: str, fraction: float | None, test: float, valid: float, seed: int = 0
) -> None:
    write(folder, exact(TOYS[0], method, fraction, test, seed=seed, valid=valid))


def boards(folder: Path) -> tuple[Path, Path]:
    """A leaderboard with tuned settings and one with defaults; a seed of QR is missing there."""
    tuned, defaults = folder / "tuned", folder / "defaults"
    add(tuned, "full", None, 0.5, 0.4)
    add(defaults, "full", None, 0.4, 0.4)
    for seed, (own, other) in enumerate(((0.3, 0.27), (0.2, 0.18), (0.4, 0.1))):
        add(tuned, "qr", 0.05, own, 0.2, seed)
        if seed < 2:
            add(defaults, "qr", 0.05, other, 0.25, seed)
    add(tuned, "qr", 0.10, 0.4, 0.2)
    add(defaults, "qr", 0.10, 0.5, 0.2)
    add(tuned, "pep", 0.05, 0.4, 0.2)
    return tuned / SPLIT, defaults / SPLIT


def test_losses_are_of_the_seeds_that_both_have(tmp_path: Path) -> None:
    tuned, defaults = boards(tmp_path)
    found = compare(*(scores(read(one, "mf"), "test") for one in (tuned, defaults)))
    assert [(one.method, one.label) for one in found] == [("full", ""), ("qr", "5%"), ("qr", "10%")]
    assert [one.loss for one in found] == pytest.approx([0.2, 0.1, -0.25])
    assert found[1].tuned == pytest.approx(0.25)


def test_the_command_prints_test_and_validation_scores(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tuned, defaults = boards(tmp_path)
    main([str(tuned), str(defaults)])
    test, valid = capsys.readouterr().out.split("Validation NDCG@20")
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in test.splitlines()]
    assert ["`qr`", ".2500", ".2250", "10.0 %", ".4000", ".5000", "-25.0 %"] in lines
    assert "1 of 3 lose at most 5 %; mean loss 1.7 %, largest 20.0 % (full)." in test
    assert "mean loss -8.3 %" in valid


def test_popularity_published_forms_and_budgets_of_values_take_no_part(
    tmp_path: Path,
) -> None:
    record, _ = make(TOYS[0], "none", "popularity", None, 0)
    write(tmp_path, record)
    for change in ({"accounting": "values"}, {"form": "published"}):
        record = exact(TOYS[0], "qr", 0.05, 0.3)
        if "form" in change:
            record["spec"]["method"] |= change
        else:
            record["spec"]["budget"] |= change
            record["budget"] |= change
        write(tmp_path, record)
    add(tmp_path, "full", None, 0.5, 0.4)
    assert len(read(tmp_path / SPLIT, "mf")) == 3
    assert scores(read(tmp_path / SPLIT, "mf"), "test") == {("full", ""): {0: 0.5}}


@pytest.mark.parametrize("kind", ["two splits", "no records", "two records"])
def test_a_mistake_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    tuned, defaults = boards(tmp_path)
    if kind == "two records":
        record, users = make(TOYS[0], "mf", "qr", 0.05, 0, config={"width": 4})
        write(defaults.parent, record, users)
    other = {"two splits": defaults.with_name("gowalla-v10-s0"), "no records": tmp_path / SPLIT}
    with pytest.raises(SystemExit) as ended:
        main([str(tuned), str(other.get(kind, defaults))])
    assert ended.value.code == 2
    expected = {
        "two splits": "are not of one split",
        "no records": "no records of mf",
        "two records": f"{SPLIT}: two records of qr 5%, seed 0; give a folder",
    }
    assert expected[kind] in capsys.readouterr().err
