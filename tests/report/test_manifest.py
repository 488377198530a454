"""Files of boards that are gone do not stay in a report; files of the user always do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support.make_records import TOYS, make, write

from bench.report import build, manifest

FORMATS = ("md", "csv", "tex", "json")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    for backbone in ("mf", "lightgcn"):
        for method, fraction in (("full", None), ("cerp", 0.1)):
            write(folder, *make(TOYS[0], backbone, method, fraction, 0))
    return folder


def names(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_files_of_a_vanished_board_go(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(results, out, formats=FORMATS)
    before = names(out)
    shutil.rmtree(results / "ml-100k-v10-s0" / "lightgcn")
    written = build(results, out, formats=FORMATS)
    assert names(out) == {p.relative_to(out).as_posix() for p in written}
    gone = before - names(out)
    assert gone == {
        "backbones.json",
        "tables/ml-100k-v10-s0-backbones.csv",
        "tables/ml-100k-v10-s0-lightgcn.csv",
        "tables/ml-100k-v10-s0-lightgcn.tex",
    }
    fresh = tmp_path / "fresh"
    build(results, fresh, formats=FORMATS)
    assert {n: (out / n).read_bytes() for n in names(out)} == {
        n: (fresh / n).read_bytes() for n in names(fresh)
    }


def test_files_of_the_user_stay(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(results, out, formats=FORMATS)
    (out / "notes.md").write_text("mine")
    (out / "tables" / "ml-100k-v10-s0-gowalla.csv").write_text("mine, though named like theirs")
    changed = out / "tables" / "ml-100k-v10-s0-lightgcn.tex"
    changed.write_text(changed.read_text() + "% edited by hand\n")
    shutil.rmtree(results / "ml-100k-v10-s0" / "lightgcn")
    build(results, out, formats=FORMATS)
    assert {"notes.md", "tables/ml-100k-v10-s0-gowalla.csv"} < names(out)
    assert changed.exists()
    assert not (out / "tables" / "ml-100k-v10-s0-lightgcn.csv").exists()


def test_formats_that_are_not_asked_for_stay(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(results, out, formats=FORMATS)
    shutil.rmtree(results / "ml-100k-v10-s0" / "lightgcn")
    build(results, out, formats=("csv",))
    assert (out / "tables" / "ml-100k-v10-s0-lightgcn.tex").exists()
    assert not (out / "tables" / "ml-100k-v10-s0-lightgcn.csv").exists()
    build(results, out, formats=("tex",))
    assert not (out / "tables" / "ml-100k-v10-s0-lightgcn.tex").exists()


def test_a_manifest_reaches_nothing_outside(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(results, out, formats=("md",))
    victim = tmp_path / "victim.txt"
    victim.write_text("precious")
    (out / "link.txt").symlink_to(victim)
    (out / "folder").symlink_to(tmp_path)
    listed = ("../victim.txt", str(victim), "link.txt", "folder/victim.txt", "./../victim.txt")
    files = dict.fromkeys(listed, manifest.digest(victim))
    (out / manifest.NAME).write_text(json.dumps({"schema": 1, "formats": {"md": files}}))
    build(results, out, formats=("md",))
    assert victim.read_text() == "precious"
    assert (out / "link.txt").is_symlink()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"formats": 3}', '{"formats": {"md": {"a": 1}}}'])
def test_a_broken_manifest_removes_nothing(results: Path, tmp_path: Path, text: str) -> None:
    out = tmp_path / "out"
    build(results, out, formats=("md", "json"))
    (out / manifest.NAME).write_text(text)
    shutil.rmtree(results / "ml-100k-v10-s0" / "lightgcn")
    build(results, out, formats=("md", "json"))
    assert (out / "backbones.json").exists()
    assert set(manifest.read(out)["md"]) == {"index.md"}
