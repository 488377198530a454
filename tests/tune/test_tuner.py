"""From options to a file: the objective that was tuned first holds for all that follows."""

from __future__ import annotations

from collections import deque

import pytest

pytest.importorskip("optuna", reason="tuning needs the extra `tune`")

from bench.check import tiny_data
from bench.engine.objectives import Softmax
from bench.engine.settings import Training
from bench.errors import SpecError
from bench.runs.request import Request
from bench.runs.settings import override
from bench.runs.suite import Suite, When
from bench.runs.tuned import read_tuned
from bench.tune import tuner
from bench.tune.options import Options
from bench.tune.tuner import Tuner

SUITE = override(
    Suite(
        dim=8,
        budgets=("40%",),
        training=Training(lr=0.05, batch=64, epochs=5, search_epochs=2, patience=5),
    ),
    ["training.objective.name=softmax"],
)
TEMPERATURE = "training.objective.temperature"


@pytest.fixture(name="tuned")
def tuned_fixture(tmp_path, monkeypatch):
    """Tunes methods without training; the lowest temperature is the best. Gives their specs."""
    ran, failing = [], set()

    class Workers:
        def __init__(self, *_):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def __call__(self, runs, take):
            waiting = deque(runs)
            while waiting:
                run = waiting.popleft()
                ran.append(run.spec)
                value = 1 - run.spec.training.objective.temperature / 10
                outcome = {"status": "complete", "value": value, "passes": 1, "seconds": 0.0}
                if run.spec.method.name in failing:
                    outcome = {"status": "failed", "error": "out of luck"}
                waiting.extend(take(run.spec.id, outcome))

    monkeypatch.setattr(tuner, "Workers", Workers)

    def tune(*methods, objective, trials=5, results="r", fail=()):
        ran.clear()
        failing.clear()
        failing.update(fail)
        chosen = SUITE.model_copy(update={"methods": methods})
        out = tmp_path / "found.toml"
        options = Options(
            trials, (), 1000, objective, out, tmp_path / results, 1, None, 1, "cpu", None
        )  # fmt: skip
        Tuner(Request(), chosen, tiny_data(), options).run(lambda *_: None)
        return {name: [one for one in ran if one.method.name == name] for name in methods}

    tune.ran = ran
    return tune


def shared(path) -> dict:
    """What a file has for all methods."""
    (found,) = [one.set for one in read_tuned(path).override if not one.when.method]
    return found


def test_methods_are_tuned_under_the_objective_that_was_found_before(tuned, tmp_path):
    runs = tuned("dims", objective=True)["dims"]
    found = shared(tmp_path / "found.toml")[TEMPERATURE]
    assert found != Softmax().temperature
    assert {one.training.objective.temperature for one in runs} == {found}


def test_a_file_keeps_its_objective_for_the_methods_that_join_it(tuned, tmp_path):
    path = tmp_path / "found.toml"
    tuned("dims", objective=True)
    found = shared(path)
    runs = tuned("hashing", objective=False)["hashing"]
    assert {one.training.objective.temperature for one in runs} == {found[TEMPERATURE]}
    assert shared(path) == found
    assert {one.when for one in read_tuned(path).override} == {
        When(backbone=("mf",)),
        When(method=("dims",), budget=("40%",), backbone=("mf",)),
        When(method=("hashing",), budget=("40%",), backbone=("mf",)),
    }


def test_another_objective_is_refused_before_methods_are_tuned_that_would_not_be_kept(
    tuned, tmp_path
):
    tuned("dims", objective=True)
    before = (tmp_path / "found.toml").read_text()
    with pytest.raises(
        SpecError, match=r"it holds dims 40%, tuned with training\.[a-z_.]+ = [^{]+, not"
    ):
        tuned("hashing", objective=True, trials=12)  # enough to find a lower temperature
    assert {one.method.name for one in tuned.ran} == {"full"}
    assert (tmp_path / "found.toml").read_text() == before


def test_a_search_without_a_result_takes_what_the_file_held_away(tuned, tmp_path):
    """Its trials say that those settings cannot be had any more."""
    path = tmp_path / "found.toml"
    tuned("dims", "hashing", objective=False)
    assert {one.method for one in read_tuned(path).rows()} == {"dims", "hashing"}
    tuned("dims", "hashing", objective=False, results="again", fail=("hashing",))
    assert {one.method for one in read_tuned(path).rows()} == {"dims"}


@pytest.mark.parametrize("objective", [False, True])
def test_methods_are_tuned_under_an_objective_without_settings(objective, tmp_path):
    bpr = SUITE.model_copy(update={"methods": ("dims",)})
    bpr = override(bpr, ["training.objective={name='bpr', negatives=1}"])
    options = Options(
        5, (), 1000, objective, tmp_path / "found.toml", tmp_path / "r", 1, None, 1, "cpu", None
    )
    one = Tuner(Request(), bpr, tiny_data(), options)
    if objective:
        with pytest.raises(SpecError, match="--objective: the objective bpr has no settings"):
            one.subjects()
    else:
        assert len(one.subjects()) == 1
