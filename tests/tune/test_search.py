"""Tuning of methods: equal trials, validation only, a file that does not depend on workers."""

from __future__ import annotations

import errno
import json
import sys
from collections import deque
from dataclasses import replace
from math import log
from pathlib import Path
from unittest.mock import Mock

import pytest

pytest.importorskip("optuna", reason="tuning needs the extra `tune`")

from support import conformance
from support.faults import blocks
from support.judge import JudgeHere

from bench.check import tiny_data
from bench.cli import main
from bench.data import Interactions, load
from bench.engine.settings import Training
from bench.errors import BenchError, SpecError, StoreError
from bench.method import Choice, Infeasible, Range
from bench.method.registry import find_methods
from bench.records.scan import scan
from bench.records.store import Store
from bench.runs import schedule
from bench.runs.execute import execute
from bench.runs.pipeline import Pipeline
from bench.runs.pool import BOARD, Job
from bench.runs.settings import override, with_override, with_tuned
from bench.runs.suite import Override, Suite, When
from bench.runs.tuned import Found, read_tuned, write_tuned
from bench.tune import workers as tune_workers
from bench.tune.cell import Cell, subject
from bench.tune.log import read_log
from bench.tune.objective import objective_subject, with_objective
from bench.tune.search import Search
from bench.tune.study import AGAIN, ELSEWHERE, FULL, SHORT, Asked
from bench.tune.terms import Terms
from bench.tune.trial import TRIALS, trial

METHODS = find_methods()
SUITE = Suite(
    dim=16,
    budgets=("40%", "50%"),
    training=Training(lr=0.05, batch=64, epochs=5, search_epochs=2, patience=5),
    seeds=1,
)
JOB = Job("", (), "cpu", 1, False)


class Untouchable:
    """A test part that must not be looked at."""

    def __getattr__(self, name):
        raise AssertionError(f"the test part was asked for {name}")


class Twofold(conformance.Sound):
    """Two settings in all, one of which never fits."""

    name = "twofold"
    space = {"mode": Choice(("good", "large")), "bits": Choice((None,))}  # noqa: RUF012

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


def terms(**changes) -> Terms:
    return Terms(**{"suite": SUITE, "trials": 4, **changes})


def cell(folder, name="hashing", label="40%", first=(), **changes) -> Cell:
    one = terms(**changes)
    return Cell(one, subject(one, KINDS[name], label), tiny_data(), folder, first)


def planned(one: Cell, params, stage=FULL):
    kind, label = one.subject.kind, one.subject.label
    return one.planner(params, stage).run(kind, "mf", label, one.terms.run_seed(stage)).run


class Inline:
    """Executes trials in this process on tiny data, and counts them.

    `first`: those that were asked for first are executed first, not last.
    """

    def __init__(self, folder: Path, data: Interactions | None = None, first: bool = True) -> None:
        self.folder, self.ran, self.data = folder, list[str](), data or tiny_data()
        self.first = first

    def __call__(self, runs, take):
        waiting, job = deque(runs), replace(JOB, results=str(self.folder))
        while waiting:
            run = waiting.popleft() if self.first else waiting.pop()
            self.ran.append(run.spec.id)
            done = TRIALS.do(
                run, self.data, KINDS, Store(self.folder), job, lambda entry: None, None
            )
            waiting.extend(take(run.spec.id, done))


def tuned(folder, names=("dims",), **changes):
    do = Inline(folder)
    search = Search(terms(**changes), [KINDS[name] for name in names], tiny_data(), folder)
    return search.run(do), do.ran


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


def test_bits_and_the_learning_rate_are_searched_for_every_method_that_takes_them():
    def space(name, **changes):
        one = terms(suite=SUITE.model_copy(update=changes))
        return subject(one, METHODS[name], None if name == "full" else "40%").space

    assert None in space("hashing")["bits"].values
    assert 4 in space("hashing")["bits"].values
    assert space("dims")["bits"].values == (None,)  # the control in float32
    assert space("dims-quantised")["bits"] == METHODS["dims-quantised"].space["bits"]
    for name in ("graded", "full"):  # precision knobs of its own; no budget
        assert "bits" not in space(name)
    assert "bits" not in space("hashing", accounting="values")
    for name, kind in METHODS.items():
        if not kind.phases:
            continue
        assert space(name)["training.lr"].low == pytest.approx(0.01)


