"""Settings that were tuned on one data set, on the data of another."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("optuna", reason="tuning needs the extra `tune`")

from bench.cli.tune import defaults
from bench.data import load
from bench.errors import BenchError
from bench.method.registry import find_methods
from bench.runs.request import Request
from bench.runs.suite import When
from bench.runs.tuned import Found, TunedFile, read_tuned, write_tuned
from bench.tune import adopt
from bench.tune.defaults import derive
from bench.tune.transfer import Runner
from bench.tune.untuned import Comparison

METHODS = find_methods()
SCORES = {0.25: 0.3, 0.5: 0.1}  # validation NDCG@20 by the knob `head` of hashing


@pytest.fixture
def data(tmp_path):
    """A file of interactions."""
    random = np.random.default_rng(0)
    lines = [
        f"u{user},i{item}" for user in range(80) for item in random.choice(50, 20, replace=False)
    ]
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(["user,item", *lines]))
    return path


@pytest.fixture
def ran(monkeypatch):
    """Runs get scores by their knob `head` instead of being trained; those that were asked for."""
    asked = []

    def run(self, *_):
        for one in self.missing():
            spec = one.spec
            asked.append((spec.method.name, one.label, spec.seed, spec.training.lr))
            head = spec.method.config.get("head")
            self.take(spec.id, {"value": SCORES.get(head, 0.2), "passes": 24})

    monkeypatch.setattr(Comparison, "run", run)
    return asked


def of(method: str, budget: str, valid: float | None, **settings) -> Found:
    when = When(method=(method,), budget=(budget,) if budget else (), backbone=("mf",))
    rate = {"training.lr": settings.pop("lr")} if "lr" in settings else {}
    trials = {"planned": 12, "complete": 4, "passes": 300}
    return Found(when=when, set=settings | rate, valid=valid, trials=trials)


def tuned(path, *overrides: Found, **study) -> TunedFile:
    split = load(str(path)).split
    known = {"dataset": "mine", "split": split, "backbone": "mf", "seeds": [1000, 1001]}
    return TunedFile(study=known | study, override=overrides)


def runner(path, folder) -> Runner:
    return Runner(METHODS, folder, 1, files=[str(path)])


def test_only_cells_that_both_files_have_and_that_differ_are_run(data, tmp_path, ran):
    mine = tuned(
        data,
        of("hashing", "10%", 0.2, head=0.5, lr=0.01),
        of("hashing", "20%", 0.2, head=0.5, lr=0.01),
        of("qr", "10%", 0.2, lr=0.01),
        of("pep", "10%", 0.2, lr=0.01),
        of("cerp-noreg", "10%", 0.2, lr=0.01),
        of("hashing", "5%", None, head=0.5),  # no trial was completed
    )
    other = tuned(
        data,
        of("hashing", "10%", None, head=0.25, lr=0.02),  # as in a file of defaults
        of("hashing", "5%", 0.4, head=0.25),
        of("qr", "10%", 0.4, lr=0.01),
        of("pep", "20%", 0.4, lr=0.01),
        of("cerp-noreg", "10%", 0.2, lr=0.03),  # an ablation
    )
    found = runner(data, tmp_path)(mine, other)
    assert ran == [("hashing", "10%", seed, 0.02) for seed in (1000, 1001)]
    assert found.settings.keys() == {("qr", "10%"), ("hashing", "10%")}
    # Against the tuned score of the data set, not against that of the settings' own.
    assert found.losses() == {("qr", "10%"): 0.0, ("hashing", "10%"): pytest.approx(-0.5)}
    again = runner(data, tmp_path)(mine, other)
    assert again == found
    assert len(ran) == 2


def test_the_objective_and_the_teacher_stay_those_of_the_data_set(data, tmp_path, monkeypatch):
    asked = {}

    def run(self, *_):
        for one in self.missing():
            asked[one.spec.method.name] = one.spec
            self.take(one.spec.id, {"value": 0.1})

    monkeypatch.setattr(Comparison, "run", run)
    objective = {"name": "softmax", "negatives": 256, "temperature": 0.4}
    shared = Found(
        when=When(backbone=("mf",)),
        set={"training.objective.negatives": 256, "training.objective.temperature": 0.4},
    )
    mine = tuned(
        data,
        shared,
        of("full", "", 0.2, lr=0.01),
        of("ptq", "10%", 0.2, bits=2),
        training={"objective": objective},
    )
    other = tuned(data, of("full", "", 0.2, lr=0.05), of("ptq", "10%", 0.2, bits=4))
    runner(data, tmp_path)(mine, other)
    assert asked["full"].training.lr == 0.05
    assert asked["ptq"].teacher.lr == 0.01
    assert asked["ptq"].method.config["bits"] == 4
    for spec in (asked["full"].training, asked["ptq"].teacher):
        assert spec.objective.model_dump() == objective


def test_settings_that_do_not_work_lose_all(data, tmp_path, monkeypatch):
    def run(self, *_):
        for one in self.missing():
            self.take(one.spec.id, {"value": None})

    monkeypatch.setattr(Comparison, "run", run)
    mine = tuned(data, of("hashing", "10%", 0.2, head=0.5))
    found = runner(data, tmp_path)(mine, tuned(data, of("hashing", "10%", 0.2, head=0.25)))
    assert found.losses() == {("hashing", "10%"): 1.0}


def test_other_data_or_another_objective_are_refused(data, tmp_path, ran):
    other = tuned(data, of("hashing", "10%", 0.4, head=0.25))
    rows = [of("hashing", "10%", 0.2, head=0.5)]
    elsewhere = tuned(data, *rows, split="theirs-v10-s0", dataset=str(data))
    with pytest.raises(BenchError, match=r"tuned on theirs-v10-s0, but the data are mine"):
        runner(data, tmp_path)(elsewhere, other)
    unlike = tuned(data, *rows, training={"objective": {"name": "bpr"}})
    with pytest.raises(BenchError, match=r"tuned under .*bpr.*, but the suite has"):
        runner(data, tmp_path)(unlike, other)
    with pytest.raises(BenchError, match="name no data set"):
        runner(data, tmp_path)(TunedFile(override=tuple(rows)), other)
    assert ran == []


def test_the_command_takes_the_settings_that_lose_least(data, tmp_path, ran):
    study = tuned(data).study
    for name, head in (("one", 0.5), ("two", 0.25)):
        row = of("hashing", "10%", SCORES[head], head=head)
        write_tuned(tmp_path / f"{name}.toml", study, [row])
    names, out = [str(tmp_path / f"{name}.toml") for name in ("one", "two")], tmp_path / "out.toml"
    given = {"dataset": [str(data)], "results": tmp_path, "workers": 1}
    for order in (names, names[::-1]):
        defaults(order, out, by_score=True, **given)
        found = read_tuned(out)
        assert found.find("hashing", "10%", "mf").settings["head"] == 0.25
        assert "lose least" in found.study["note"]
    defaults(names, out)
    assert read_tuned(out).find("hashing", "10%", "mf").settings["head"] == 0.5


def test_defaults_are_judged_under_the_suite_that_takes_them(data, tmp_path, monkeypatch):
    asked = []

    def run(self, *_):
        for one in self.missing():
            spec, config = one.spec, one.spec.method.config
            asked.append((spec.method.name, spec.training.lr, spec.training.objective.temperature))
            value = SCORES[0.25 if spec.training.lr == 0.02 else config["head"]]
            self.take(spec.id, {"value": value})

    monkeypatch.setattr(Comparison, "run", run)
    suite = {"name": "softmax", "negatives": 1024, "temperature": 0.2}  # of `default`, dense data
    theirs = suite | {"temperature": 0.4}
    shared = Found(when=When(backbone=("mf",)), set={"training.objective.temperature": 0.4})
    paths = [str(tmp_path / f"{name}.toml") for name in ("like", "unlike")]
    for path, objective, lr in zip(paths, (suite, theirs), (0.02, 0.05), strict=True):
        study = tuned(data, training={"objective": objective}).study
        more = [shared] if objective is theirs else []
        write_tuned(tmp_path / path, study, [*more, of("hashing", "10%", 0.2, head=0.5, lr=lr)])
    out, given = tmp_path / "out.toml", {"dataset": [str(data)], "workers": 1}
    defaults(paths[::-1], out, by_score=True, suite="default", results=tmp_path / "r", **given)
    # Equal knobs are run, too: what they lose under the suite is not known. The rate of the file
    # that was tuned under another objective stays out, in the runs and in the defaults.
    assert asked == 2 * [("hashing", 0.02, 0.2)] + 2 * [("hashing", 0.003, 0.2)]
    found = read_tuned(out)
    assert found.find("hashing", "10%", "mf").settings["training.lr"] == 0.02
    assert "under the suite default" in found.study["note"]
    defaults(paths, out, by_score=True, rates=True, results=tmp_path / "s", **given)
    assert len(asked) == 8


@pytest.mark.parametrize("given", [{}, {"by_score": True, "rates": True}])
def test_a_suite_needs_scores_and_decides_about_rates(given, tmp_path):
    with pytest.raises(BenchError, match="--suite needs --by-score"):
        defaults([], tmp_path / "out.toml", suite="default", **given)


def test_better_settings_of_other_data_replace_those_of_a_search(data, tmp_path, ran, capsys):
    mine, theirs = tmp_path / "mine.toml", tmp_path / "theirs.toml"
    study = tuned(data).study
    write_tuned(
        mine,
        study,
        [
            of("hashing", "10%", 0.2, head=0.5, lr=0.01),
            of("hashing", "20%", 0.4, head=0.5, lr=0.01),
            of("pep", "10%", 0.3, lr=0.01),
        ],
    )
    other = [of("hashing", label, 0.9, head=0.25, lr=0.02) for label in ("10%", "20%")]
    write_tuned(theirs, study, other)
    command = [str(mine), str(theirs), "-d", str(data), "--results", str(tmp_path)]
    adopt.main([*command, "--workers", "1"])
    better, worse, alone = (
        read_tuned(mine).find(method, label, "mf")
        for method, label in (("hashing", "10%"), ("hashing", "20%"), ("pep", "10%"))
    )
    assert better.settings == {"head": 0.25, "training.lr": 0.02}
    assert better.origin.valid == pytest.approx(0.3)
    assert better.origin.trials == {"planned": 12, "complete": 4, "passes": 348}
    assert worse.settings == {"head": 0.5, "training.lr": 0.01}
    assert (worse.origin.valid, worse.origin.trials["passes"]) == (0.4, 348)
    assert (alone.origin.valid, alone.origin.trials["passes"]) == (0.3, 300)
    assert "`hashing`" in capsys.readouterr().out
    # Once is enough.
    before, runs = mine.read_bytes(), len(ran)
    adopt.main(command)
    assert (mine.read_bytes(), len(ran)) == (before, runs)
    assert "nothing to run" in capsys.readouterr().out
    # What a later search finds, and other settings, compete again; the rest does not.
    write_tuned(mine, study, [of("hashing", "20%", 0.2, head=0.75, lr=0.01)])
    write_tuned(theirs, study, [of("hashing", "10%", 0.9, head=0.5, lr=0.03)])
    adopt.main(command)
    assert ran[runs:] == [("hashing", "10%", seed, 0.03) for seed in (1000, 1001)]  # 20 % has runs
    found = read_tuned(mine)
    assert found.find("hashing", "20%", "mf").settings["head"] == 0.25
    assert found.find("hashing", "10%", "mf").settings["head"] == 0.25
    compared = [len(row.origin.compared) for row in found.rows()]
    assert dict(zip([(row.method, row.label) for row in found.rows()], compared, strict=True)) == {
        ("hashing", "10%"): 2,
        ("hashing", "20%"): 1,
        ("pep", "10%"): 0,
    }


def test_published_forms_and_ablations_keep_their_settings(data, tmp_path, ran):
    mine, theirs = tmp_path / "mine.toml", tmp_path / "theirs.toml"
    study, row = tuned(data).study, of("hashing", "10%", 0.2, head=0.5, lr=0.01)
    published = row.model_copy(
        update={"when": row.when.model_copy(update={"form": ("published",)}), "valid": 0.1}
    )
    write_tuned(mine, study, [row, published, of("cerp-noreg", "10%", 0.1, lr=0.01)])
    other = [of("hashing", "10%", 0.9, head=0.25), of("cerp-noreg", "10%", 0.2, lr=0.03)]
    write_tuned(theirs, study, other)
    adopt.main([str(mine), str(theirs), "-d", str(data), "--results", str(tmp_path)])
    found = read_tuned(mine)
    assert found.find("hashing", "10%", "mf").settings == {"head": 0.25}
    assert found.find("hashing", "10%", "mf", form="published").origin == published
    assert found.find("cerp-noreg", "10%", "mf").settings == {"training.lr": 0.01}


def test_defaults_compete_with_their_rates(data, tmp_path, ran):
    mine, theirs = tmp_path / "mine.toml", tmp_path / "theirs.toml"
    write_tuned(mine, tuned(data).study, [of("hashing", "10%", 0.2, head=0.5, lr=0.01)])
    source = tuned(data, of("hashing", "10%", 0.9, head=0.25, lr=0.02))
    write_tuned(theirs, {}, derive([source], METHODS, rates=[0]))  # rates by themselves
    adopt.main([str(mine), str(theirs), "-d", str(data), "--results", str(tmp_path)])
    settings = read_tuned(mine).find("hashing", "10%", "mf").settings
    assert (settings["head"], settings["training.lr"]) == (0.25, 0.02)


def test_with_the_same_file_twice_settings_of_larger_budgets_compete(data, tmp_path, ran):
    mine = tmp_path / "mine.toml"
    write_tuned(
        mine,
        tuned(data).study,
        [
            of("hashing", "10%", 0.2, head=0.5),
            of("hashing", "20%", 0.4, head=0.25),
            of("hashing", "5%", 0.05, head=0.75),
            of("qr", "20%", 0.4, lr=0.02),
        ],
    )
    command = [str(mine), str(mine), "-d", str(data), "--results", str(tmp_path)]
    adopt.main([*command, "--workers", "1"])
    assert sorted({(method, label) for method, label, *_ in ran}) == [
        ("hashing", "10%"),
        ("hashing", "5%"),
    ]
    found = read_tuned(mine)
    heads = {
        label: found.find("hashing", label, "mf").settings["head"] for label in ("5%", "10%", "20%")
    }
    # 5 % gets what 10 % had before, not what it has got.
    assert heads == {"5%": 0.5, "10%": 0.25, "20%": 0.25}
    row = next(row for row in found.rows() if row.label == "10%")
    assert row.origin.compared == (f"{mine}@{row.id}",)
    assert [row.label for row in found.rows() if row.method == "qr"] == ["20%"]
    del ran[:]
    adopt.main([*command, "--smaller", "--workers", "1"])
    assert {(method, label) for method, label, *_ in ran} == {("hashing", "10%")}  # 20 % has them
    found = read_tuned(mine)
    assert found.find("hashing", "10%", "mf").settings["head"] == 0.25  # .5 of 5 % is worse
    hashing = [row for row in found.rows() if row.method == "hashing"]
    compared = {row.label: len(row.origin.compared) for row in hashing}
    assert compared == {"5%": 1, "10%": 2, "20%": 1}
    with pytest.raises(SystemExit):
        adopt.main([str(mine), "gowalla-mf", "--smaller"])


def test_settings_of_another_backbone_need_the_suite_of_their_search(
    data, tmp_path, monkeypatch, capsys
):
    asked = []

    def run(self, *_):
        for one in self.missing():
            asked.append((one.spec.backbone.name, one.spec.budget.accounting, one.label))
            self.take(one.spec.id, {"value": SCORES[one.spec.method.config["head"]]})

    monkeypatch.setattr(Comparison, "run", run)
    suite = tmp_path / "graph.toml"
    suite.write_text('backbones = ["lightgcn"]\naccounting = "values"\nbudgets = ["10%", "20%"]\n')
    objective = Request(str(suite), str(data)).resolved().training.objective.model_dump()
    mine, lightgcn = tmp_path / "mine.toml", {"backbone": ("lightgcn",)}
    rows = [of("hashing", label, 0.2, head=head) for label, head in (("10%", 0.25), ("20%", 0.5))]
    rows = [row.model_copy(update={"when": row.when.model_copy(update=lightgcn)}) for row in rows]
    study = tuned(data, backbone="lightgcn", training={"objective": objective}).study
    write_tuned(mine, study, rows)
    command = [str(mine), str(mine), "-d", str(data), "--smaller", "--results", str(tmp_path)]
    with pytest.raises(SystemExit):
        adopt.main(command)
    assert "tuned under lightgcn, but the suite has mf; name theirs (--suite)" in (
        capsys.readouterr().err
    )
    adopt.main([*command, "--suite", str(suite)])
    assert asked == [("lightgcn", "values", "20%")] * 2
    assert read_tuned(mine).find("hashing", "20%", "lightgcn").settings == {"head": 0.25}


def test_a_mistake_is_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        adopt.main(["nothing-here", "gowalla-mf"])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert "no tuned settings 'nothing-here'" in error
    assert "Traceback" not in error
