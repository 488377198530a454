"""What defaults lose against tuned settings, on validation data."""

from __future__ import annotations

import pytest

pytest.importorskip("optuna", reason="tuning needs the extra `tune`")

from bench.check import tiny_data
from bench.engine.settings import Training
from bench.errors import BenchError
from bench.method.registry import find_methods
from bench.records.store import Store
from bench.runs.settings import with_tuned
from bench.runs.suite import Suite, When
from bench.runs.tuned import Found, TunedFile, write_tuned
from bench.tune.trial import trial
from bench.tune.untuned import Comparison, Measured, main, summary, table

METHODS = find_methods()
SUITE = Suite(
    dim=16,
    methods=("full", "dims", "hashing"),
    training=Training(lr=0.05, batch=64, epochs=2),
)


def of(method: str, label: str, valid: float | None, **settings) -> Found:
    when = When(method=(method,), budget=(label,) if label else (), backbone=("mf",))
    return Found(when=when, set=settings, valid=valid)


def tuned(split: str) -> TunedFile:
    rows = (
        of("full", "", 0.4, **{"training.lr": 0.3}),
        of("hashing", "50%", 0.2, head=0.9, **{"training.lr": 0.3}),
        of("qr", "50%", 0.2),  # not in the suite
        of("dims", "50%", None),  # no trial was completed
    )
    return TunedFile(study={"split": split, "seeds": [1000, 1001]}, override=rows)


@pytest.fixture
def suite(tmp_path) -> Suite:
    path = tmp_path / "defaults.toml"
    write_tuned(path, {}, [of("hashing", "50%", None, head=0.25)])
    return with_tuned(SUITE, str(path))


def test_methods_run_with_the_defaults_and_the_suites_rate_on_the_seeds_of_the_tuning(
    suite, tmp_path
):
    data = tiny_data()
    one = Comparison(tuned(data.split), suite, METHODS, data, tmp_path / "log")
    specs = [run.spec for run in one.missing()]
    assert [(s.method.name, one.runs[s.id].label, s.seed) for s in specs] == [
        ("full", None, 1000),
        ("full", None, 1001),
        ("hashing", "50%", 1000),
        ("hashing", "50%", 1001),
    ]
    assert {s.method.config["head"] for s in specs if s.method.name == "hashing"} == {0.25}
    assert {s.training.lr for s in specs} == {0.05}


def test_scores_are_means_over_seeds_of_validation_data_and_nothing_runs_twice(suite, tmp_path):
    data = tiny_data()
    arguments = tuned(data.split), suite, METHODS, data, tmp_path / "log"
    one, values = Comparison(*arguments), {}
    for run in one.missing():
        outcome = trial(run, data, METHODS, Store(tmp_path / "store"))
        values[run.spec.method.name, run.spec.seed] = outcome["value"]
        one.take(run.spec.id, outcome)
    full, hashing = one.measured()
    assert full.untuned == pytest.approx((values["full", 1000] + values["full", 1001]) / 2)
    assert (hashing.method, hashing.label, hashing.tuned) == ("hashing", "50%", 0.2)
    assert hashing.loss == pytest.approx(1 - hashing.untuned / 0.2)
    again = Comparison(*arguments)
    assert again.missing() == []
    assert again.measured() == [full, hashing]


def test_other_defaults_run_only_what_differs(suite, tmp_path):
    data = tiny_data()
    one = Comparison(tuned(data.split), suite, METHODS, data, tmp_path)
    for number, run in enumerate(one.missing()):
        one.take(run.spec.id, {"value": None if number == 0 else 0.1})
    other = Comparison(tuned(data.split), SUITE, METHODS, data, tmp_path)
    # The failed run of the full table is tried again, its other seed has a score.
    assert [(run.spec.method.name, run.spec.seed) for run in other.missing()] == [
        ("full", 1000),
        ("hashing", 1000),
        ("hashing", 1001),
    ]


def test_a_failed_run_has_no_score(suite, tmp_path):
    data = tiny_data()
    one = Comparison(tuned(data.split), suite, METHODS, data, tmp_path)
    for run in one.missing():
        one.take(run.spec.id, {"status": "failed", "value": None, "error": "Diverged"})
    assert [row.loss for row in one.measured()] == [None, None]
    assert summary(one.measured()) == "No run with defaults was completed."


def test_a_run_whose_worker_died_has_no_score(suite, tmp_path):
    data = tiny_data()
    one = Comparison(tuned(data.split), suite, METHODS, data, tmp_path)
    for run in one.missing():
        one.take(run.spec.id, {"status": "failed", "error": "WorkerDied"})
    for again in (one, Comparison(tuned(data.split), suite, METHODS, data, tmp_path)):
        assert [row.loss for row in again.measured()] == [None, None]


def test_another_split_is_refused(suite, tmp_path):
    with pytest.raises(BenchError, match=r"tuned on other-v10-s0, but the data are tiny"):
        Comparison(tuned("other-v10-s0"), suite, METHODS, tiny_data(), tmp_path)


def test_the_table_has_a_line_for_each_method_and_a_sentence_sums_it_up():
    found = [
        Measured("full", "", 0.4, 0.39),
        Measured("qr", "5%", 0.2, 0.18),
        Measured("qr", "10%", 0.2, 0.21),
        Measured("pep", "10%", 0.3, None),
    ]
    head, _, *lines = table(found).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in (head, *lines)]
    assert cells == [
        ["method", "5% tuned", "defaults", "loss", "10% tuned", "defaults", "loss"],
        ["`full`", ".4000", ".3900", "2.5 %", "", "", ""],
        ["`qr`", ".2000", ".1800", "10.0 %", ".2000", ".2100", "-5.0 %"],
        ["`pep`", "", "", "", ".3000", "none", ""],
    ]
    assert summary(found) == ("2 of 4 lose at most 5 %; mean loss 2.5 %, largest 10.0 % (qr 5%).")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("nothing-here", "ml-1m-mf"), "there are no tuned settings 'nothing-here'"),
        (("nothing-here",), "there are no tuned settings 'nothing-here'"),
        (("ml-100k-mf", "nothing-here"), "there are no tuned settings 'nothing-here'"),
        (("defaults", "ml-1m-mf"), "defaults: it names no data set"),
        (("ml-100k-mf", "-m", "hahsing"), "hahsing"),
        (("ml-100k-mf", "-d", "nothing.csv"), "nothing.csv"),
    ],
)
def test_a_mistake_is_one_line(names, said, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        main([*names, "--results", str(tmp_path)])
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