def test_a_space_of_no_knob_is_named():
    class Typo(conformance.Sound):
        name = "typo"
        space = {"row": Range(1, 2)}  # noqa: RUF012

    with pytest.raises(SpecError, match="typo: `space` names 'row'"):
        subject(terms(), Typo, "40%")


# One trial ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["hashing", "pep"])
def test_a_trial_never_looks_at_the_test_part_and_measures_as_a_run_does(name, store, tmp_path):
    data = tiny_data()
    run = planned(cell(tmp_path, name), {})
    found = trial(run, replace(data, test=Untouchable()), METHODS, store)
    assert found["status"] == "complete", found
    record = execute(
        run, data, METHODS, Store(tmp_path / "board"), JudgeHere(data, METHODS)
    ).stored()
    assert found["value"] == record["metrics"]["valid"]["ndcg@20"]
    assert found["passes"] == len(record["history"])
    assert found["size"]["bytes"] == record["size"]["bytes"]
    with pytest.raises(AssertionError, match="test part"):
        _ = replace(data, test=Untouchable()).test.nnz


def test_methods_that_start_from_a_teacher_share_it_and_count_its_passes(tmp_path):
    suite = SUITE.model_copy(update={"budgets": ("40%",)})
    one = cell(tmp_path, "ptq", suite=suite, trials=3)
    assert "training.lr" not in one.subject.space  # nothing is trained but the teacher
    search = Search(one.terms, [one.subject.kind], tiny_data(), tmp_path)
    found = search.run_one(one.subject, Inline(tmp_path)).found
    assert found.trials["planned"] == 3
    assert found.trials["complete"] >= 1
    assert found.trials["passes"] > 3
    assert len(list(tmp_path.rglob("*teacher*.safetensors"))) <= 3  # short, whole, second seed


def test_blind_data_keep_their_identity():
    data = tiny_data()
    assert data.test.nnz
    assert data.blind().test.nnz == 0
    assert replace(data, files=("where/the/test/data/are",)).blind().files == ()
    assert data.blind().fingerprint == data.fingerprint


def test_a_trial_that_goes_on_from_a_checkpoint_ends_as_without_and_counts_all_passes(
    store, tmp_path, monkeypatch
):
    monkeypatch.setattr("bench.engine.checkpoint.SAVE_EVERY", 0.0)
    run = planned(cell(tmp_path), {})
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
    assert (again["value"], again["passes"]) == (whole["value"], whole["passes"])
    assert not store.work(run.spec.id).exists()


