"""Data sets side by side: shares of the full table of each, and average ranks over them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from support.make_records import Toy, exact, make, write

from bench.board import AcrossDatasets, load
from bench.board.stats import Ranking

A, B, C = (Toy(name, 40, 60, 0.4) for name in "abc")
SCORES = {
    # By method: NDCG@20 at 5 % and at 10 %.
    A: {"cerp": (0.4, 0.4), "qr": (0.3, 0.3), "pep": (0.2, 0.35), "hashing": (0.1, 0.3)},
    B: {"cerp": (0.3, 0.5), "qr": (0.4, 0.4), "pep": (0.2, 0.3), "hashing": (0.1, 0.2)},
    C: {"cerp": (0.9, 0.8), "qr": (0.6, 0.7), "pep": (0.8, 0.9), "hashing": (0.7, 0.6)},
}
RANKS = {
    # On paper. At 5 %: 1 2 3 4, 2 1 3 4, 1 4 2 3; at 10 %: 1 3.5 2 3.5, 1 2 3 4, 2 3 1 4.
    "cerp": (1.0, 1.5, 1.5),
    "qr": (2.75, 1.5, 3.5),
    "pep": (2.5, 3.0, 1.5),
    "hashing": (3.75, 4.0, 3.5),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    results = tmp_path / "results"
    for toy, scores in SCORES.items():
        write(results, exact(toy, "full", None, 0.8))
        for method, at in scores.items():
            for fraction, ndcg in zip((0.05, 0.1), at, strict=True):
                write(results, exact(toy, method, fraction, ndcg))
    return results


def only(folder: Path) -> AcrossDatasets:
    (one,) = load(folder).datasets
    return one


def changed(record: dict[str, Any], **spec: Any) -> dict[str, Any]:
    record["spec"] |= spec
    return record


def test_shares_are_of_the_own_full_table(folder: Path) -> None:
    write(folder, exact(A, "ttrec", 0.25, 0.6))
    one = only(folder)
    assert (one.backbone, one.slug) == ("mf", "datasets-mf")
    assert [side.name for side in one.sides] == ["a", "b", "c"]
    assert [label for _, label in one.budgets] == ["5%", "10%", "25%"]
    assert [label for _, label in one.shared] == ["5%", "10%"]
    for side, scores in zip(one.sides, SCORES.values(), strict=True):
        for method, at in scores.items():
            for (place, _), ndcg in zip(one.shared, at, strict=True):
                kept = side.find(place, method)
                assert kept is not None and kept.ndcg == pytest.approx(100 * ndcg / 0.8)
                assert (kept.low, kept.high, kept.complete) == (None, None, True)


def test_ranks_are_those_worked_out_on_paper(folder: Path) -> None:
    one = only(folder)
    assert one.ranking is not None
    assert {name: pytest.approx(ranks) for name, ranks in one.ranks.items()} == RANKS
    assert one.ranking.names == ("cerp", "pep", "qr", "hashing")
    assert one.ranking.ranks == pytest.approx((4 / 3, 7 / 3, 7.75 / 3, 3.75))
    # Squares of rank - 2.5 on the data sets: 3.875, 4.5 and 4; over 3 * (4 - 1), a variance of
    # 1.375. Friedman: 3 * (7/6² + 1/6² + 1/12² + 5/4²) / 1.375 = 71 / 11, 3 degrees of freedom.
    assert one.ranking.boards == 3
    chi = 71 / 11
    tail = math.erfc((chi / 2) ** 0.5) + (2 * chi / math.pi) ** 0.5 * math.exp(-chi / 2)
    assert one.ranking.p == pytest.approx(tail)
    # Demšar's q for four methods is 2.569.
    assert one.ranking.critical == pytest.approx(2.569 * (2 * 1.375 / 3) ** 0.5, abs=1e-3)
    assert one.ranking.groups == ((0, 3),)


def test_two_data_sets_have_ranks_and_no_test(folder: Path, tmp_path: Path) -> None:
    for path in (folder / "c-v10-s0").rglob("*.json"):
        path.unlink()
    one = only(folder)
    assert one.ranking is not None
    assert one.ranks["qr"] == (2.75, 1.5)
    assert (one.ranking.boards, one.ranking.p, one.ranking.critical) == (2, None, None)
    assert one.ranking.groups == ()
    for path in (folder / "b-v10-s0").rglob("*.json"):
        path.unlink()
    assert load(folder).datasets == ()


def test_a_data_set_without_a_full_table_is_left_out_and_named(folder: Path) -> None:
    other = Toy("d", 40, 60, 0.4)
    write(folder, exact(other, "cerp", 0.05, 0.4))
    one = only(folder)
    assert [side.name for side in one.sides] == ["a", "b", "c"]
    assert one.left_out == ("d-v10-s0 (no full table)",)


def test_one_split_stands_for_a_data_set(folder: Path) -> None:
    record = exact(A, "full", None, 0.7)
    record["spec"]["dataset"]["split"] = "a-v10-s9"
    write(folder, record)
    one = only(folder)
    assert one.sides[0].board.split == "a-v10-s0"
    assert one.left_out == ("a-v10-s9 (another split of a)",)


def test_earlier_protocols_and_other_backbones_stay_apart(folder: Path) -> None:
    for toy in (A, B):
        write(folder, changed(exact(toy, "full", None, 0.5), protocol=1))
        write(folder, changed(exact(toy, "cerp", 0.05, 0.1), protocol=1))
    write(folder, *make(A, "lightgcn", "full", None, 0))
    one = only(folder)
    assert one.ranks["cerp"] == RANKS["cerp"]
    assert {side.board.version for side in one.sides} == {2}


def test_rows_without_seeds_are_not_ranked(folder: Path) -> None:
    for toy, scores in SCORES.items():
        for method, at in scores.items():
            for fraction, ndcg in zip((0.05, 0.1), at, strict=True):
                if (toy, method, fraction) != (B, "qr", 0.1):
                    write(folder, exact(toy, method, fraction, ndcg, seed=1))
    one = only(folder)
    qr = {label: one.sides[1].find(place, "qr") for place, label in one.shared}
    assert {label: kept.complete for label, kept in qr.items() if kept} == {
        "5%": True,
        "10%": False,
    }
    assert set(one.ranks) == {"cerp", "pep", "hashing"}
    assert one.unranked == ("QR",)
    # Without QR: 1 2 3 at 5 % and 1 2 3 at 10 % on the first data set.
    assert [one.ranks[name][0] for name in ("cerp", "pep", "hashing")] == [1.0, 2.0, 3.0]


def test_validation_chooses_among_ranked_rows(folder: Path) -> None:
    better = exact(A, "qr", 0.05, 0.05, valid=0.3)
    better["spec"]["method"]["config"] = {"bits": 4}
    write(folder, better)
    one = only(folder)
    kept = one.sides[0].find(one.shared[0][0], "qr")
    assert kept is not None and kept.ndcg == pytest.approx(100 * 0.05 / 0.8)
    assert one.ranks["qr"][0] == pytest.approx((4 + 3.5) / 2)


def test_a_published_form_is_a_row_of_its_own(folder: Path) -> None:
    record = exact(A, "cerp", 0.05, 0.1)
    record["spec"]["method"]["form"] = "published"
    write(folder, record)
    one = only(folder)
    titles = {"cerp": "CERP (tuned)", "cerp:published": "CERP (as published)"}
    assert {name: one.titles[name] for name in titles} == titles
    # The board of another data set has no published form and calls its row CERP.
    place = one.shared[0][0]
    assert [kept.title for s in one.sides if (kept := s.find(place, "cerp"))] == [
        "CERP (tuned)"
    ] * 3
    assert dict(one.methods(place)) == {**one.titles}


def test_budgets_of_values_do_not_count(folder: Path) -> None:
    for toy in (A, B, C):
        record = exact(toy, "cerp", 0.25, 0.4)
        for budget in (record["budget"], record["spec"]["budget"]):
            budget |= {"accounting": "values", "cap": 1600}
        record["size"] |= {"values": 1500}
        write(folder, record)
    one = only(folder)
    assert len(one.sides[0].board.leaderboards) == 3
    assert [label for _, label in one.budgets] == ["5%", "10%"]


def test_nothing_in_common_is_no_ranking(tmp_path: Path) -> None:
    for toy, fraction in ((A, 0.05), (B, 0.1)):
        write(tmp_path, exact(toy, "full", None, 0.8))
        for method in ("cerp", "qr"):
            write(tmp_path, exact(toy, method, fraction, 0.4))
    one = only(tmp_path)
    assert (one.shared, one.ranking, dict(one.ranks)) == ((), None, {})


def ranking(ranks: tuple[float, ...], p: float | None, critical: float | None) -> Ranking:
    return Ranking(tuple("abcdefgh"[: len(ranks)]), ranks, 10, p, critical)


@pytest.mark.parametrize(
    ("ranks", "p", "critical", "groups"),
    [
        ((1.0, 1.5, 3.2, 3.9, 5.0), 0.001, 2.0, ((0, 1), (1, 2), (2, 4))),
        ((1.0, 3.0, 5.0), 0.001, 2.0, ()),  # a critical difference apart is a difference
        ((1.0, 3.0, 3.5, 5.0), 0.001, 1.0, ((1, 2),)),
        ((1.0, 2.0, 3.0), 0.001, 9.0, ((0, 2),)),
        ((1.0, 2.0, 3.0), 0.2, 0.5, ((0, 2),)),  # the first test found nothing to look into
        ((1.0, 2.0, 3.0), None, None, ()),
    ],
)
def test_groups_that_do_not_differ(
    ranks: tuple[float, ...], p: float | None, critical: float | None, groups: object
) -> None:
    assert ranking(ranks, p, critical).groups == groups


def test_of_two_sizes_with_one_label_the_one_with_more_methods_counts(folder: Path) -> None:
    record = exact(A, "pep", 0.1, 0.7)
    for budget in (record["budget"], record["spec"]["budget"]):
        budget["cap"] -= 40  # of another table, say
    for key in ("bytes", "file_bytes"):
        record["size"][key] -= 40
    write(folder, record)
    side = only(folder).sides[0]
    kept = {one.row.method for one in side.kept if one.place == ("%", 10.0)}
    assert kept == {"cerp", "qr", "pep", "hashing"}
