"""Studies of functions: equal trials in stages, a log that survives kills, nothing lost."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("optuna", reason="tuning needs the extra `tune`")

from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from bench.method import Choice, LogRange, Range
from bench.tune.log import read_log
from bench.tune.study import (
    AGAIN,
    ELSEWHERE,
    FINALISTS,
    FULL,
    ROUND,
    SHORT,
    Asked,
    Study,
    distribution,
    promoted,
)

SPACE = {"x": Range(-1.0, 1.0), "kind": Choice(("a", "b"))}
START = {"x": 0.9, "kind": "b"}
COARSE = {
    "bits": Choice((None, 8, 4), coarse=True),
    "training.lr": LogRange(0.01, 1.0, coarse=True),
}


def score(params, stage=FULL) -> float:
    """A parabola; the short stage and the second seed see it a little differently."""
    off = {SHORT: 0.1, FULL: 0.0, AGAIN: -0.01}[stage]
    return 1 - (params["x"] - 0.3 - off) ** 2 - (params["kind"] == "b")


def played(
    path, trials: int, until: int | None = None, space=SPACE, first=(START,), value=score, rate=None
) -> Study:
    """A study of a function; with `until` it is cut off after so many outcomes."""
    study = Study(path, {"of": "a function"}, space, first, trials, seed=3, rate=rate)
    play(study, study.rounds(), value, until)
    return study


def play(study: Study, rounds, value=score, until: int | None = None) -> None:
    done = 0
    for asked in rounds:
        for one in asked:
            if done == until:
                return
            done += 1
            found = value(one.params, one.stage)
            entry = {"status": "complete", "value": found, "run": str(one), "passes": 1}
            study.keep(one, {**entry, "params": one.params})


def numbers(study: Study, stage: str) -> list[int]:
    return sorted(number for number, one in study.outcomes if one == stage)


def test_spaces_as_optuna_names_them():
    assert distribution(Choice((True, None))) == CategoricalDistribution((True, None))
    assert distribution(Range(1, 4)) == IntDistribution(1, 4)
    assert distribution(Range(0.0, 0.9)) == FloatDistribution(0.0, 0.9)
    assert distribution(LogRange(1e-3, 1.0)) == FloatDistribution(1e-3, 1.0, log=True)


def test_all_trials_are_short_some_full_three_twice_and_the_start_is_among_the_full(tmp_path):
    study = played(tmp_path / "log.jsonl", 16)
    assert numbers(study, SHORT) == list(range(16))
    full = numbers(study, FULL)
    assert len(full) == promoted(16) + 1
    assert full[0] == 0  # the start, which is a bad one
    by_short = sorted(range(16), key=lambda n: -study.outcomes[n, SHORT]["value"])
    assert set(full) == {0, *by_short[: promoted(16)]}
    by_full = sorted(full, key=lambda n: -study.outcomes[n, FULL]["value"])
    assert numbers(study, AGAIN) == sorted(by_full[:FINALISTS])
    counts = study.counts()
    assert counts == {
        "planned": 16, "complete": 5, "pruned": 11, "repeated": 0, "infeasible": 0, "failed": 0,
        "passes": 16 + 5 + 3,
    }  # fmt: skip


def test_the_best_of_the_settings_that_were_known_is_not_lost_by_a_short_trial(tmp_path):
    """All known settings look bad in short trials and are good with all passes."""
    first = [{"x": x, "kind": "a"} for x in (-0.9, -0.8, -0.7)]

    def value(params, stage):
        known = params["x"] <= -0.7
        return (params["x"] - 10 * known) if stage == SHORT else params["x"] * (-10 if known else 1)

    study = played(tmp_path / "log.jsonl", 12, first=first, value=value)
    full = numbers(study, FULL)
    assert full[:2] == [0, 2] and len(full) == promoted(12) + 2
    assert study.chosen() == 0  # it stands at 9, number 2 at 7, the others below 1
    value_of = {n: study.outcomes[n, FULL]["value"] for n in full}
    assert sorted(value_of, key=value_of.get)[-2:] == [2, 0]
    assert 2 in numbers(study, AGAIN)


@pytest.mark.parametrize(("worse", "chosen"), [(0.004, 1), (0.006, 0)])
def test_of_nearly_equal_settings_the_cheapest_are_chosen(tmp_path, worse, chosen):
    space = {"count": Choice((256, 512))}
    study = Study(
        tmp_path / "log.jsonl", {}, space, [{"count": 512}, {"count": 256}], 2, 0, "count"
    )
    for asked in study.rounds():
        for one in asked:
            value = 0.2 * (1 - worse * (one.params["count"] == 256))
            entry = {"status": "complete", "value": value, "run": str(one), "passes": 1}
            study.keep(one, {**entry, "params": one.params})
    assert study.chosen() == chosen


@pytest.mark.parametrize(("best_rate", "slower"), [(0.04, True), (0.4, False)])
def test_the_best_trial_runs_with_half_of_its_rate_too(tmp_path, best_rate, slower):
    """Short trials like a rate of .4; with all passes `best_rate` is the best."""

    def value(params, stage):
        return -abs(params["training.lr"] - (0.4 if stage == SHORT else best_rate))

    space = {"training.lr": LogRange(0.01, 1.0)}
    study = played(
        tmp_path / "log.jsonl", 8, space=space, first=[{"training.lr": 0.4}], value=value,
        rate="training.lr",
    )  # fmt: skip
    (half,) = (number for number, stage in study.outcomes if stage == FULL and number < 0)
    rates = {n: study.outcomes[n, FULL]["params"]["training.lr"] for n in numbers(study, FULL)}
    with_all = [n for n in rates if n >= 0]
    assert -1 - half == max(with_all, key=lambda n: study.value(n, FULL))
    assert rates[half] == pytest.approx(rates[-1 - half] / 2, rel=0.01)
    assert study.chosen() == (half if slower else -1 - half)
    assert study.chosen(proposed=True) == -1 - half
    assert len(numbers(study, AGAIN)) == FINALISTS
    assert study.counts()["planned"] == sum(
        many for key, many in study.counts().items() if key not in ("planned", "passes")
    )


def test_the_best_mean_of_two_seeds_is_chosen(tmp_path):
    study = played(tmp_path / "log.jsonl", 12)
    means = {n: study.value(n, FULL, AGAIN) for n in numbers(study, AGAIN)}
    assert study.chosen() == max(means, key=means.get)
    assert study.value(study.chosen(), FULL) > 0.9  # of 1; the start has -0.36
    study = Study(tmp_path / "none.jsonl", {}, SPACE, [START], 12, seed=3)
    study.outcomes = {
        (1, FULL): {"value": 0.5}, (1, AGAIN): {"value": 0.1},
        (2, FULL): {"value": 0.4}, (2, AGAIN): {"value": 0.4},
    }  # fmt: skip
    assert study.chosen() == 2
    study.outcomes = {(0, SHORT): {"value": None}}
    assert study.chosen() is None


@pytest.mark.parametrize("until", [1, 4, 6, 12, 14, 16, 17, 19])
def test_a_study_that_was_cut_off_goes_on_as_if_it_had_not_been(tmp_path, until):
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    how = {
        "space": COARSE | SPACE,
        "first": [{"bits": None, "training.lr": 0.1, **START}],
        "rate": "training.lr",
    }
    played(whole, 12, **how)
    played(cut, 12, until, **how)
    assert len(read_log(cut)) == until
    played(cut, 12, **how)
    assert cut.read_text() == whole.read_text()


def test_short_trials_of_a_study_with_fewer_trials_are_used_again(tmp_path):
    first, whole = tmp_path / "first.jsonl", tmp_path / "whole.jsonl"
    played(first, 8)
    played(first, 12)
    played(whole, 12)
    assert read_log(first).items() >= read_log(whole).items()
    assert json.loads(whole.read_text().splitlines()[0]) == {"study": {"of": "a function"}}


def test_more_in_the_log_than_a_study_asks_for_has_no_part_in_it(tmp_path):
    """As it is after a study of more trials, or one with more that run with all passes."""
    path = tmp_path / "log.jsonl"
    alone = played(path, 12)
    chosen, counts = alone.chosen(), alone.counts()
    (extra,) = [n for n in range(12) if n not in numbers(alone, FULL)][:1]
    for stage in (FULL, AGAIN):
        entry = {"status": "complete", "value": 2.0, "run": stage, "passes": 1}
        alone.keep(Asked(extra, stage, {}), {**entry, "params": {}})
    again = played(path, 12)
    assert (extra, AGAIN) in again.outcomes
    assert again.chosen() == chosen
    assert again.counts() == counts


@pytest.mark.parametrize(("x", "chosen", "stages"), [(0.3, True, 2), (-0.9, False, 1)])
def test_settings_of_another_budget_compete_as_the_others_do(tmp_path, x, chosen, stages):
    path, params = tmp_path / "log.jsonl", {"x": x, "kind": "a"}
    study = played(path, 12)
    before, passes = study.chosen(), study.counts()["passes"]
    play(study, study.compare(params))
    assert study.chosen() == (ELSEWHERE if chosen else before)
    assert study.chosen(proposed=True) == before
    assert study.counts()["passes"] == passes + stages
    again = played(path, 12)
    assert again.chosen() == before  # nobody has asked for the comparison yet
    assert [one for asked in again.compare(params) for one in asked] == []
    assert again.chosen() == study.chosen()


def test_settings_of_another_budget_that_a_trial_had_are_not_run_again(tmp_path):
    study = played(tmp_path / "log.jsonl", 12)
    before, counts = study.chosen(), study.counts()
    for number in numbers(study, FULL):
        assert list(study.compare(study.outcomes[number, FULL]["params"])) == []
    assert (study.chosen(), study.counts()) == (before, counts)


def test_later_settings_of_another_budget_take_the_place_of_earlier_ones(tmp_path):
    """As when the larger budget gets more trials."""
    path = tmp_path / "log.jsonl"
    study = played(path, 12)
    play(study, study.compare({"x": 0.3, "kind": "a"}))
    later = played(path, 12)
    play(later, later.compare({"x": 0.301, "kind": "a"}))
    assert later.chosen() == ELSEWHERE - 1
    assert later.counts() == study.counts()
    again = played(path, 12)
    assert [one for asked in again.compare({"x": 0.3, "kind": "a"}) for one in asked] == []
    assert again.chosen() == ELSEWHERE


def test_a_line_that_a_kill_has_cut_short_is_run_again(tmp_path):
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    played(whole, 6)
    cut.write_text(whole.read_text()[:-30])
    assert len(read_log(cut)) == len(read_log(whole)) - 1
    played(cut, 6)
    assert read_log(cut) == read_log(whole)


def test_a_log_of_other_trials_is_refused(tmp_path):
    path = tmp_path / "log.jsonl"
    played(path, 4)
    path.write_text(path.read_text().replace('"kind": "b"', '"kind": "a"'))
    with pytest.raises(Exception, match=r"log.jsonl: trial 0 tried .*remove the file"):
        played(path, 4)


def test_settings_that_matter_most_vary_first(tmp_path):
    first = [{"bits": None, "training.lr": 0.1, **START}, {"bits": 4, "training.lr": 0.2, **START}]
    tried = []

    def value(params, stage):
        tried.append((stage, params))
        return score(params)

    played(tmp_path / "log.jsonl", 12, space=COARSE | SPACE, first=first, value=value)
    short = [params for stage, params in tried if stage == SHORT]
    assert short[:2] == first
    assert {(one["x"], one["kind"]) for one in short[:8]} == {(0.9, "b")}
    assert len({one["training.lr"] for one in short}) > 8
    assert len({one["x"] for one in short[8:]}) == 4


def test_first_settings_outside_of_the_space_are_tried_as_they_are(tmp_path):
    first = [{"x": 1.5, "kind": "c"}]

    def value(params, stage):
        return -abs(params["x"] - 1.5)

    study = played(tmp_path / "log.jsonl", 8, first=first, value=value)
    assert study.outcomes[0, SHORT]["params"] == first[0]
    assert study.chosen() == 0


def test_settings_that_fail_are_avoided(tmp_path):
    """The sampler is told that a trial without a score is worse than one with a low score."""

    def value(params, stage):
        return None if params["kind"] == "a" else 0.2 - params["x"] ** 2 / 10

    study = played(tmp_path / "log.jsonl", 24, value=value)
    kinds = [study.outcomes[number, SHORT]["params"]["kind"] for number in range(24)]
    assert "a" in kinds[:12]
    assert kinds[12:].count("a") < 12 / 2


def test_counts_of_trials_by_outcome(tmp_path):
    study = Study(tmp_path / "log.jsonl", {}, SPACE, [START], 5, 0)
    study.outcomes = {
        (0, SHORT): {"status": "complete", "passes": 2},
        (0, FULL): {"status": "failed", "passes": 3},
        (1, SHORT): {"status": "infeasible"},
        (2, SHORT): {"status": "complete", "of": 0, "passes": 0},
        (3, SHORT): {"status": "complete", "passes": 2},
    }
    assert study.counts() == {
        "planned": 5, "complete": 0, "pruned": 1, "repeated": 1, "infeasible": 1, "failed": 1,
        "passes": 7,
    }  # fmt: skip


WEIGHTS = st.tuples(*[st.floats(-2, 2) for _ in range(4)])


@settings(max_examples=15, deadline=None)
@given(weights=WEIGHTS, noise=st.integers(0, 99))
def test_a_larger_space_never_ends_worse_given_the_same_first_trials(
    tmp_path_factory, weights, noise
):
    """The larger space begins with what the smaller one has found."""
    folder = tmp_path_factory.mktemp("studies")
    small = {"x": Range(-1.0, 1.0), "training.lr": LogRange(0.01, 1.0)}
    large = {"bits": Choice((None, 8, 4)), "y": Range(0.0, 1.0)} | small
    a, b, c, d = weights

    def value(params, stage):
        x, y, bits = params["x"], params.get("y", 0.5), params.get("bits")
        found = a * x - x * x + b * (y - 0.5) + c * x * (y - 0.5) + d * (bits == 4)
        # The short stage may be misleading.
        return found + (hash((noise, x, y)) % 7 if stage == SHORT else 0)

    start = {"x": 0.0, "training.lr": 0.1}
    of_small = played(folder / "small.jsonl", 2 * ROUND, space=small, first=[start], value=value)
    found = of_small.outcomes[of_small.chosen(), FULL]["params"]
    first = [{"bits": None, "y": 0.5, **found}]
    of_large = played(folder / "large.jsonl", 2 * ROUND, space=large, first=first, value=value)
    best = of_small.value(of_small.chosen(), FULL, AGAIN)
    assert of_large.value(of_large.chosen(), FULL, AGAIN) >= best
    assert best >= of_small.value(0, FULL)  # nor ends the smaller one worse than it began


def test_a_choice_that_says_so_varies_from_the_first_trials_on(tmp_path):
    """Other choices do not, and logs have the same text for both."""
    names = ("one", "two", "three")
    for coarse in (False, True):
        choice = Choice(names, coarse=coarse)
        assert repr(choice) == repr(Choice(names))
        study = played(
            tmp_path / f"{coarse}.jsonl",
            8,
            space=COARSE | {"knob": choice},
            first=({"bits": None, "training.lr": 0.1, "knob": "one"},),
            value=lambda params, stage: 0.5 - abs(params["training.lr"] - 0.3) / 2,
        )
        tried = {study.outcomes[n, "short"]["params"]["knob"] for n in range(1, 8)}
        assert (len(tried) > 1) == coarse