def test_a_trial_that_was_killed_after_its_last_epoch_counts_all_passes(
    store, tmp_path, monkeypatch
):
    monkeypatch.setattr("bench.engine.checkpoint.SAVE_EVERY", 0.0)
    run = planned(cell(tmp_path), {})
    whole = trial(run, tiny_data(), METHODS, store)
    with monkeypatch.context() as patch:
        patch.setattr(Pipeline, "deploy", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            trial(run, tiny_data(), METHODS, store)
    again = trial(run, tiny_data(), METHODS, store)
    assert (again["value"], again["passes"]) == (whole["value"], whole["passes"])


def test_a_trial_that_diverges_has_failed(store, tmp_path):
    run = planned(cell(tmp_path, "diverging"), {})
    found = trial(run, tiny_data(), KINDS, store)
    assert found["status"] == "failed"
    assert "Diverged" in found["error"]
    assert found["value"] is None


def test_a_full_disk_ends_a_trial_and_is_no_outcome_of_it(store, tmp_path, monkeypatch):
    full = StoreError(store.root, OSError(errno.ENOSPC, "No space left on device"))
    with monkeypatch.context() as patch:
        patch.setattr(Pipeline, "deploy", Mock(side_effect=full))
        with pytest.raises(StoreError, match="No space"):
            trial(planned(cell(tmp_path), {}), tiny_data(), METHODS, store)
    assert trial(planned(cell(tmp_path), {}), tiny_data(), METHODS, store)["value"] is not None


def test_short_trials_have_a_share_of_the_passes(tmp_path):
    training = SUITE.training.model_copy(update={"epochs": 20, "search_epochs": 16})
    one = cell(tmp_path, suite=SUITE.model_copy(update={"training": training}))
    short, full = (planned(one, {}, stage).spec.training for stage in (SHORT, FULL))
    assert (short.epochs, short.search_epochs) == (7, 5)
    assert full == training


# Several methods ---------------------------------------------------------------------------------


def test_methods_and_budgets_get_equal_trials_and_a_second_time_nothing_is_run(tmp_path):
    names = ("hashing", "dims", "full")
    first, ran = tuned(tmp_path, names)
    assert [(one.when.method[0], one.when.budget) for one in first] == [
        ("hashing", ("40%",)), ("hashing", ("50%",)), ("dims", ("40%",)), ("dims", ("50%",)),
        ("full", ()),
    ]  # fmt: skip
    for one in first:
        assert one.counts["planned"] == 4
        outcomes = {k: v for k, v in one.counts.items() if k not in ("planned", "passes")}
        assert sum(outcomes.values()) == 4
        assert one.counts["passes"] > 4 * 2
        assert one.found.when.backbone == ("mf",)
        assert "training.lr" in one.found.set
    assert len(set(ran)) == len(ran)
    second, more = tuned(tmp_path, names)
    assert second == first
    assert more == []


def test_no_method_waits_for_another_and_the_order_of_runs_changes_nothing(tmp_path):
    names, found = ("dims", "hashing"), {}
    for first in (True, False):
        do = Inline(tmp_path / str(first), first=first)
        search = Search(terms(), [KINDS[one] for one in names], tiny_data(), do.folder)
        found[first] = [(one.when, one.found, one.counts) for one in search.run(do)]
        order = [search.names[run].split()[0] for run in do.ran]
        if not first:  # one method's studies end before the other's go on
            assert order.index("dims") > len(order) - 1 - order[::-1].index("hashing")
    assert found[True] == found[False]


def test_a_study_that_another_process_runs_is_refused_until_that_ends(tmp_path):
    search = Search(terms(), [KINDS["dims"]], tiny_data(), tmp_path)
    going = search._rounds(KINDS["dims"], "tuned")
    next(going)
    with pytest.raises(BenchError, match="dims 40%: another process runs this study"):
        tuned(tmp_path, ("dims",))
    other, _ = tuned(tmp_path, ("hashing",))
    assert all(one.found for one in other)
    going.close()
    found, _ = tuned(tmp_path, ("dims",))
    assert all(one.found for one in found)


def test_the_published_form_has_as_many_trials_and_a_learning_rate_alone(tmp_path):
    suite = SUITE.model_copy(update={"budgets": ("40%",), "forms": ("tuned", "published")})
    one = terms(suite=suite)
    search = Search(one, [METHODS["hashing"], METHODS["dims"]], tiny_data(), tmp_path)
    assert [(kind.name, form) for kind, form in search.columns()] == [
        ("hashing", "tuned"), ("hashing", "published"), ("dims", "tuned"),
    ]  # fmt: skip
    what = subject(one, METHODS["hashing"], "40%", "published")
    assert list(what.space) == ["training.lr"]
    do = Inline(tmp_path)
    found = search.run_one(what, do).found
    assert found.trials["planned"] == 4
    assert (found.when.form, list(found.set)) == (("published",), ["training.lr"])


def test_a_budget_begins_with_the_best_of_the_one_before(tmp_path):
    low, high = tuned(tmp_path)[0]
    log = read_log(high.path)
    assert log[0, SHORT]["params"] == {"bits": None, "training.lr": 0.05}
    before = read_log(low.path)
    means = {  # not of trials with half of their rate, which would not suit short trials
        number: (before[number, FULL]["value"] + one["value"]) / 2
        for (number, stage), one in before.items()
        if stage == AGAIN and number >= 0
    }
    assert log[1, SHORT]["params"] == before[max(means, key=means.get), FULL]["params"]


def test_the_best_of_a_budget_competes_at_both_of_its_neighbours(tmp_path):
    suite = SUITE.model_copy(update={"budgets": ("30%", "40%", "50%")})
    outcomes = tuned(tmp_path, suite=suite)[0]
    logs = [read_log(one.path) for one in outcomes]
    whole = [[one["params"] for (_, stage), one in log.items() if stage == FULL] for log in logs]
    for at, one in enumerate(outcomes):
        for near in (at - 1, at + 1):
            if 0 <= near < len(logs):
                assert whole[near].count(one.found.set) == 1, (at, near)
    compared = [[number for number, _ in log if number <= ELSEWHERE] for log in logs]
    assert any(compared[:-1])  # by a larger budget


def test_a_smaller_budgets_settings_win_that_a_short_trial_misjudges(tmp_path):
    """A rate of .2 is best with all epochs; at 40 % it is worst with few."""
    path = tmp_path / "start.toml"
    starts = [("30%", 0.2), ("40%", 0.02)]
    write_tuned(
        path,
        {},
        [
            Found(when=When(method=("dims",), budget=(label,)), set={"training.lr": rate})
            for label, rate in starts
        ],
    )
    suite = SUITE.model_copy(update={"budgets": ("30%", "40%")})
    search = Search(terms(suite=suite, start=(str(path),)), [KINDS["dims"]], tiny_data(), tmp_path)

    def do(runs, take):
        waiting = deque(runs)
        while waiting:
            run = waiting.popleft()
            far = abs(log(run.spec.training.lr / 0.2)) / 10
            short = run.spec.training.epochs < suite.training.epochs
            value = far if short and run.label == "40%" else 1 - far
            waiting.extend(take(run.spec.id, {"status": "complete", "value": value, "passes": 1}))

    outcomes = search.run(do)
    assert [one.found.set["training.lr"] for one in outcomes] == [0.2, 0.2]


def test_equal_settings_are_run_once_and_infeasible_ones_not_at_all(tmp_path):
    suite = SUITE.model_copy(update={"budgets": ("40%",)})
    first = [{"mode": mode, "bits": None, "training.lr": 0.05} for mode in ("large", "good")]
    one = cell(tmp_path, "twofold", suite=suite, first=first, trials=3)
    do = Inline(tmp_path)
    for runs in one.rounds():
        do(runs, lambda *ended: one.take(*ended) or ())
    counts = one.study.counts()
    assert counts["infeasible"] >= 1
    assert one.found().set["mode"] == "good"
    assert len(do.ran) == len(set(do.ran))


def test_a_method_that_always_fails_has_no_settings(tmp_path):
    suite = SUITE.model_copy(update={"budgets": ("40%",)})
    ((found,), _) = tuned(tmp_path, ["diverging"], suite=suite)
    assert found.counts["failed"] == 4
    assert found.found is None


def test_conditions_that_change_results_start_another_study(tmp_path):
    def path(label="40%", **changes):
        return cell(tmp_path, "qr", label, **changes).study.path

    others = [
        {"label": "50%"}, {"seed": 1001},
        {"suite": SUITE.model_copy(update={"dim": 8})},
        {"suite": SUITE.model_copy(update={"method": {"qr": {"combine": "add"}}})},
    ]  # fmt: skip
    assert len({path(**change) for change in others} | {path()}) == len(others) + 1
    assert path(trials=20) == path()


def test_other_code_other_interactions_and_another_accounting_start_another_study(tmp_path):
    class Revised(METHODS["full"]):
        revision = METHODS["full"].revision + 1

    def path(kind=METHODS["full"], data=tiny_data(), suite=SUITE):  # noqa: B008
        one = terms(suite=suite)
        return Cell(one, subject(one, kind, None), data, tmp_path).study.path

    assert path() == path()
    assert path(kind=Revised) != path()
    # A split of the same name, as of a file that has changed since.
    assert path(data=replace(tiny_data(), fingerprint="0" * 64)) != path()
    assert path(suite=SUITE.model_copy(update={"accounting": "values"})) != path()


def test_what_is_found_is_told_with_the_mean_of_two_seeds_and_the_score_of_the_start(tmp_path):
    one = cell(tmp_path)
    settings = [{"bits": bits, "training.lr": 0.1} for bits in (None, 8, 4)]
    values = {(0, FULL): 0.1, (1, FULL): 0.9, (1, AGAIN): 0.3, (2, FULL): 0.5, (2, AGAIN): 0.8}
    one.study.outcomes = {
        key: {"value": value, "params": settings[key[0]]} for key, value in values.items()
    }
    found = one.found()
    assert found.set == settings[2]
    assert (found.valid, found.default) == (0.65, 0.1)
    del one.study.outcomes[2, AGAIN], one.study.outcomes[1, AGAIN]
    assert (one.found().set, one.found().valid) == (settings[1], 0.9)  # killed before the second


def test_a_trial_with_the_settings_of_another_costs_nothing(tmp_path):
    one = cell(tmp_path, "twofold")
    params = {"mode": "good", "bits": None, "training.lr": 0.05}
    (run,) = one._runs([Asked(number, SHORT, params) for number in (0, 1)])
    one.take(run.spec.id, {"status": "complete", "value": 0.5, "passes": 5, "seconds": 9.0})
    first, again = (one.study.outcomes[number, SHORT] for number in (0, 1))
    assert (first["passes"], first["seconds"]) == (5, 9.0) and "of" not in first
    assert (again["passes"], again["seconds"], again["of"]) == (0, 0.0, 0)
    assert again["value"] == first["value"]
    assert one._runs([Asked(2, SHORT, params)]) == []  # nor in a later round
    assert one.study.outcomes[2, SHORT]["of"] == 0
    counts = one.study.counts()
    assert (counts["passes"], counts["pruned"], counts["repeated"]) == (5, 1, 2)


def test_runs_that_are_left_are_fewer_with_every_outcome(tmp_path):
    search = Search(terms(), [KINDS["dims"]], tiny_data(), tmp_path)
    stages = terms().stages()
    most = {stage: 2 * many for stage, many in stages.items()}  # two budgets
    most[FULL], most[AGAIN] = most[FULL] + 2, most[AGAIN] + 2  # the best of each at the other
    assert search.left() == most
    going = search._rounds(KINDS["dims"], "tuned")
    one, runs = next(going)
    for done, run in enumerate(runs, 1):
        one.take(run.spec.id, {"status": "complete", "value": 0.5, "passes": 1})
        assert search.left()[SHORT] == 2 * stages[SHORT] - done
    assert search.left()[FULL] == most[FULL]
    going.close()
    tuned(tmp_path / "whole", names := ("dims",))
    search = Search(terms(), [KINDS[name] for name in names], tiny_data(), tmp_path / "whole")
    search.run(Inline(tmp_path / "whole"))
    assert set(search.left().values()) == {0}


def test_a_search_starts_from_the_settings_of_the_suite_and_of_the_files_that_are_named(tmp_path):
    suite = SUITE.model_copy(update={"method": {"hashing": {"hashes": 3, "head": 0.25}}})
    suite = with_override(suite, {"hashes": 2, "training.lr": 0.4}, method="hashing", budget="40%")
    suite = override(suite, ["hashing.joint=true"])
    path = tmp_path / "t.toml"
    found = Found(when=When(method=("hashing",)), set={"hashes": 4, "training.lr": 0.01})
    write_tuned(path, {}, [found])
    one = cell(tmp_path, suite=with_tuned(suite, str(path)), start=(str(path),))
    first, second = one.study.first
    assert (first["hashes"], first["head"], first["joint"]) == (2, 0.25, True)
    assert first["training.lr"] == SUITE.training.lr  # the one that methods share
    assert (second["hashes"], second["head"], second["training.lr"]) == (4, 0.25, 0.01)
    run = planned(one, {"hashes": 1, "training.lr": 0.02})
    assert (run.spec.method.config["hashes"], run.spec.training.lr) == (1, 0.02)
    assert run.spec.seed == 1000


def test_a_search_under_lightgcn_starts_with_the_lengths_of_users(tmp_path):
    suite = SUITE.model_copy(update={"backbones": ("lightgcn",)})
    first, *_ = cell(tmp_path, "dims-quantised", suite=suite).study.first
    assert first["scale"] == "row"


def test_a_budget_in_bytes_starts_from_the_settings_of_the_nearest_share(tmp_path):
    path = tmp_path / "t.toml"
    found = Found(when=When(method=("hashing",), budget=("40%",)), set={"hashes": 4})
    write_tuned(path, {}, [found])
    data = tiny_data()
    label = f"{round(0.4 * (data.users + data.items) * SUITE.dim * 4)}B"
    (_, second) = cell(tmp_path, label=label, start=(str(path),)).study.first
    assert second["hashes"] == 4


def test_a_refit_is_not_tuned_by(tmp_path):
    training = SUITE.training.model_copy(update={"refit": True})
    one = cell(tmp_path, "qr", suite=SUITE.model_copy(update={"training": training}))
    assert not planned(one, {}).spec.training.refit


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 3}, "--seed 3: leaderboards use small seeds"),
        ({"suite": SUITE.model_copy(update={"backbones": ("mf", "lightgcn")})}, "--backbone"),
    ],
)
def test_unequal_terms_are_refused(change, said):
    with pytest.raises(SpecError, match=said):
        terms(**change)


