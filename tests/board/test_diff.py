"""Two results folders: what moved, and what only wobbled."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.make_records import Toy, make, write

from bench.board.diff import Change, Difference, diff, opened, render_diff
from bench.board.stats import Comparison, holm
from bench.errors import BenchError

TOY = Toy("toy", 400, 500, 0.4)


def put(folder: Path, method: str, seeds: tuple[int, ...] = (0, 1, 2), **other: Any) -> None:
    commit, source, day = (
        other.pop("commit", "0000000"),
        other.pop("source", None),
        other.pop("day", 1),
    )
    for seed in seeds:
        record, users = make(TOY, "mf", method, 0.1, seed, **other)
        record["env"]["commit"] = commit
        record["finished"] = f"2026-11-{day:02}T12:00:00Z"
        if source:
            record["spec"]["method"]["source"] = source
        write(folder, record, users)


@pytest.fixture
def before(tmp_path: Path) -> Path:
    for method in ("cerp", "dims", "pep"):
        put(tmp_path / "a", method)
    write(tmp_path / "a", *make(TOY, "none", "popularity", None, 0))
    return tmp_path / "a"


def verdicts(a: Path, b: Path) -> dict[str, str]:
    return {change.title: change.verdict for change in diff(a, b).changes}


def test_a_folder_is_the_same_as_its_copy(before: Path, tmp_path: Path) -> None:
    shutil.copytree(before, tmp_path / "b")
    found = diff(before, tmp_path / "b")
    assert {change.verdict for change in found.changes} == {"same"}
    assert len(found.changes) == 4
    assert not found.moved and not found.worse
    assert "0 of 4 rows moved; 4 are the same" in render_diff(found)


@pytest.mark.parametrize(("shift", "verdict"), [(-0.1, "worse"), (0.1, "better")])
def test_a_changed_method_is_found_whatever_its_revision(
    before: Path, tmp_path: Path, shift: float, verdict: str
) -> None:
    after = tmp_path / "b"
    put(after, "cerp", revision=2, shift=shift)
    for method in ("dims", "pep"):
        put(after, method)
    found = diff(before, after)
    changes = {change.title: change for change in found.changes}
    assert changes["CERP"].verdict == verdict
    assert changes["PEP"].verdict == "same"
    assert changes["Popularity"].verdict == "gone"
    assert found.worse  # a row was lost in both cases
    comparison = changes["CERP"].comparison
    assert comparison is not None and comparison.significant
    assert comparison.low < comparison.difference < comparison.high
    assert verdict in render_diff(found)


def test_noise_is_not_a_move(before: Path, tmp_path: Path) -> None:
    after = tmp_path / "b"
    shutil.copytree(before, after)
    shutil.rmtree(after / "toy-v10-s0" / "mf" / "cerp")
    put(after, "cerp", seeds=(7, 8, 9))
    assert verdicts(before, after)["CERP"] == "noise"
    assert not diff(before, after).moved


def test_new_and_gone(before: Path, tmp_path: Path) -> None:
    after = tmp_path / "b"
    shutil.copytree(before, after)
    shutil.rmtree(after / "toy-v10-s0" / "mf" / "pep")
    put(after, "qr")
    found = verdicts(before, after)
    assert (found["PEP"], found["QR"]) == ("gone", "new")
    assert diff(before, after).worse
    assert not diff(before, before).worse


def test_another_protocol_is_not_compared(before: Path, tmp_path: Path) -> None:
    after = tmp_path / "b"
    for method in ("cerp", "dims", "pep"):
        put(after, method, training={"epochs": 60})
    (change,) = [c for c in diff(before, after).changes if c.title == "CERP"]
    assert change.verdict == "not comparable"
    assert "training.epochs: 60 instead of 30" in change.reason


def test_several_settings_are_matched_by_setting(before: Path, tmp_path: Path) -> None:
    after = tmp_path / "b"
    for folder in (before, after):
        put(folder, "hashing", config={"k": 1})
    put(after, "hashing", config={"k": 2})
    hashing = [c.verdict for c in diff(before, after).changes if c.title == "Hashing"]
    assert sorted(hashing) == ["new", "same"]


def hashing(a: Path, b: Path) -> list[str]:
    return sorted(c.verdict for c in diff(a, b).changes if c.title == "Hashing")


def test_a_changed_file_is_not_hidden_by_the_one_that_it_replaced(
    before: Path, tmp_path: Path
) -> None:
    after = tmp_path / "b"
    for folder in (before, after):
        put(folder, "hashing", source="a" * 12)
    put(after, "hashing", source="b" * 12, day=2, shift=-0.1)
    assert hashing(before, after) == ["worse"]
    assert diff(before, after).worse


def test_rows_of_equal_settings_all_have_a_verdict(before: Path, tmp_path: Path) -> None:
    """Runs of uncommitted code supersede nothing, so both rows stand in the folder."""
    after, dirty = tmp_path / "b", "0123456789ab-dirty"
    for folder in (before, after):
        put(folder, "hashing")
    put(after, "hashing", revision=2, commit=dirty, shift=-0.1)
    assert hashing(before, after) == ["new", "same"]
    assert hashing(after, before) == ["gone", "same"]
    put(before, "hashing", revision=3, commit=dirty)
    assert hashing(before, after) == ["same", "worse"]
    put(after, "hashing", revision=4, commit=dirty)  # which of the two was 3 before?
    assert hashing(before, after) == ["gone", "new", "new", "same"]


def test_rows_of_a_new_revision_are_matched_by_their_teacher(before: Path, tmp_path: Path) -> None:
    after = tmp_path / "b"
    for rate in (0.1, 0.2):
        for seed in (0, 1, 2):
            record, users = make(TOY, "mf", "hashing", 0.1, seed)
            record["spec"]["teacher"] = record["spec"]["training"] | {"lr": rate}
            write(before, record, users)
            record["spec"]["method"]["revision"] = 2
            write(after, record, users)
    assert hashing(before, after) == ["same", "same"]


def test_without_users_a_change_cannot_be_tested(before: Path, tmp_path: Path) -> None:
    after = tmp_path / "b"
    shutil.copytree(before, after)
    shutil.rmtree(after / "toy-v10-s0" / "mf" / "cerp")
    put(after, "cerp", shift=0.1)
    for path in (after / "toy-v10-s0" / "mf" / "cerp").glob("*.npz"):
        path.unlink()
    assert verdicts(before, after)["CERP"] == "untested"


def test_other_users_cannot_be_paired(before: Path, tmp_path: Path) -> None:
    after = tmp_path / "b"
    for seed in (0, 1, 2):
        record, users = make(TOY, "mf", "cerp", 0.1, seed, shift=0.1)
        assert users is not None
        users["users"] = users["users"] + 1
        write(after, record, users)
    assert verdicts(before, after)["CERP"] == "untested"


def test_a_superseded_revision_is_history(before: Path, tmp_path: Path) -> None:
    after = tmp_path / "b"
    shutil.copytree(before, after)
    put(after, "cerp", revision=2, shift=0.1)
    assert [c.verdict for c in diff(before, after).changes if c.title == "CERP"] == ["better"]


def test_bad_records_are_named(before: Path, tmp_path: Path) -> None:
    after = tmp_path / "b"
    shutil.copytree(before, after)
    (after / "junk.json").write_text("{")
    assert "Left out: junk.json" in render_diff(diff(before, after))


def test_no_folder_is_one_line(before: Path, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no such results folder"):
        diff(before, tmp_path / "missing")


def test_a_git_revision_stands_for_its_results(
    before: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    shutil.copytree(before, home / "results")
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "-A"], [*who, "commit", "-qm", "one"]):
        subprocess.run(["git", *command], check=True)
    shutil.rmtree(home / "results" / "toy-v10-s0" / "mf" / "pep")
    with opened("HEAD") as old, opened("results") as new:
        assert verdicts(old, new)["PEP"] == "gone"
        assert verdicts(old, before)["PEP"] == "same"
        kept = old
    assert not kept.exists()
    for wrong in ("no-such-revision", "--output=x"):
        with pytest.raises(BenchError, match="neither a folder nor a git revision"), opened(wrong):
            pass


@pytest.mark.parametrize("keys", [("bytes", "file_bytes"), ("values",)])
def test_a_row_of_another_size_is_resized_and_not_noise(
    before: Path, tmp_path: Path, keys: tuple[str, ...]
) -> None:
    after = tmp_path / "b"
    shutil.copytree(before, after)
    shutil.rmtree(after / "toy-v10-s0" / "mf" / "cerp")
    for seed in (7, 8, 9):
        record, users = make(TOY, "mf", "cerp", 0.1, seed)
        for key in keys:
            record["size"][key] += 8
        write(after, record, users)
    assert verdicts(before, after)["CERP"] == "resized"


def test_a_row_of_a_later_protocol_replaces_that_of_an_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.board.model.PROTOCOL", 2)
    for folder, protocols in (("a", (2,)), ("b", (1, 2))):
        for protocol in protocols:
            record, users = make(TOY, "mf", "cerp", 0.1, 0)
            record["spec"]["protocol"] = protocol
            write(tmp_path / folder, record, users)
    assert [change.verdict for change in diff(tmp_path / "a", tmp_path / "b").changes] == ["same"]


def test_p_values_are_corrected_over_all_rows_of_the_two_folders(
    before: Path, tmp_path: Path
) -> None:
    after = tmp_path / "b"
    for method, shift in (("cerp", -0.004), ("dims", 0.004), ("pep", 0.006)):
        put(after, method, revision=2, shift=shift)
    found = [change.comparison for change in diff(before, after).changes if change.comparison]
    alone = [one.p for one in found if one.p is not None]
    assert len(alone) == 3 and max(alone) < 1
    assert [one.corrected for one in found] == pytest.approx(holm(alone))
    assert holm(alone) != alone


def test_the_column_of_corrected_p_values_shows_no_others() -> None:
    comparison = Comparison(-0.05, -0.08, -0.02, p=0.012, corrected=0.036)
    change = Change(("toy-v10-s0", "mf", "10%"), "CERP", "worse", None, None, comparison)
    head, _, row, *_ = render_diff(Difference((change,), ())).splitlines()
    names, cells = ([cell.strip() for cell in line.split("|")] for line in (head, row))
    assert cells[names.index("p (Holm)")] == "0.036"
    assert cells[names.index("95 % interval")] == "-0.0800 to -0.0200"
