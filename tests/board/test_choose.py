"""What fits is ranked, with its uncertainty and what more would buy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.make_records import Toy, exact, make, write

from bench.board import load
from bench.board.choose import choose, some
from bench.board.sentences import latency_note, next_up, verdict
from bench.board.stats import MARGIN, Comparison, tukey
from bench.errors import BenchError

TOY = Toy("toy", 400, 500, 0.4, note="Invented.")
FULL = 900 * 64 * 4


def put(folder: Path, method: str, fraction: float | None, seed: int = 0, **other: Any) -> None:
    write(
        folder,
        *make(other.pop("toy", TOY), other.pop("backbone", "mf"), method, fraction, seed, **other),
    )


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for seed in (0, 1, 2):
        put(tmp_path, "full", None, seed)
        for fraction in (0.05, 0.1, 0.25):
            for method in ("dims", "hashing", "cerp"):
                put(tmp_path, method, fraction, seed)
    return tmp_path


def test_what_fits_is_ranked_one_row_a_method(results: Path) -> None:
    (advice,) = choose(load(results), FULL // 10)
    assert [c.row.method for c in advice.choices] == ["cerp", "dims", "hashing"]
    assert {c.budget for c in advice.choices} == {"10%"}
    assert all((c.row.mean("bytes") or 0) <= FULL // 10 for c in advice.choices)
    assert advice.choices[0].to_best is None
    assert all(c.to_best is not None and c.to_best.difference < 0 for c in advice.choices[1:])


def test_differences_are_corrected_for_all_that_the_first_choice_was_picked_from(
    results: Path,
) -> None:
    (advice,) = choose(load(results), FULL // 10)
    found = [choice.to_best for choice in advice.choices[1:]]
    assert [c.corrected for c in found if c] == tukey([c.p or 0.0 for c in found if c], 3)


def test_the_smallest_larger_table_that_gains_is_named_with_its_gain(results: Path) -> None:
    (advice,) = choose(load(results), FULL // 10)
    assert advice.larger is not None and advice.gain is not None
    assert (advice.larger.row.method, advice.larger.budget) == ("cerp", "25%")
    assert advice.gain.difference == pytest.approx(
        (advice.larger.row.mean("ndcg@20") or 0) - (advice.choices[0].row.mean("ndcg@20") or 0)
    )
    (above,) = choose(load(results), FULL // 4)
    assert above.larger is not None and above.larger.row.method == "full"
    (all_of_it,) = choose(load(results), FULL)
    assert all_of_it.choices[0].row.method == "full" and all_of_it.larger is None
    assert next_up(all_of_it) == "No larger table that meets the limits was measured."


def test_a_larger_table_that_gains_less_than_the_margin_is_passed_over(tmp_path: Path) -> None:
    for fraction, ndcg in ((0.1, 0.2), (0.2, 0.2 * (1 + 0.9 * MARGIN)), (0.5, 0.21), (0.8, 0.3)):
        write(tmp_path, exact(TOY, "dims", fraction, ndcg))
    (advice,) = choose(load(tmp_path), FULL // 10)
    assert advice.larger is not None and advice.larger.budget == "50%"
    (advice,) = choose(load(tmp_path), FULL // 2)
    assert advice.larger is not None and advice.larger.budget == "80%"
    for path in tmp_path.rglob("*80*"):
        path.unlink()
    write(tmp_path, exact(TOY, "dims", 0.8, 0.2))
    (advice,) = choose(load(tmp_path), FULL // 2)
    assert advice.larger is None and next_up(advice) == "No larger table gains 2 % or more."


def test_validation_chooses_among_sizes_of_a_method(results: Path) -> None:
    record, users = make(TOY, "mf", "hashing", 0.05, 0, config={"other": 1})
    for key in record["metrics"]["valid"]:
        record["metrics"]["valid"][key] = 1.0
    for seed in (0, 1, 2):
        record["spec"]["seed"] = seed
        write(results, record, users)
    (advice,) = choose(load(results), FULL // 10)
    (chosen,) = [c for c in advice.choices if c.row.method == "hashing"]
    assert chosen.budget == "5%"


def test_equal_methods_are_close(tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        put(tmp_path, "hashing", 0.1, seed)
        record, users = make(TOY, "mf", "hashing", 0.1, seed)
        for part in (record["spec"]["method"], record["method"]):
            part["name"] = "twin"
        write(tmp_path, record, users)
    (advice,) = choose(load(tmp_path), FULL)
    assert advice.choices[1].close


def test_a_row_far_behind_is_no_alternative_even_if_noise_hides_it(results: Path) -> None:
    """Three seeds that differ widely: the test cannot tell, the mean is far lower."""
    (advice,) = choose(load(results), FULL // 10)
    first, second, _ = advice.choices
    assert first.to_best is None and second.to_best is not None
    best = first.row.mean("ndcg@20") or 0.0
    for behind, close in ((0.5 * MARGIN, True), (1.5 * MARGIN, False)):
        noise = Comparison(-behind * best, -1.0, 1.0, 0.3, 0.5)
        numbers = dict(second.row.numbers)
        numbers["ndcg@20"] = replace(numbers["ndcg@20"], mean=(1 - behind) * best)
        numbers["bytes"] = replace(numbers["bytes"], mean=1000.0)
        row = replace(second.row, numbers=numbers)
        rival = replace(second, row=row, to_best=noise)
        assert rival.unsure and rival.close is close
        said = verdict(replace(advice, choices=(first, rival)))
        assert (f"{rival.name} is further behind, but not significantly" in said) is not close
        if close:
            assert said.startswith(
                f"Take {first.name}: {rival.name} is at most 2 % behind, within noise."
                f" Of these {rival.name} is the smallest (1,000 bytes), {rival.name} the fastest ("
            )


def test_a_row_of_fewer_seeds_than_others_is_not_offered(results: Path) -> None:
    put(results, "cerp", 0.1, 0, backbone="lightgcn", shift=0.3)
    (advice,) = choose(load(results), FULL // 10)
    assert {c.board.backbone for c in advice.choices} == {"mf"}
    assert advice.notes == ("not ranked for want of seeds, so left out: CERP on lightgcn",)
    (alone,) = choose(load(results), FULL // 10, backbone="lightgcn")
    assert [c.name for c in alone.choices] == ["CERP on lightgcn"]


def test_rows_of_few_seeds_are_offered_where_nothing_else_fits(tmp_path: Path) -> None:
    put(tmp_path, "cerp", 0.1)
    put(tmp_path, "qr", 0.1)
    for seed in (0, 1, 2):
        put(tmp_path, "cerp", 0.25, seed)
    (advice,) = choose(load(tmp_path), FULL // 10)
    assert {c.row.method for c in advice.choices} == {"cerp", "qr"}
    assert "could not be tested for want of seeds" in verdict(advice)
    assert advice.notes == ()
    assert advice.larger is not None
    assert advice.larger.row.seeds == (0, 1, 2)
    (above,) = choose(load(tmp_path), FULL // 2)
    put(tmp_path, "cerp", 0.8)  # one seed, where the rows that fit have three
    (still,) = choose(load(tmp_path), FULL // 2)
    assert above.larger is None
    assert still.larger is None


def test_latency_must_be_known_and_low_enough(results: Path) -> None:
    for seed in (0, 1, 2):
        put(results, "ttrec", 0.1, seed)  # shared the machine: its latency does not count
    boards = load(results)
    (slow,) = choose(boards, FULL // 10, max_latency_us=26.0)
    assert [c.row.method for c in slow.choices] == ["dims", "hashing"]
    assert any("TT-Rec" in note for note in slow.notes)
    (none,) = choose(boards, FULL // 10, max_latency_us=1.0)
    assert none.choices == ()
    assert "nothing of that size is fast enough" in none.notes
    (free,) = choose(boards, FULL // 10)
    assert "ttrec" in {c.row.method for c in free.choices}


def test_nothing_fits(results: Path) -> None:
    (advice,) = choose(load(results), 100)
    assert advice.choices == ()
    assert "nothing fits; the smallest table that is known has" in advice.notes[0]
    assert next_up(advice).startswith("The smallest larger table: ")


def test_the_smallest_size_that_a_method_needs_is_known_without_a_run_of_it(
    results: Path,
) -> None:
    put(results, "dims", 0.01, status="infeasible")
    (advice,) = choose(load(results), 100)
    least = int(0.016 * FULL)
    assert advice.notes[0] == f"nothing fits; the smallest table that is known has {least:,} bytes"


def test_rows_that_lack_seeds_are_named_where_they_would_fit(results: Path) -> None:
    (advice,) = choose(load(results), FULL // 10)
    assert advice.notes == ()
    put(results, "pep", 0.1)
    put(results, "qr", 0.25)
    (advice,) = choose(load(results), FULL // 10)
    assert advice.notes == ("not ranked for want of seeds, so left out: PEP",)


def test_sentences_name_five_rows_at_most() -> None:
    names = list("abcdef")
    assert some(names[:5]) == "a, b, c, d, e"
    assert some(names) == "a, b, c, d and 2 others"


def test_a_first_choice_of_one_seed_is_said_to_be(tmp_path: Path) -> None:
    put(tmp_path, "cerp", 0.1)
    (advice,) = choose(load(tmp_path), FULL)
    assert verdict(advice) == "Take CERP on mf: one seed, so noise between seeds is unknown."


def test_backbones_compete_and_data_sets_do_not(results: Path) -> None:
    for seed in (0, 1, 2):
        put(results, "cerp", 0.1, seed, backbone="lightgcn")
        put(results, "cerp", 0.1, seed, toy=Toy("other", 100, 100, 0.2))
    both = choose(load(results), FULL // 10)
    assert [advice.dataset for advice in both] == ["other", "toy"]
    toy = both[1]
    assert {c.board.backbone for c in toy.choices} == {"mf", "lightgcn"}
    assert all(c.to_best is not None for c in toy.choices[1:])  # paired across backbones
    (only,) = choose(load(results), FULL // 10, backbone="lightgcn", dataset="toy-v10-s0")
    assert [c.row.method for c in only.choices] == ["cerp"]


@pytest.mark.parametrize("limit", [None, 1000.0])
def test_what_popularity_beats_is_never_recommended(results: Path, limit: float | None) -> None:
    put(results, "popularity", None, backbone="none", shift=0.5)
    for seed in (0, 1, 2):
        put(results, "cerp", 0.1, seed, backbone="lightgcn")
    (advice,) = choose(load(results), FULL // 10, limit)
    first, *others = advice.choices
    assert first.row.method == "popularity"
    assert [c.row.method for c in others].count("popularity") == 0  # once for all backbones
    assert verdict(advice).startswith("Take Popularity")
    assert any(note.startswith("Popularity reaches") for note in advice.notes)


def test_popularity_that_is_beaten_stands_last(results: Path) -> None:
    put(results, "popularity", None, backbone="none", shift=-0.2)
    (advice,) = choose(load(results), FULL // 10)
    assert [c.row.method for c in advice.choices] == ["cerp", "dims", "hashing", "popularity"]
    assert not any(note.startswith("Popularity reaches") for note in advice.notes)


def test_a_close_row_below_popularity_is_no_rival(tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        put(tmp_path, "hashing", 0.1, seed)
        record, users = make(TOY, "mf", "hashing", 0.1, seed, config={"other": 1})
        for part in (record["spec"]["method"], record["method"]):
            part["name"] = part["title"] = "twin"
        write(tmp_path, record, users)
    (advice,) = choose(load(tmp_path), FULL)
    best, rival = advice.choices
    assert rival.unsure and rival.name in verdict(advice)
    record, _ = make(TOY, "none", "popularity", None, 0)
    between = ((best.row.mean("ndcg@20") or 0) + (rival.row.mean("ndcg@20") or 0)) / 2
    record["metrics"]["test"]["ndcg@20"] = between
    write(tmp_path, record)
    (advice,) = choose(load(tmp_path), FULL)
    assert [c.name for c in advice.choices] == [best.name, "Popularity", rival.name]
    assert rival.name not in verdict(advice)
    assert "every other table" not in verdict(advice)


@pytest.mark.parametrize("popularity", [False, True])
def test_a_clear_winner_is_called_one(tmp_path: Path, popularity: bool) -> None:
    """Popularity has one seed, and is no table."""
    for seed in (0, 1, 2):
        put(tmp_path, "cerp", 0.1, seed, shift=0.3)
        put(tmp_path, "dims", 0.1, seed)
    if popularity:
        put(tmp_path, "popularity", None, backbone="none", shift=-0.2)
    (advice,) = choose(load(tmp_path), FULL)
    assert verdict(advice) == ("Take CERP on mf: better than every other table by more than noise.")


def test_one_table_is_not_better_than_others(tmp_path: Path) -> None:
    put(tmp_path, "popularity", None, backbone="none", shift=-0.2)
    for seed in (0, 1, 2):
        put(tmp_path, "cerp", 0.1, seed)
    (advice,) = choose(load(tmp_path), FULL)
    assert verdict(advice) == "Take CERP on mf."


def test_the_run_to_take_is_the_one_that_validation_prefers(results: Path) -> None:
    (advice,) = choose(load(results), FULL // 10)
    first = advice.choices[0]
    scores = {r.id: r.metrics.valid["ndcg@20"] for r in first.row.records if r.metrics}
    assert first.run.id == max(scores, key=lambda run: scores[run])


def test_a_missing_latency_is_told_with_the_command(results: Path) -> None:
    (advice,) = choose(load(results), FULL // 10)
    assert not latency_note(advice)
    for seed in (0, 1, 2):
        put(results, "ttrec", 0.1, seed, shift=0.5)  # shared the machine
    (advice,) = choose(load(results), FULL // 10)
    assert latency_note(advice).endswith(f"{advice.choices[0].run.command} --again")


def test_the_note_and_missing_users_are_told(results: Path) -> None:
    for path in results.rglob("*.npz"):
        path.unlink()
    (advice,) = choose(load(results), FULL // 10)
    assert advice.note == "Invented."
    assert "could not be tested" in verdict(advice)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"max_bytes": 0}, "--max-bytes is 0"),
        ({"max_bytes": 10, "max_latency_us": 0.0}, "--max-latency is 0.0"),
        ({"max_bytes": 10, "backbone": "gat"}, "no runs for backbone 'gat'.*there are toy/mf"),
        ({"max_bytes": 10, "dataset": "x"}, "no runs for data set 'x'"),
    ],
)
def test_mistakes_are_one_line(results: Path, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(BenchError, match=said):
        choose(load(results), **arguments)
    with pytest.raises(BenchError, match="bench leaderboard"):
        choose(load(results / "missing"), 10)