# The objective -----------------------------------------------------------------------------------

COSINE = override(SUITE, ["training.objective.name=softmax", "mf.similarity=cosine"])


def test_the_objective_is_tuned_with_the_full_table_and_holds_for_all_methods(tmp_path):
    one = terms(suite=COSINE)
    what = objective_subject(one, METHODS)
    assert set(what.space) == {
        "training.objective.negatives", "training.objective.temperature", "backbone.norm_power",
        "training.lr",
    }  # fmt: skip
    search = Search(one, [METHODS["dims"]], tiny_data(), tmp_path)
    outcome = search.run_one(what, Inline(tmp_path))
    assert outcome.found.when == When(backbone=("mf",))
    path = tmp_path / "t.toml"
    write_tuned(path, {}, [outcome.found])
    under = with_objective(one, outcome.found)
    assert (
        under.training.objective.temperature
        == (outcome.found.set["training.objective.temperature"])
    )
    # As a suite that takes the file.
    file = COSINE.model_copy(update={"override": (*COSINE.override, Override(tuned=str(path)))})
    assert terms(suite=file).training == under.training
    run = planned(cell(tmp_path, "dims", suite=file), {})
    norm = outcome.found.set["backbone.norm_power"]
    assert run.spec.backbone.config.get("lengths") == norm


