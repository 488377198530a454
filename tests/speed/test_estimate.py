"""`--dry-run` says how long a plan takes."""

from __future__ import annotations

import re

import pytest
from support.make_records import TOYS, make
from typer.testing import CliRunner

from bench.cli import app
from bench.data import load
from bench.engine.settings import Training
from bench.method.registry import find_methods
from bench.records.schema import Phase, Record
from bench.runs.plan import plan
from bench.runs.settings import override
from bench.runs.suite import find_suite
from bench.speed import estimate as estimation
from bench.speed.estimate import Cost, epoch_shares, run_seconds, spread

COST = Cost({"search": (2.0, True), "retrain": (1.0, False)}, (0.5, 0.01))


def test_seconds_of_a_run_by_hand():
    training = Training(epochs=20, search_epochs=5, eval_every=2, valid_users=100)
    # Search 5 x 2 s; 2/3 of the other 15 epochs of 1 s; 5 validations of .5 + 100 x .01 s; then
    # the test users (.5 + 3 s) and all validation users (.5 + 2 s).
    assert run_seconds(COST, training, 2 / 3, 300, 200) == pytest.approx(10 + 10 + 7.5 + 3.5 + 2.5)
    again = training.model_copy(update={"refit": True})
    more = run_seconds(COST, again, 2 / 3, 300, 200) - run_seconds(COST, training, 2 / 3, 300, 200)
    assert more == pytest.approx(10 + 10)


def test_steps_that_compile_do_not_count(monkeypatch):
    data, methods = load("ml-100k"), find_methods()
    planned = plan(find_suite("smoke"), data, methods, "bench")
    one = next(one for one in planned if one.run.spec.training is not None)
    seconds: dict[int, list[float]] = {}

    real = estimation.Probe.steps

    def steps(probe, count):
        real(probe, count)
        taken = seconds.setdefault(id(probe), [50.0])
        taken.append(0.01)
        return [taken.pop(0)]

    monkeypatch.setattr(estimation.Probe, "steps", steps)
    monkeypatch.setattr(estimation.Probe, "around", lambda probe: 0.0)
    cost = estimation.measure(one.run.spec, data, methods, "cpu")
    batches = estimation.Probe(one.run.spec, data, methods, 0, "cpu").batches
    assert [epoch for epoch, _ in cost.phases.values()] == pytest.approx([0.01 * batches])


def test_runs_go_to_whoever_is_free():
    assert spread([3, 1, 1, 1], 1) == 6
    assert spread([3, 1, 1, 1], 2) == 3
    assert spread([1, 1, 3], 2) == 4


@pytest.mark.usefixtures("runs_here")
def test_dry_run_estimates_what_is_missing(tmp_path):
    words = ["leaderboard", "--suite", "smoke", "-m", "dims", "--workers", "1"]
    words += ["--results", str(tmp_path / "r"), "--reports", str(tmp_path / "p")]
    words += ["--set", "training.epochs=1"]
    before = CliRunner().invoke(app, [*words, "--dry-run"])
    assert before.exit_code == 0, before.output
    assert re.search(r"Estimate: \d+ s for 1 runs, 1 at a time", before.stdout)
    assert not (tmp_path / "r").exists()
    assert CliRunner().invoke(app, words).exit_code == 0
    after = CliRunner().invoke(app, [*words, "--dry-run"])
    assert "Nothing is left to run." in after.stdout


def test_after_the_limit_the_mean_stands_for_the_rest(monkeypatch):
    monkeypatch.setattr(estimation, "_LIMIT", -1.0)
    told = _estimated(monkeypatch, {})
    assert told.work == 0  # nothing was timed at all
    assert told.untimed == ("mf dims", "mf full")
    monkeypatch.setattr(estimation, "_LIMIT", 60.0)
    broken = _estimated(monkeypatch, {"dims": COST})
    assert broken.untimed == ("mf full",)
    both = _estimated(monkeypatch, {"dims": COST, "full": COST})
    assert both.untimed == ()
    assert both.work == pytest.approx(broken.work)
    assert both.work > 0


def test_a_teacher_that_runs_share_counts_once(monkeypatch):
    data, methods = load("ml-100k"), find_methods()
    costs = {"full": Cost({"train": (1.0, False)}, (0.0, 0.0)), "ptq": Cost({}, (0.0, 0.0))}
    monkeypatch.setattr(estimation, "measure", lambda spec, *rest: costs[spec.method.name])

    def work(*settings):
        suite = override(find_suite("smoke"), ["seeds=1", *settings])
        planned = plan(suite, data, methods, "bench")
        return estimation.estimate(planned, set(), data, methods, [], 1)

    full = work('methods=["full"]')
    shared = work('methods=["ptq"]', 'budgets=["10%", "20%"]')
    assert shared.runs == 2
    assert shared.work == pytest.approx(full.work)
    assert work('methods=["ptq"]', "seeds=2").work == pytest.approx(2 * full.work)


def _ended(method="dims", status="ok", split="ml-100k", **phases) -> Record:
    """A record of mf with a cap of 30 epochs and these phases; a search has no best epoch."""
    content, _ = make(TOYS[0], "mf", method, 0.1, 0)
    content["spec"]["dataset"]["split"] = split
    found = tuple(
        Phase(name=name, epochs=n, best_epoch=None if name == "search" else n, seconds=1.0)
        for name, n in phases.items()
    )
    record = Record.model_validate({**content, "id": "0" * 12})
    return record.model_copy(update={"status": status, "phases": found})


def test_shares_are_of_what_searches_leave_and_of_runs_that_ended_well():
    records = [
        _ended("dims", train=15),
        _ended("dims", status="failed", train=30),
        _ended("pep", search=10, retrain=15),
    ]
    assert epoch_shares(records) == {
        ("mf", "dims"): [pytest.approx(15 / 30)],
        ("mf", "pep"): [pytest.approx(15 / (30 - 10))],
    }


def test_records_of_the_same_split_and_method_say_how_many_epochs_are_expected(monkeypatch):
    split, free = load("ml-100k").split, Cost({}, (0.0, 0.0))
    costs = {"dims": Cost({"train": (1.0, False)}, (0.0, 0.0)), "full": free}
    unknown = _estimated(monkeypatch, costs)
    assert (unknown.epochs, unknown.from_records) == (1.0, False)
    elsewhere = _estimated(monkeypatch, costs, [_ended("dims", split="other", train=6)])
    assert elsewhere == unknown
    records = [_ended("dims", split=split, train=15), _ended("full", split=split, train=30)]
    own = _estimated(monkeypatch, costs, records)
    assert (own.epochs, own.from_records) == (0.75, True)  # of all methods
    assert own.work == pytest.approx(unknown.work * 0.5)


def _estimated(monkeypatch, costs, records=()):
    """The estimate of the smoke suite's two methods, of which only these can be timed."""
    data, methods = load("ml-100k"), find_methods()
    suite = override(find_suite("smoke"), ["seeds=1", 'methods=["dims", "full"]'])
    planned = plan(suite, data, methods, "bench")
    monkeypatch.setattr(estimation, "measure", lambda spec, *rest: costs[spec.method.name])
    return estimation.estimate(planned, set(), data, methods, records, 1)
