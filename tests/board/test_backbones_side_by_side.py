"""Backbones side by side: each method as a share of its own backbone's full table."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.chromium import Browser, missing
from support.make_records import TOYS, make, write

from bench.board import load
from bench.board.backbones import SideBySide
from bench.report import build
from bench.report.backbones import section

ML, GOWALLA = TOYS
OTHER = {"batch": 4096, "epochs": 7}


def runs(folder: Path, backbone: str, **more: object) -> None:
    """Write a full table and two methods at two budgets."""
    write(folder, *make(ML, backbone, "full", None, 0, **more))  # type: ignore[arg-type]
    for fraction in (0.1, 0.25):
        for method in ("dims", "cerp", "hashing"):
            write(folder, *make(ML, backbone, method, fraction, 0, **more))  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    results = tmp_path / "results"
    write(results, *make(ML, "none", "popularity", None, 0))
    for backbone in ("mf", "lightgcn", "neumf"):
        runs(results, backbone)
    return results


def only(folder: Path) -> SideBySide:
    (one,) = load(folder).backbones
    return one


def test_shares_are_of_the_own_ceiling(folder: Path) -> None:
    one = only(folder)
    assert [side.name for side in one.sides] == ["lightgcn", "mf", "neumf"]
    assert [label for _, label in one.budgets] == ["10%", "25%"]
    ceilings = set()
    for side in one.sides:
        top = side.ceiling.mean("ndcg@20"), side.ceiling.mean("recall@20")
        assert side.ceiling.first.spec.backbone.name == side.name
        ceilings.add(top)
        assert len(side.kept) == 6
        for kept in (*side.kept, *side.references):
            assert kept.ndcg == pytest.approx(100 * kept.row.mean("ndcg@20") / top[0])
            assert kept.recall == pytest.approx(100 * kept.row.mean("recall@20") / top[1])
            assert kept.complete
        popular = side.references[0].row.mean("ndcg@20")
        below = {kept.row.key for kept in side.kept if kept.row.mean("ndcg@20") <= popular}
        assert {kept.row.key for kept in side.kept if kept.below_reference} == below
    assert len(ceilings) == 3


def test_methods_of_a_budget_stand_best_on_average_first(folder: Path) -> None:
    one = only(folder)
    for cap, _ in one.budgets:
        kept = [[side.find(cap, name) for side in one.sides] for name, _ in one.methods(cap)]
        shares = [sum(x.ndcg for x in row if x) / len(row) for row in kept]
        assert len(set(shares)) == 3
        assert shares == sorted(shares, reverse=True)


def test_the_interval_is_that_of_the_ratio_over_users(folder: Path) -> None:
    side = only(folder).sides[1]
    cap, _ = only(folder).budgets[0]
    kept = side.find(cap, "cerp")
    assert kept is not None and kept.low is not None and kept.high is not None

    def scores(row: object) -> np.ndarray:
        record = row.first  # type: ignore[attr-defined]
        return np.load((folder / record.path).with_suffix(".npz"))["ndcg@20"].astype(float)

    mine, top = scores(kept.row), scores(side.ceiling)
    # The delta method's standard error of a ratio of means over the same users.
    ratio = mine.mean() / top.mean()
    error = np.std(mine - ratio * top, ddof=1) / top.mean() / len(top) ** 0.5
    assert kept.low == pytest.approx(100 * (ratio - 1.96 * error), abs=0.3)
    assert kept.high == pytest.approx(100 * (ratio + 1.96 * error), abs=0.3)
    for path in folder.rglob("*.npz"):
        path.unlink()
    found = only(folder).sides[1].find(cap, "cerp")
    assert found is not None and (found.low, found.high) == (None, None)
    assert found.ndcg == kept.ndcg


def test_one_backbone_is_nothing_to_compare(tmp_path: Path) -> None:
    runs(tmp_path / "results", "mf")
    write(tmp_path / "results", *make(GOWALLA, "lightgcn", "full", None, 0))
    assert load(tmp_path / "results").backbones == ()
    written = build(tmp_path / "results", tmp_path / "out")
    assert not [path.name for path in written if "backbones" in path.name]
    assert "side by side" not in (tmp_path / "out" / "index.md").read_text()


def test_only_one_protocol_is_compared(folder: Path) -> None:
    # A board of its own under mf with more runs must not stand beside the other backbones.
    for seed in range(1, 4):
        runs(folder, "mf", training=OTHER)
        write(folder, *make(ML, "mf", "full", None, seed, training=OTHER))
    one = only(folder)
    assert one.protocol["training.batch"] == 1024
    assert one.left_out == ()
    for side in one.sides:
        for kept in (side.ceiling, *(kept.row for kept in side.kept)):
            assert kept.first.spec.training["batch"] == 1024
    # Learning rate and decay are a method's own: validation chooses among them.
    write(folder, *make(ML, "mf", "cerp", 0.1, 0, training={"lr": 0.5}, shift=0.2))
    better = only(folder).sides[1].find(one.budgets[0][0], "cerp")
    assert better is not None and better.row.first.spec.training["lr"] == 0.5


def test_a_backbone_without_a_ceiling_is_named(folder: Path) -> None:
    runs(folder, "mlp", training=OTHER)
    one = only(folder)
    assert one.left_out == ("mlp",)
    assert "no full table under it: mlp" in "\n".join(section(one, figures=False))


def test_another_setting_of_a_backbone_is_not_mixed_in(folder: Path) -> None:
    record, users = make(ML, "mf", "cerp", 0.1, 0, shift=0.3)
    record["spec"]["backbone"]["config"] = {"similarity": "cosine"}
    write(folder, record, users)
    side = only(folder).sides[1]
    assert {str(kept.row.protocol.get("backbone.similarity")) for kept in side.kept} == {"None"}


@pytest.mark.parametrize("commit", ["0123456789ab-dirty", "unknown"])
def test_runs_that_nobody_can_repeat_are_left_out(folder: Path, commit: str) -> None:
    def put(backbone: str, method: str, fraction: float | None, **more: Any) -> None:
        record, users = make(ML, backbone, method, fraction, 0, **more)
        record["env"]["commit"] = commit
        write(folder, record, users)

    place = only(folder).budgets[0][0]
    before = only(folder).sides[1].find(place, "cerp")
    put("mf", "ttrec", 0.1)
    put("mf", "cerp", 0.1, revision=2)
    put("mf", "cerp", 0.1, training={"lr": 0.5}, shift=0.2)  # validation prefers it
    put("mlp", "full", None)
    one = only(folder)
    assert one.sides[1].find(place, "ttrec") is None
    after = one.sides[1].find(place, "cerp")
    assert before is not None and after is not None and after.row.key == before.row.key
    assert one.left_out == ("mlp",)


def test_a_superseded_file_is_left_out(folder: Path) -> None:
    for day, source, shift in ((1, "a" * 12, 0.2), (2, "b" * 12, 0.0)):
        record, users = make(ML, "mf", "pep", 0.1, 0, shift=shift)
        record["spec"]["method"]["source"] = source
        record["finished"] = f"2026-11-{day:02}T12:00:00Z"
        write(folder, record, users)
    one = only(folder)
    kept = one.sides[1].find(one.budgets[0][0], "pep")
    assert kept is not None and kept.row.first.spec.method.source == "b" * 12


def test_a_full_table_of_few_bits_is_no_ceiling(folder: Path) -> None:
    write(folder, *make(ML, "mf", "full", None, 0, config={"bits": 8}, shift=0.2))
    assert only(folder).sides[1].ceiling.first.spec.method.config == {}


def test_missing_runs_are_gaps_and_missing_seeds_are_marked(folder: Path) -> None:
    for method, fraction in (("full", None), ("cerp", 0.1)):
        write(folder, *make(ML, "mf", method, fraction, 1))
    write(folder, *make(ML, "lightgcn", "ttrec", 0.1, 0))
    one = only(folder)
    cap = one.budgets[0][0]
    assert one.sides[1].find(cap, "ttrec") is None
    assert one.sides[1].find(cap, "cerp").complete  # type: ignore[union-attr]
    assert not one.sides[1].find(cap, "dims").complete  # type: ignore[union-attr]
    # Compared under all backbones first, then what is missing under some.
    assert [name for name, _ in one.methods(cap)][-1] == "ttrec"
    text = "\n".join(section(one, figures=False))
    (line,) = [x for x in text.splitlines() if x.startswith("| TT-Rec")]
    assert [bool(x.strip()) for x in line.split("|")[2:-1]] == [True, False, False]
    lines = [x for x in text.splitlines() if x.startswith("| Fewer dimensions")]
    assert [x.count("*") for x in lines] == [1, 1]


def test_tables_and_json_hold_what_the_board_says(folder: Path, tmp_path: Path) -> None:
    build(folder, tmp_path / "out", formats=("csv", "json"))
    one = only(folder)
    text = (tmp_path / "out" / "tables" / f"{one.slug}.csv").read_text()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 3 * (1 + 1 + 6)
    found = {(r["backbone"], r["method"], r["cap"]): r for r in rows}
    for side in one.sides:
        assert found[side.name, "full", ""]["ndcg_kept"] == "100"
        for kept in side.kept:
            row = found[side.name, kept.row.method, str(kept.place[1])]
            assert float(row["ndcg_kept"]) == pytest.approx(kept.ndcg)
            assert float(row["recall_kept"]) == pytest.approx(kept.recall)
            for key in ("ndcg@20", "recall@20"):
                assert float(row[key]) == pytest.approx(kept.row.mean(key))
            assert float(row["ndcg_kept_low"]) < kept.ndcg < float(row["ndcg_kept_high"])
    content = json.loads((tmp_path / "out" / "backbones.json").read_text())
    (split,) = content["splits"]
    assert split["split"] == one.split and split["protocol"] == dict(one.protocol)
    assert len(split["rows"]) == len(rows)


def test_the_figure_is_drawn_and_two_builds_are_byte_identical(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    for backbone in ("mf", "lightgcn"):
        write(folder, *make(ML, backbone, "full", None, 0))
        write(folder, *make(ML, backbone, "cerp", 0.1, 0))
    names = [f"{only(folder).slug}.{ending}" for ending in ("png", "svg", "csv")]
    for out in ("a", "b"):
        build(folder, tmp_path / out)
    for path in sorted((tmp_path / "a").rglob("*")):
        if path.is_file():
            twin = tmp_path / "b" / path.relative_to(tmp_path / "a")
            assert path.read_bytes() == twin.read_bytes(), path
    assert {p.name for p in (tmp_path / "a" / "figures").iterdir()} > set(names)
    text = (tmp_path / "a" / "index.md").read_text()
    assert f"(figures/{names[0]})" in text
    # The figure's data are the section's table.
    table = (tmp_path / "a" / "tables" / names[2]).read_text()
    assert (tmp_path / "a" / "figures" / names[2]).read_text() == table


CELLS = """[...document.querySelectorAll('#backbones-table tr')].map(
    r => [...r.cells].map(c => c.textContent))"""


@pytest.mark.skipif(missing() is not None, reason=missing() or "")
def test_the_page_shows_shares_of_any_metric(folder: Path, tmp_path: Path) -> None:
    write(folder, *make(GOWALLA, "mf", "full", None, 0))
    write(folder, *make(GOWALLA, "mf", "cerp", 0.1, 0))
    build(folder, tmp_path / "out", formats=("html",))
    one, page = only(folder), tmp_path / "out" / "index.html"
    tab = Browser()
    try:
        tab.open(page)
        # The first board is Gowalla, with one backbone.
        assert tab.run("document.getElementById('backbones').hidden")
        tab.run(
            "(e => { e.value = '1'; e.dispatchEvent(new Event('change')); })"
            "(document.getElementById('which'))"
        )
        tab.until("document.querySelectorAll('#backbones-chart .subplot').length === 3")
        head, full, popular, *rows = tab.run(CELLS)
        assert head == ["Budget", "Method", "lightgcn", "mf", "neumf"]
        assert popular[1:3] == ["Popularity", f"{one.sides[0].references[0].ndcg:.1f}"]
        assert full[2] == f"{one.sides[0].ceiling.mean('ndcg@20'):.4f}"
        assert len(rows) == 6
        for (cap, label), block in zip(one.budgets, (rows[:3], rows[3:]), strict=True):
            for (method, title), cells in zip(one.methods(cap), block, strict=True):
                assert cells[:2] == [label, title]
                for side, cell in zip(one.sides, cells[2:], strict=True):
                    kept = side.find(cap, method)
                    assert kept is not None
                    assert cell == f"{kept.ndcg:.1f}" + ("‡" if kept.below_reference else "")
        tab.run(
            "(e => { e.value = 'recall@20'; e.dispatchEvent(new Event('change')); })"
            "(document.getElementById('metric'))"
        )
        kept = one.sides[0].find(one.budgets[0][0], one.methods(one.budgets[0][0])[0][0])
        assert kept is not None
        assert tab.run(CELLS)[3][2] == f"{kept.recall:.1f}"
        assert tab.complaints == []
        assert tab.requests == [page.resolve().as_uri()]
    finally:
        tab.close()