def test_an_objective_without_settings_is_named():
    with pytest.raises(SpecError, match="the objective bpr has no settings"):
        objective_subject(terms(), METHODS)


# The command -------------------------------------------------------------------------------------


QUICK = ("--set", "dim=8", "--set", "training.batch=256", "--set", "training.epochs=3")


@pytest.fixture
def bench(tmp_path, monkeypatch, capsys):
    """Calls the command line in a folder; gives its exit status and what it printed."""
    monkeypatch.chdir(tmp_path)

    def call(*words: object):
        monkeypatch.setattr(sys, "argv", ["bench", *map(str, words), *QUICK])
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = ended.code or 0
        return code, capsys.readouterr()

    return call


@pytest.fixture
def inline(monkeypatch):
    """Trials and runs of a command in this process; no report is written."""
    ran: list[str] = []

    def run_all(
        runs, job, data, workers, listener, time_limit, fail, work=BOARD, follow=lambda *_: ()
    ):
        judge, waiting = JudgeHere(data, METHODS), deque(runs)
        while waiting:
            run = waiting.popleft()
            ran.append(run.spec.id)
            record = work.do(
                run, data, METHODS, Store(Path(job.results)), job, lambda entry: None, judge
            )
            record = work.read(record)
            waiting.extend(follow(run.spec.id, record))
            listener("done", {"id": run.spec.id, "worker": 0, "record": record})

    monkeypatch.setattr(tune_workers, "run_all", run_all)
    monkeypatch.setattr(schedule, "run_all", run_all)
    monkeypatch.setattr("bench.cli.board.show_report", lambda *_: None)
    return ran


