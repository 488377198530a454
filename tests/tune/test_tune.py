"""Tuning: equal trials, validation only, a log that survives kills, files that boards take."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="tuning needs the extra `tune`")

from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from support import conformance
from support.faults import blocks

from bench.check import tiny_data
from bench.cli import main
from bench.engine.settings import Training
from bench.errors import SpecError
from bench.method import Choice, Infeasible, LogRange, Range
from bench.method.registry import find_methods
from bench.records.store import Store
from bench.runs.execute import execute
from bench.runs.plan import plan
from bench.runs.pool import Job
from bench.runs.settings import override, with_override, with_tuned
from bench.runs.suite import Suite, find_suite
from bench.runs.tuned import Tuned, TunedFile, find_tuned, listing, read_tuned, write_tuned
from bench.tune import search
from bench.tune.search import Terms, Tuning, tune
from bench.tune.study import ROUND, Study, best, counts, distribution, read_log
from bench.tune.trial import blind, trial

METHODS = find_methods()
SUITE = Suite(
    dim=16, training=Training(lr=0.05, batch=64, epochs=5, search_epochs=2, patience=5), seeds=1
)
JOB = Job("tiny", None, "", (), "cpu", 1, False)


class Untouchable:
    """A test part that must not be looked at."""

    def __getattr__(self, name):
        raise AssertionError(f"the test part was asked for {name}")


def terms(**changes) -> Terms:
    return Terms(**{"suite": SUITE, "budget": "40%", "trials": 6, "own": ("lr",), **changes})


@pytest.fixture
def inline(monkeypatch):
    """Trials in this process, on tiny data; counts those that are run."""
    ran: list[str] = []

    def run_all(runs, job, workers, listener, time_limit, fail, work):
        for run in runs:
            ran.append(run.spec.id)
            folder = Store(Path(job.results))
            made = work.do(run, tiny_data(), KINDS, folder, job, lambda entry: None)
            listener("done", {"id": run.spec.id, "worker": 0, "record": made})

    monkeypatch.setattr(search, "run_all", run_all)
    return ran


def tuned(folder, names=("hashing",), **changes):
    kinds = [KINDS[name] for name in names]
    return tune(terms(**changes), kinds, tiny_data(), folder, JOB, 1, lambda *_: None, {})


class Twofold(conformance.Sound):
    """Two settings in all, one of which never fits."""

    name = "twofold"
    space = {"mode": Choice(("good", "large"))}  # noqa: RUF012

    class Config(conformance.Sound.Config):
        mode: str = "good"

    @classmethod
    def plan(cls, table, config):
        if config.mode == "large":
            raise Infeasible(10**9, table.cap.accounting)
        return super().plan(table, config)


class Diverging(conformance.Sound):
    name = "diverging"

    def penalty(self, rows, progress):
        return rows.sum() * float("nan")


KINDS = METHODS | {kind.name: kind for kind in (Twofold, Diverging)}


# Spaces ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
def test_spaces_are_of_knobs_and_hold_the_defaults(name):
    kind = METHODS[name]
    for knob, space in kind.space.items():
        default = getattr(kind.Config(), knob)
        if isinstance(space, Choice):
            assert default in space.values
            for value in space.values:
                kind.Config(**{knob: value})
        else:
            assert space.low <= default <= space.high
            for value in (space.low, space.high):
                kind.Config(**{knob: value})


def test_spaces_as_optuna_names_them():
    assert distribution(Choice((True, False))) == CategoricalDistribution((True, False))
    assert distribution(Range(1, 4)) == IntDistribution(1, 4)
    assert distribution(Range(0.0, 0.9)) == FloatDistribution(0.0, 0.9)
    assert distribution(LogRange(1e-3, 1.0)) == FloatDistribution(1e-3, 1.0, log=True)


def test_a_space_of_no_knob_is_named(tmp_path):
    class Typo(conformance.Sound):
        name = "typo"
        space = {"row": Range(1, 2)}  # noqa: RUF012

    with pytest.raises(SpecError, match="typo: `space` names 'row'"):
        Tuning(terms(), Typo, tiny_data(), tmp_path)


# One trial ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["hashing", "pep"])
def test_a_trial_never_looks_at_the_test_part_and_measures_as_a_run_does(name, store, tmp_path):
    data = tiny_data()
    run = Tuning(terms(), METHODS[name], data, tmp_path).planned({}).run
    found = trial(run, replace(data, test=Untouchable()), METHODS, store)
    assert found["status"] == "complete", found
    record = execute(run, data, METHODS, Store(tmp_path / "board")).stored()
    assert found["value"] == record["metrics"]["valid"]["ndcg@20"]
    assert found["curve"] == [e["ndcg@20"] for e in record["history"] if "ndcg@20" in e]
    assert found["size"]["bytes"] == record["size"]["bytes"]
    with pytest.raises(AssertionError, match="test part"):
        _ = replace(data, test=Untouchable()).test.nnz


def test_blind_data_keep_their_identity():
    data = tiny_data()
    assert data.test.nnz
    assert blind(data).test.nnz == 0
    assert blind(data).fingerprint == data.fingerprint


def test_a_pruned_trial_ends_at_once_and_leaves_no_checkpoint(store, tmp_path, monkeypatch):
    monkeypatch.setattr("bench.engine.checkpoint.SAVE_EVERY", 0.0)
    saved = []
    original = Store.discard_work
    monkeypatch.setattr(
        Store, "discard_work", lambda s, i: (saved.append(s.work(i).exists()), original(s, i))[1]
    )
    run = Tuning(terms(), METHODS["hashing"], tiny_data(), tmp_path).planned({}).run
    found = trial(run, tiny_data(), METHODS, store, thresholds=[0.0, 0.0, 2.0, 2.0])
    assert found["status"] == "pruned"
    assert len(found["curve"]) == 3
    assert saved[-1]  # there was one
    assert not store.work(run.spec.id).exists()
    assert not list(store.root.rglob("*.safetensors"))


def test_a_trial_that_goes_on_from_a_checkpoint_has_the_whole_curve(store, tmp_path, monkeypatch):
    monkeypatch.setattr("bench.engine.checkpoint.SAVE_EVERY", 0.0)
    run = Tuning(terms(), METHODS["hashing"], tiny_data(), tmp_path).planned({}).run
    whole = trial(run, tiny_data(), METHODS, store)

    def killed(entry):
        if entry["epoch"] == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trial(run, tiny_data(), METHODS, store, report=killed)
    assert store.work(run.spec.id).exists()
    seen = []
    again = trial(run, tiny_data(), METHODS, store, report=seen.append)
    assert [entry["epoch"] for entry in seen] == [4, 5]
    assert (again["value"], again["curve"]) == (whole["value"], whole["curve"])


def test_a_trial_that_diverges_has_failed(store, tmp_path):
    kind = Diverging
    run = Tuning(terms(), kind, tiny_data(), tmp_path).planned({}).run
    found = trial(run, tiny_data(), {kind.name: kind}, store)
    assert found["status"] == "failed"
    assert "Diverged" in found["error"]
    assert found["value"] is None


# A study -----------------------------------------------------------------------------------------

SPACE = {"x": Range(-1.0, 1.0), "kind": Choice(("a", "b"))}
START = {"x": 0.9, "kind": "b"}


def score(params) -> float:
    return 1 - (params["x"] - 0.3) ** 2 - (params["kind"] == "b")


def played(path, trials: int, until: int | None = None) -> Study:
    """A study of a parabola; with `until` it is cut off after so many trials."""
    study = Study(path, {"of": "a parabola"}, SPACE, START, seed=3)
    done = 0
    for start in range(0, trials, ROUND):
        for asked in study.ask(min(ROUND, trials - start)):
            if asked.number in study.outcomes:
                continue
            if done == until:
                return study
            done += 1
            value = score(asked.params)
            entry = {"status": "complete", "value": value, "curve": [value], "run": str(asked)}
            study.keep(asked.number, {**entry, "params": asked.params})
        study.tell()
    return study


def test_trial_0_is_the_defaults_and_the_best_is_no_worse(tmp_path):
    outcomes = played(tmp_path / "log.jsonl", 24).outcomes
    assert outcomes[0]["params"] == START
    found = best(outcomes)
    assert found["value"] == max(one["value"] for one in outcomes.values())
    assert found["value"] > 0.95  # of 1; the start has -0.36
    assert found["params"]["kind"] == "a"


@pytest.mark.parametrize("until", [1, 4, 6])
def test_a_study_that_was_cut_off_goes_on_as_if_it_had_not_been(tmp_path, until):
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    played(whole, 10)
    played(cut, 10, until)
    assert len(read_log(cut)) == until
    played(cut, 10)
    assert cut.read_text() == whole.read_text()


def test_a_study_with_more_trials_goes_on_from_one_with_fewer(tmp_path):
    first, whole = tmp_path / "first.jsonl", tmp_path / "whole.jsonl"
    played(first, 6)
    played(first, 10)
    played(whole, 10)
    assert first.read_text() == whole.read_text()
    assert json.loads(whole.read_text().splitlines()[0]) == {"study": {"of": "a parabola"}}


def test_a_line_that_a_kill_has_cut_short_is_run_again(tmp_path):
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    played(whole, 6)
    cut.write_text(whole.read_text()[:-30])
    assert len(read_log(cut)) == 5
    played(cut, 6)
    assert read_log(cut) == read_log(whole)


def test_a_log_of_other_trials_is_refused(tmp_path):
    path = tmp_path / "log.jsonl"
    played(path, 4)
    path.write_text(path.read_text().replace('"kind": "b"', '"kind": "a"'))
    with pytest.raises(Exception, match=r"log.jsonl: trial 0 tried .* --seed"):
        played(path, 4)


def test_the_bar_is_the_median_of_the_best_so_far(tmp_path):
    study = Study(tmp_path / "log.jsonl", {}, SPACE, START, 0)
    curves = [[0.1, 0.2, 0.3, 0.4, 0.5], [0.2, 0.1, 0.6, 0.7], [0.3, 0.3, 0.3, 0.3], [0, 0, 0, 0]]
    entry = {"status": "complete", "value": 1}
    study.outcomes = {n: {**entry, "curve": curve} for n, curve in enumerate(curves[:3])}
    assert study.thresholds() == []  # too few to judge by
    study.outcomes[3] = {**entry, "curve": curves[3]}
    study.outcomes[4] = {"status": "pruned", "value": None, "curve": [9.0] * 5}
    study.outcomes[5] = {**entry, "curve": [9.0] * 5, "of": 1}
    # Fourth: best of .4, .7, .3, 0; fifth: .5 and, of those that have ended, .7, .3, 0.
    assert study.thresholds()[:3] == [float("-inf")] * 3
    assert study.thresholds()[3:] == pytest.approx([0.35, 0.4])


def test_counts_of_trials_by_outcome():
    ended = {
        0: {"status": "complete"},
        1: {"status": "failed"},
        2: {"status": "complete", "of": 0},
    }
    assert counts(ended | {7: {"status": "complete"}}, 4) == {
        "planned": 4, "complete": 1, "pruned": 0, "repeated": 1, "infeasible": 0, "failed": 1,
    }  # fmt: skip


# Several methods ---------------------------------------------------------------------------------


def test_methods_get_equal_trials_and_a_second_time_nothing_is_run(tmp_path, inline):
    names = ("hashing", "qr", "dims")
    first = tuned(tmp_path, names)
    assert [one.counts["planned"] for one in first] == [6, 6, 6]
    assert all(sum(one.counts.values()) == 12 for one in first)  # each is one of the kinds
    for one in first:
        log = read_log(one.path)
        assert sorted(log) == list(range(6))
        assert one.tuned.valid >= round(one.default, 6)
        assert set(one.tuned.training) == {"lr"}
    ran = list(inline)
    second = tuned(tmp_path, names)
    assert second == first
    assert inline == ran


def test_equal_settings_are_run_once_and_infeasible_ones_not_at_all(tmp_path, inline):
    (found,) = tuned(tmp_path, ["twofold"], own=(), trials=8)
    assert len(inline) == 1
    assert found.counts["complete"] == 1
    assert found.counts["infeasible"] == 1
    assert found.counts["repeated"] == 6
    assert found.tuned.config == {"mode": "good"}


def test_a_method_that_always_fails_has_no_settings(tmp_path, inline):
    (found,) = tuned(tmp_path, ["diverging"], trials=4)
    assert found.counts["failed"] == 4
    assert found.tuned is None
    assert found.default is None


def test_conditions_that_change_results_start_another_study(tmp_path):
    def path(**changes):
        return Tuning(terms(**changes), METHODS["qr"], tiny_data(), tmp_path).study.path

    others = [
        {"budget": "50%"}, {"own": ()}, {"seed": 1}, {"sampler_seed": 1},
        {"suite": SUITE.model_copy(update={"dim": 8})},
        {"suite": SUITE.model_copy(update={"method": {"qr": {"combine": "add"}}})},
    ]  # fmt: skip
    assert len({path(**change) for change in others} | {path()}) == len(others) + 1
    assert path(trials=20) == path()


def test_a_search_starts_from_the_settings_of_the_suite(tmp_path):
    suite = SUITE.model_copy(update={"method": {"hashing": {"hashes": 3}}})
    one = Tuning(terms(suite=suite), METHODS["hashing"], tiny_data(), tmp_path)
    assert one.start["hashes"] == 3
    assert one.start["training.lr"] == 0.05
    run = one.planned({"hashes": 1, "training.lr": 0.01}).run
    assert run.spec.method.config["hashes"] == 1
    assert run.spec.training.lr == 0.01
    assert run.spec.seed == 1000


def test_a_search_starts_from_what_holds_at_its_budget_and_goes_before_it(tmp_path):
    budget = terms().budget
    suite = SUITE.model_copy(update={"method": {"hashing": {"hashes": 3, "head": 0.25}}})
    suite = with_override(suite, {"hashes": 2, "training.lr": 0.4}, method="hashing", budget=budget)
    suite = with_override(suite, {"training.l2": 0.25}, method="hashing")
    one = Tuning(terms(suite=suite, own=("lr",)), METHODS["hashing"], tiny_data(), tmp_path)
    assert (one.start["hashes"], one.start["head"]) == (2, 0.25)
    assert one.start["training.lr"] == SUITE.training.lr
    run = one.planned({"hashes": 1, "training.lr": 0.01}).run
    assert (run.spec.method.config["hashes"], run.spec.training.lr) == (1, 0.01)
    assert run.spec.training.l2 == SUITE.training.l2  # what the file of the best will say


def test_what_is_typed_is_where_a_search_starts(tmp_path):
    suite = override(SUITE, ["training.lr=0.02", "hashing.hashes=4"])
    one = Tuning(terms(suite=suite), METHODS["hashing"], tiny_data(), tmp_path)
    assert (one.start["hashes"], one.start["training.lr"]) == (4, 0.02)
    assert one.terms.conditions(tiny_data())["training"]["lr"] == 0.02


def test_a_refit_is_not_tuned_by(tmp_path):
    training = SUITE.training.model_copy(update={"refit": True})
    one = terms(suite=SUITE.model_copy(update={"training": training}))
    assert not Tuning(one, METHODS["qr"], tiny_data(), tmp_path).planned({}).run.spec.training.refit


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"own": ("batch",)}, "--own batch: a method may tune lr and l2 for itself"),
        ({"suite": SUITE.model_copy(update={"backbones": ("mf", "lightgcn")})}, "--backbone"),
    ],
)
def test_unequal_terms_are_refused(change, said):
    with pytest.raises(SpecError, match=said):
        terms(**change)


# Files -------------------------------------------------------------------------------------------

STUDY = {"dataset": "d", "trials": 12, "training": {"lr": 1e-05, "refit": False}}
QR = Tuned(config={"combine": "add"}, training={"lr": 0.004}, valid=0.25, trials={"planned": 12})


def test_files_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "t.toml"
    write_tuned(path, STUDY, {"qr": QR})
    write_tuned(path, STUDY, {"hashing": Tuned(config={"hashes": 3, "joint": True})})
    found = read_tuned(path)
    assert found == TunedFile(
        study=STUDY, method={"hashing": Tuned(config={"hashes": 3, "joint": True}), "qr": QR}
    )
    assert f"# qr@{QR.id_for('qr')}" in path.read_text()
    assert any(QR.id_for("qr") in line for line in listing("t", found))


def test_methods_of_unequal_trials_are_not_put_into_one_file(tmp_path):
    path = tmp_path / "t.toml"
    write_tuned(path, STUDY, {"qr": QR})
    before = path.read_text()
    with pytest.raises(SpecError, match=r"qr tuned with trials = 12, not 20"):
        write_tuned(path, STUDY | {"trials": 20}, {"hashing": Tuned()})
    assert path.read_text() == before
    write_tuned(path, STUDY | {"trials": 20}, {"qr": QR})  # it alone may be tuned anew


def test_ids_are_of_the_settings_alone():
    assert QR.id_for("qr") == QR.model_copy(update={"valid": 0.3}).id_for("qr")
    changed = QR.model_copy(update={"training": {"lr": 0.005}})
    assert len({QR.id_for("qr"), QR.id_for("tt"), changed.id_for("qr")}) == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[method.qr\n", "cannot be read as TOML"),
        ("[method.qr]\nknobs = {}\n", "method.qr.knobs"),
        ("[method.qr]\ntraining = { batch = 4 }\n", "may own lr and l2"),
        ("[method.qr]\ntraining = { lr = 'x' }\n", "method.qr.training.lr"),
    ],
)
def test_bad_files_are_named_with_the_key(tmp_path, text, said):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(SpecError, match=said) as caught:
        read_tuned(path)
    assert str(path) in str(caught.value)


def test_boards_run_by_tuned_settings_and_cite_them(tmp_path):
    path = tmp_path / "t.toml"
    write_tuned(path, STUDY, {"qr": QR})
    suite = SUITE.model_copy(update={"methods": ("qr", "hashing"), "budgets": ("40%",)})
    suite = with_tuned(suite, str(path))
    by_name = {one.run.spec.method.name: one.run for one in plan(suite, tiny_data(), METHODS, "c")}
    assert by_name["qr"].spec.method.config["combine"] == "add"
    assert by_name["qr"].spec.training == SUITE.training.model_copy(update={"lr": 0.004})
    assert f"--tuned {path}@{QR.id_for('qr')}" in by_name["qr"].command
    assert by_name["hashing"].spec.training == SUITE.training
    assert "--tuned" not in by_name["hashing"].command
    # Later overrides go before, what is typed before all; defaults of the suite go after.
    suite = suite.model_copy(update={"method": {"qr": {"combine": "mult", "root": "large"}}})
    assert configs(suite, "combine", "root") == {(None, None), ("add", "large")}
    suite = with_override(suite, {"combine": "mult"}, method="qr", budget="40%")
    assert configs(suite, "combine", "root") == {(None, None), ("mult", "large")}
    suite = override(suite, ["qr.combine=add"])
    assert configs(suite, "combine", "root") == {(None, None), ("add", "large")}


def configs(suite, *knobs):
    runs = plan(suite, tiny_data(), METHODS, "c")
    return {tuple(one.run.spec.method.config.get(knob) for knob in knobs) for one in runs}


def test_tuned_settings_that_are_named_replace_others_and_go_before_the_suites_file(tmp_path):
    for name, combine in (("a", "add"), ("b", "mult")):
        write_tuned(tmp_path / f"{name}.toml", STUDY, {"qr": Tuned(config={"combine": combine})})
    a, b = str(tmp_path / "a.toml"), str(tmp_path / "b.toml")
    suite = with_tuned(SUITE.model_copy(update={"methods": ("qr",), "budgets": ("40%",)}), a)
    suite = with_override(suite, {"root": "large"}, method="qr")
    assert with_tuned(suite, b).tuned == (b,)
    assert with_tuned(suite, b).override[-1].tuned == b
    cited = f"{a}@{Tuned(config={'combine': 'add'}).id_for('qr')}"
    assert [one.tuned for one in with_tuned(suite, cited).override] == [cited, ""]
    assert configs(with_tuned(suite, cited), "combine") == configs(suite, "combine")
    assert with_tuned(suite, "").tuned == ()


def test_a_cited_id_must_still_be_there(tmp_path):
    path = tmp_path / "t.toml"
    write_tuned(path, STUDY, {"qr": QR})
    assert find_tuned(f"{path}@{QR.id_for('qr')}").method["qr"] == QR
    with pytest.raises(SpecError, match="no method has the settings 00000000 any more"):
        find_tuned(f"{path}@00000000")
    with pytest.raises(SpecError, match="no tuned settings 'nothing'"):
        find_tuned("nothing")


# The command -------------------------------------------------------------------------------------


QUICK = ("--set", "dim=8", "--set", "training.batch=256", "--set", "training.epochs=3")


def command(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", "tune", *map(str, arguments), *QUICK],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_the_command_writes_a_file_that_does_not_depend_on_workers_or_kills(
    tmp_path, monkeypatch, capsys
):
    folder = blocks(tmp_path / "blocks")
    terms = ("-d", folder, "-b", "30%", "--trials", 4, "--own", "lr")
    done = command(tmp_path, *terms, "-m", "hashing", "--workers", 2, "--out", "one.toml")
    assert done.returncode == 0, done.stderr
    assert "4 planned" in done.stdout
    (log,) = (tmp_path / "results/local/tune").rglob("hashing/*.jsonl")
    assert not list((tmp_path / "results").rglob("*.safetensors"))
    # As if killed: two trials are there, and a line that is cut short.
    log.write_text("".join(log.read_text().splitlines(True)[:4])[:-20])
    done = command(tmp_path, *terms, "-m", "hashing", "--workers", 1, "--out", "two.toml")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": complete") == 2
    assert (tmp_path / "one.toml").read_text() == (tmp_path / "two.toml").read_text()
    # Tuned at another budget, a second method is not put beside it; said before anything is run.
    monkeypatch.chdir(tmp_path)
    words = ["tune", "-d", folder, "-b", "40%", "--trials", 4, "--own", "lr", *QUICK]
    monkeypatch.setattr(sys, "argv", ["bench", *map(str, words), "-m", "qr", "--out", "one.toml"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "hashing tuned with budget = '30%', not '40%'" in said
    assert len(said.strip().splitlines()) == 1


def test_what_the_command_line_sets_goes_before_tuned_settings():
    suite = find_suite("ml-100k").model_copy(update={"methods": ("cerp",), "budgets": ("10%",)})
    data, methods = tiny_data(), find_methods()

    def rates(*settings):
        planned = plan(override(suite, settings), data, methods, "bench run")
        return {one.run.spec.training.lr for one in planned if one.run.spec.training}

    (tuned,) = rates()
    assert tuned != suite.training.lr
    assert rates("training.lr=0.5") == {0.5}
    assert rates("mf.training.lr=0.25") == {0.25}
    assert rates("training.lr=0.5", "mf.training.lr=0.25") == {0.25}
    assert rates("mf.training.lr=0.25", "training.lr=0.5") == {0.5}  # the later
    assert rates("cerp.training.lr=0.125") == {0.125}
    assert rates("lightgcn.training.lr=0.25") == {tuned}
