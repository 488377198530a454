"""Where the noise of a difference comes from, computed by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench.board.model import UserScores
from bench.board.significance import compare_rows, noise, rank, score_users
from bench.board.stats import Comparison, summarise, tukey


def row(key: str, *means: float) -> Any:
    """A row whose seeds have these means over users."""
    number = summarise(means)
    assert number is not None
    return SimpleNamespace(
        key=key,
        seeds=tuple(range(len(means))),
        numbers={"ndcg@20": number},
        records=tuple(SimpleNamespace(id=f"{key}{seed}") for seed in range(len(means))),
        mean=lambda quantity: number.mean,
    )


def users(mean: list[float], own: float = 0.0) -> UserScores:
    return UserScores("same", np.array(mean, dtype=np.float32), own)


def run(*ndcg: float, names: str = "same") -> Any:
    return SimpleNamespace(users=names, ndcg=np.array(ndcg, dtype=np.float64))


def test_noise_is_that_of_users_less_what_is_the_runs_own_and_of_seeds() -> None:
    one, other = row("a", 0.1, 0.2, 0.3), row("b", 0.2, 0.2, 0.5)
    # The gaps are .5, .25 and 0: their variance is 1/16, and that of their mean 1/48.
    mine, theirs = users([0.75, 0.5, 0.25], own=0.001), users([0.25, 0.25, 0.25], own=0.002)
    found, freedom, seeds = noise(one, mine, other, theirs)
    assert found == pytest.approx(1 / 48 - 0.001 - 0.002)
    assert freedom == 2
    # Variances over seeds: .01 and .03, of means of three.
    assert [part for part, _ in seeds] == pytest.approx([0.01 / 3, 0.03 / 3])
    assert [degrees for _, degrees in seeds] == [2, 2]


def test_the_noise_of_a_multiple_has_its_square() -> None:
    one, other = row("a", 0.1, 0.2, 0.3), row("b", 0.2, 0.2, 0.5)
    mine, theirs = users([2.0, 1.0, 0.5], own=0.001), users([0.5, 0.25, 0.25], own=0.002)
    # The gaps are 1, .5 and 0.
    found, _, seeds = noise(one, mine, other, theirs, factor=2.0)
    assert found == pytest.approx(1 / 12 - 0.001 - 4 * 0.002)
    assert [part for part, _ in seeds] == pytest.approx([0.01 / 3, 4 * 0.03 / 3])


def test_seeds_that_agree_by_chance_have_the_noise_of_their_runs() -> None:
    mine, theirs = users([0.5, 0.25], own=0.004), users([0.25, 0.25], own=0.0)
    _, _, seeds = noise(row("a", 0.2, 0.2, 0.2), mine, row("b", 0.1, 0.2, 0.3), theirs)
    assert [part for part, _ in seeds] == pytest.approx([0.004, 0.01 / 3])


def test_what_a_run_does_for_a_user_is_its_own() -> None:
    runs = {"a0": run(0.1, 0.3), "a1": run(0.3, 0.1)}
    found = score_users([row("a", 0.2, 0.2)], runs)["a"]
    assert found.mean == pytest.approx([0.2, 0.2])
    # Four residuals of .1, one degree of freedom, a mean of four scores.
    assert found.own == pytest.approx(4 * 0.01 / 1 / 4)
    # A run that is better for all users alike is the seed's doing, not its own.
    runs = {"a0": run(0.1, 0.3), "a1": run(0.3, 0.5)}
    assert score_users([row("a", 0.2, 0.4)], runs)["a"].own == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("lost", ["one run", "other users"])
def test_a_row_without_the_users_of_all_runs_is_not_scored(lost: str) -> None:
    runs = {"a0": run(0.1, 0.3), "a1": run(0.3, 0.1)}
    if lost == "one run":
        del runs["a1"]
    else:
        runs["a1"] = run(0.3, 0.1, names="others")
    assert score_users([row("a", 0.2, 0.2)], runs) == {}


def test_a_difference_that_correction_makes_doubtful_is_not_significant() -> None:
    assert not Comparison(0.1, 0.01, 0.2, p=0.03, corrected=0.06).significant
    assert Comparison(0.1, 0.01, 0.2, p=0.03, corrected=0.04).significant


def test_differences_from_the_best_are_corrected_for_all_that_it_was_picked_from() -> None:
    best, other = row("a", 0.3, 0.31, 0.32), row("b", 0.2, 0.21, 0.22)
    pair = other, users([0.2, 0.3, 0.2, 0.1]), best, users([0.3, 0.35, 0.3, 0.25])
    [plain], [of_ten] = compare_rows([pair]), compare_rows([pair], best_of=10)
    assert plain.p == of_ten.p and plain.corrected == plain.p
    assert [of_ten.corrected] == tukey([of_ten.p or 1.0], 10)
    assert (of_ten.corrected or 0.0) > (plain.corrected or 1.0)


@pytest.mark.parametrize(("ndcg", "below"), [(0.1, True), (0.2, True), (0.21, False)])
def test_a_row_that_only_equals_popularity_is_below_it(ndcg: float, below: bool) -> None:
    [entry] = rank([row("a", ndcg)], None, [row("popularity", 0.2)], {})
    assert entry.below_reference is below