def test_the_command_goes_on_after_a_kill_and_keeps_one_file_to_one_set_of_conditions(
    tmp_path, bench, inline
):
    folder = blocks(tmp_path / "blocks")
    how = ("tune", "-d", folder, "-b", "30%", "--trials", 3, "-m", "hashing")
    code, said = bench(*how)
    assert code == 0, said.err
    assert "3 planned" in said.out
    assert ", short: valid NDCG@20" in said.out
    written = tmp_path / "tuned" / "blocks-mf.toml"
    before, first = written.read_text(), list(inline)
    (log,) = (tmp_path / "results/local/tune").rglob("hashing/*.jsonl")
    assert not list((tmp_path / "results").rglob("*.safetensors"))
    conditions = json.loads(log.read_text().splitlines()[0])["study"]
    assert conditions["training"]["objective"]["temperature"] == 0.2  # that of dense data
    assert conditions["start"] == ["defaults"]
    # As if killed: two trials are there, and a line that is cut short.
    log.write_text("".join(log.read_text().splitlines(True)[:4])[:-20])
    assert bench(*how)[0] == 0
    assert written.read_text() == before
    assert inline == first + first[2:]
    # Tuned under other conditions, a second method is not put beside it; nothing is run.
    other = ("tune", "-d", folder, "-b", "40%", "--trials", 4, "-m", "qr")
    for more in ((), ("--dry-run",)):
        code, said = bench(*other, *more)
        assert code == 2
        assert "it holds hashing 30%, tuned with trials = 3, not 4" in said.err
        assert len(said.err.strip().splitlines()) == 1
    assert len(inline) == 2 * len(first) - 2


def test_a_board_with_tuning_takes_what_it_finds_and_records_the_trials(tmp_path, bench, inline):
    folder = blocks(tmp_path / "blocks")
    how = ("leaderboard", "-d", folder, "-b", "30%", "-m", "dims", "--seeds", 1, "--workers", 1)
    code, said = bench(*how, "--tune", 3, "--dry-run")
    assert code == 0, said.err
    assert "one method, with 3 trials" in said.out
    assert "training.lr 0.0006 to 0.015, by its logarithm" in " ".join(said.out.split())
    assert not inline
    code, said = bench(*how, "--tune", 3)
    assert code == 0, said.err
    assert len(inline) > 3
    (record,) = [r for r in scan(tmp_path / "results/local").records if r.method.name == "dims"]
    assert record.tuning.planned == record.tuning.complete == 3
    assert record.tuning.settings.startswith("tuned/blocks-mf.toml@")
    assert f"--tuned {record.tuning.settings}" in record.command
    (found,) = read_tuned(tmp_path / "tuned" / "blocks-mf.toml").rows()
    assert record.spec.training["lr"] == found.settings["training.lr"]


@pytest.mark.slow
@pytest.mark.parametrize("cluster", [None, "local"])
def test_trials_in_other_processes_are_those_of_this_one(tmp_path, cluster):
    if cluster:
        pytest.importorskip("distributed")
    folder = blocks(tmp_path / "blocks")
    data = load(folder)
    one = terms(trials=3, suite=SUITE.model_copy(update={"budgets": ("40%",)}))

    def outcome(do, place):
        (found,) = Search(one, [METHODS["dims"]], data, tmp_path / place).run(do)
        return found.found, found.counts

    here = outcome(Inline(tmp_path / "here", data), "here")
    job = replace(JOB, results=str(tmp_path / "there"))
    with tune_workers.Workers(job, data, 1, lambda *_: None, None, cluster) as workers:
        assert outcome(workers, "there") == here
