"""Files of tuned settings: what they hold, which runs they are for, who may be beside whom."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from bench.check import tiny_data
from bench.errors import SpecError
from bench.method.registry import find_methods
from bench.runs.plan import plan
from bench.runs.settings import override, shared_training, with_override, with_tuned
from bench.runs.suite import Override, Suite, When, find_suite
from bench.runs.tuned import Found, TunedFile, find_tuned, listing, read_tuned, write_tuned

METHODS = find_methods()
SUITE = Suite(dim=16, methods=("qr", "hashing"), budgets=("40%",), seeds=1)
STUDY = {"dataset": "d", "trials": 12, "training": {"lr": 1e-05, "refit": False}}


def of(method: str = "qr", budget: str = "", **changes) -> Found:
    settings = {"combine": "add", "training.lr": 0.004} if method == "qr" else {"hashes": 3}
    when = When(method=(method,), budget=(budget,) if budget else ())
    return Found(**{"when": when, "set": settings, **changes})


QR = of(valid=0.25, trials={"planned": 12, "passes": 90})


def id_of(one: Found) -> str:
    (row,) = TunedFile(override=(one,)).rows()
    return row.id


def runs(suite) -> dict:
    return {one.run.spec.method.name: one.run for one in plan(suite, tiny_data(), METHODS, "c")}


def configs(suite, *knobs):
    found = [one.spec.method.config for one in runs(suite).values()]
    return {tuple(config.get(knob) for knob in knobs) for config in found}


def test_files_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "t.toml"
    write_tuned(path, STUDY, [QR])
    other = of("hashing", set={"hashes": 3, "joint": True, "user_share": None})
    write_tuned(path, STUDY, [other])
    found = read_tuned(path)
    assert found.study == STUDY
    assert [one.when.method for one in found.override] == [("hashing",), ("qr",)]
    assert found.override[1] == QR
    assert found.override[0].set == {"hashes": 3, "joint": True, "user_share": "none"}
    assert any(id_of(QR) in line for line in listing("t", found))


def _write_one(path: Path, method: str) -> None:
    for budget in ("2%", "5%", "10%", "20%", "40%"):
        write_tuned(path, STUDY, [of(method, budget=budget)])


def test_two_tunings_that_end_together_lose_nothing(tmp_path):
    path, start = tmp_path / "t.toml", multiprocessing.get_context("spawn")
    both = [start.Process(target=_write_one, args=(path, name)) for name in ("qr", "hashing")]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert [one.exitcode for one in both] == [0, 0]
    assert len(read_tuned(path).override) == 10


def test_overrides_of_unequal_trials_are_not_put_into_one_file(tmp_path):
    path = tmp_path / "t.toml"
    write_tuned(path, STUDY, [of(budget="5%")])
    before = path.read_text()
    with pytest.raises(SpecError, match=r"it holds qr 5%, tuned with trials = 12, not 20"):
        write_tuned(path, STUDY | {"trials": 20}, [of(budget="10%")])
    rates = {"training": STUDY["training"] | {"lr": 0.5}}
    with pytest.raises(SpecError, match=r"tuned with training\.lr = 1e-05, not 0\.5; tune all"):
        write_tuned(path, STUDY | rates, [of(budget="10%")])
    assert path.read_text() == before
    write_tuned(path, STUDY | {"trials": 20}, [of(budget="5%")])  # it alone may be tuned again


def test_ids_are_of_the_settings_alone():
    assert id_of(QR) == id_of(of(valid=0.3)) == id_of(of(budget="5%"))
    changed = of(set={"combine": "add", "training.lr": 0.005})
    published = of(when=When(method=("qr",), form=("published",)))
    others = changed, of(set={}), of("hashing"), published
    assert len({id_of(QR), *map(id_of, others)}) == 5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[override]\n", "cannot be read as TOML"),
        ("[[override]]\nsett = {}\n", "override.0.sett"),
        ("[[override]]\nwhen = { method = 'qr' }\nset = { 'training.batch' = 4 }\n", "lr and l2"),
        ("[[override]]\nwhen = { method = 'qr' }\nvalid = 'x'\n", "override.0.valid"),
        ("[[override]]\nset = { hashes = 1 }\n", "'hashes' is of one method"),
        ("[[override]]\ntuned = 'x'\n", "cannot take another file"),
        (
            "[[override]]\nwhen = { density_from = 0.1 }\nset = { 'training.lr' = 1 }\n",
            "do not depend on data",
        ),
    ],
)
def test_bad_files_are_named_with_the_key(tmp_path, text, said):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(SpecError, match=said) as caught:
        read_tuned(path)
    assert str(path) in str(caught.value)


def test_boards_run_by_tuned_settings_cite_them_and_know_their_trials(tmp_path):
    path = tmp_path / "t.toml"
    write_tuned(path, STUDY, [QR])
    suite = with_tuned(SUITE, str(path))
    found = runs(suite)
    assert found["qr"].spec.method.config["combine"] == "add"
    assert found["qr"].spec.training == SUITE.training.model_copy(update={"lr": 0.004})
    assert f"--tuned {path}@{id_of(QR)}" in found["qr"].command
    assert found["qr"].tuning.planned == 12
    assert found["qr"].tuning.passes == 90
    assert found["hashing"].spec.training == SUITE.training
    assert "--tuned" not in found["hashing"].command
    assert found["hashing"].tuning is None
    # Later overrides replace earlier ones, what is typed replaces all; defaults come first.
    suite = suite.model_copy(update={"method": {"qr": {"combine": "mult", "root": "large"}}})
    assert configs(suite, "combine", "root") == {(None, None), ("add", "large")}
    suite = with_override(suite, {"combine": "mult"}, method="qr", budget="40%")
    assert configs(suite, "combine", "root") == {(None, None), ("mult", "large")}
    suite = override(suite, ["qr.combine=add"])
    assert configs(suite, "combine", "root") == {(None, None), ("add", "large")}


def test_none_in_a_file_and_on_the_command_line_is_no_value(tmp_path):
    path = tmp_path / "t.toml"
    suite = SUITE.model_copy(update={"method": {"hashing": {"user_share": 0.6}}})
    assert configs(suite, "users") == {(None,), (0.6,)}
    write_tuned(path, STUDY, [of("hashing", set={"user_share": None})])
    assert configs(with_tuned(suite, str(path)), "users") == {(None,)}
    assert configs(override(suite, ["hashing.user_share=none"]), "users") == {(None,)}


def test_a_budget_that_a_file_lacks_takes_the_settings_of_the_nearest(tmp_path):
    found = TunedFile(
        override=(
            of(set={"joint": True}),
            of(budget="5%", set={"combine": "add"}),
            of(budget="20 %", set={"combine": "mult"}),
        )
    )

    def settings(budget, share=None):
        return dict(found.find("qr", budget, "mf", share).settings)

    assert settings("5%") == settings("9%") == settings("1%") == {"joint": True, "combine": "add"}
    assert settings("20%") == settings("11%") == {"joint": True, "combine": "mult"}
    assert settings("128k", 0.3) == settings("20%")
    assert settings("128k") == settings(None) == {"joint": True}  # the size is not known
    assert found.find("hashing", "5%", "mf") is None


def test_budgets_that_are_no_share_take_the_settings_of_the_nearest_share(tmp_path):
    path, data = tmp_path / "t.toml", tiny_data()
    rows = [of(budget=one, set={"combine": how}) for one, how in (("5%", "add"), ("60%", "mult"))]
    write_tuned(path, STUDY, rows)
    for share, combine in ((0.15, "add"), (0.2, "mult"), (0.5, "mult")):
        budget = f"{4 * round(share * data.ids * SUITE.dim)}B"
        suite = SUITE.model_copy(update={"methods": ("qr",), "budgets": (budget,)})
        assert configs(with_tuned(suite, str(path)), "combine") == {(None,), (combine,)}


def test_settings_of_another_backbone_are_not_taken(tmp_path):
    when = When(method=("qr",), backbone=("lightgcn",))
    file = TunedFile(override=(of(when=when),))
    assert file.find("qr", "5%", "mf") is None
    assert file.find("qr", "5%", "lightgcn") is not None
    assert len(list(file.rows())) == 1


def test_the_published_form_has_settings_of_its_own(tmp_path):
    path = tmp_path / "t.toml"
    when = When(method=("qr",), form=("published",))
    own = of(when=when, set={"training.lr": 0.03}, trials={"planned": 4})
    write_tuned(path, STUDY, [QR, own])
    suite = SUITE.model_copy(update={"methods": ("qr",), "forms": ("tuned", "published")})
    planned = plan(with_tuned(suite, str(path)), tiny_data(), METHODS, "c")
    found = {one.run.spec.method.form: one.run for one in planned if one.run.spec.training}
    assert {form: one.spec.training.lr for form, one in found.items()} == {
        None: 0.004,
        "published": 0.03,
    }
    assert found[None].spec.method.config["combine"] == "add"
    assert found["published"].spec.method.config["combine"] == "mult"
    assert found["published"].tuning.planned == 4
    assert id_of(own) in found["published"].command
    write_tuned(tmp_path / "u.toml", STUDY, [QR])
    planned = plan(with_tuned(suite, str(tmp_path / "u.toml")), tiny_data(), METHODS, "c")
    assert {one.run.spec.training.lr for one in planned if one.run.spec.method.form} == {0.001}


def test_conditions_without_a_value_are_the_same_after_reading(tmp_path):
    path, study = tmp_path / "t.toml", STUDY | {"backbone_config": {"norm_power": None}}
    write_tuned(path, study, [of(budget="5%")])
    write_tuned(path, study, [of(budget="10%")])
    assert len(read_tuned(path).override) == 2


def test_an_objective_of_a_file_holds_for_all_methods(tmp_path):
    path = tmp_path / "t.toml"
    shared = Found(when=When(backbone=("mf",)), set={"training.l2": 0.25})
    write_tuned(path, STUDY, [shared, QR])
    suite = with_tuned(SUITE, str(path))
    assert {one.spec.training.l2 for one in runs(suite).values() if one.spec.training} == {0.25}
    assert shared_training(suite, "mf").l2 == 0.25
    assert shared_training(suite, "lightgcn").l2 == 0
    (row,) = read_tuned(path).rows()
    assert row.id != id_of(QR)  # the settings of a run are others


def test_tuned_settings_that_are_named_replace_others_and_those_of_the_suites_file(tmp_path):
    for name, combine in (("a", "add"), ("b", "mult")):
        write_tuned(tmp_path / f"{name}.toml", STUDY, [of(set={"combine": combine})])
    a, b = str(tmp_path / "a.toml"), str(tmp_path / "b.toml")
    suite = with_tuned(SUITE.model_copy(update={"methods": ("qr",)}), a)
    suite = with_override(suite, {"root": "large"}, method="qr")
    assert with_tuned(suite, b).tuned == (b,)
    assert with_tuned(suite, b).override[-1].tuned == b
    cited = f"{a}@{id_of(of(set={'combine': 'add'}))}"
    assert [one.tuned for one in with_tuned(suite, cited).override] == [cited, ""]
    assert configs(with_tuned(suite, cited), "combine") == configs(suite, "combine")
    assert with_tuned(suite, "").tuned == ()


def test_of_several_files_the_one_that_is_named_again_is_replaced(tmp_path):
    files = [str(tmp_path / f"{name}.toml") for name in "ab"]
    for file in files:
        write_tuned(Path(file), STUDY, [QR])
    own = tuple(Override(tuned=file) for file in files)
    suite = SUITE.model_copy(update={"override": own})
    cited = f"{files[0]}@{id_of(QR)}"
    assert with_tuned(suite, cited).tuned == (cited, files[1])


def test_what_is_typed_replaces_tuned_settings_wherever_they_are_named(tmp_path):
    path = tmp_path / "t.toml"
    write_tuned(path, STUDY, [QR])
    suite = SUITE.model_copy(update={"methods": ("qr",)})
    typed, named = "qr.combine=mult", f"tuned={path}"
    for settings in ((named,), (named, typed), (typed, named)):
        combine = "mult" if typed in settings else "add"
        assert configs(override(suite, settings), "combine") == {(None,), (combine,)}


def test_a_search_without_a_result_does_not_keep_a_new_file_from_being_written(tmp_path):
    path = tmp_path / "t.toml"
    write_tuned(path, STUDY, [of(budget="5%"), of(budget="10%")])
    more = STUDY | {"trials": 24}
    with pytest.raises(SpecError, match="it holds qr 10%, tuned with trials = 12, not 24"):
        write_tuned(path, more, [of(budget="5%")])
    write_tuned(path, more, [of(budget="5%")], [of(budget=one).when for one in ("5%", "10%")])
    assert [one.when.budget for one in read_tuned(path).override] == [("5%",)]


def test_paths_may_have_an_at_sign(tmp_path):
    path = tmp_path / "a@b.toml"
    write_tuned(path, STUDY, [QR])
    for name in (f"{path}", f"{path}@{id_of(QR)}"):
        assert find_tuned(name).override == (QR,)
        suite = with_tuned(SUITE.model_copy(update={"methods": ("qr",)}), name)
        assert ("add",) in configs(suite, "combine")
        assert [one.tuned for one in with_tuned(suite, f"{path}").override] == [f"{path}"]
        assert f"--tuned {path}@{id_of(QR)} " in f"{runs(suite)['qr'].command} "


def test_the_name_of_a_file_may_end_like_an_id(tmp_path):
    path = tmp_path / "mine@0123abcd"
    write_tuned(path, STUDY, [QR])
    assert find_tuned(f"{path}").override == find_tuned(f"{path}@{id_of(QR)}").override == (QR,)


def test_a_cited_id_must_still_be_there(tmp_path):
    path = tmp_path / "t.toml"
    write_tuned(path, STUDY, [QR])
    assert find_tuned(f"{path}@{id_of(QR)}").override == (QR,)
    with pytest.raises(SpecError, match="no method has the settings 00000000 any more"):
        find_tuned(f"{path}@00000000")
    with pytest.raises(SpecError, match="no tuned settings 'nothing'"):
        find_tuned("nothing")


def test_what_the_command_line_sets_replaces_tuned_settings():
    suite = find_suite("ml-100k").model_copy(update={"methods": ("cerp",), "budgets": ("10%",)})

    def rates(*settings):
        planned = plan(override(suite, settings), tiny_data(), METHODS, "bench run")
        return {one.run.spec.training.lr for one in planned if one.run.spec.training}

    (tuned,) = rates()
    assert tuned != suite.training.lr
    assert rates("training.lr=0.5") == {0.5}
    assert rates("mf.training.lr=0.25") == {0.25}
    assert rates("training.lr=0.5", "mf.training.lr=0.25") == {0.25}
    assert rates("mf.training.lr=0.25", "training.lr=0.5") == {0.5}  # the later
    assert rates("cerp.training.lr=0.125") == {0.125}
    assert rates("lightgcn.training.lr=0.25") == {tuned}


def test_tuned_bits_are_left_out_where_values_count(tmp_path):
    path = tmp_path / "t.toml"
    trials = {"planned": 12, "passes": 90}
    write_tuned(path, STUDY, [of(set={"bits": 4, "combine": "add"}, trials=trials)])
    suite = with_tuned(SUITE, str(path))
    assert configs(suite, "bits", "combine") >= {(4, "add")}
    counted = suite.model_copy(update={"accounting": "values"})
    assert configs(counted, "bits", "combine") >= {(None, "add")}
    assert runs(suite)["qr"].tuning.planned == 12
    assert runs(counted)["qr"].tuning.planned is None
    with pytest.raises(SpecError, match="qr: bits = 8 saves bytes, not values"):
        runs(with_override(counted, {"bits": 8}, method="qr"))


def test_the_files_of_the_program_are_of_methods_that_there_are():
    folder = Path(__file__).parents[2] / "tuned"
    paths = list(folder.glob("*.toml"))
    assert paths
    for path in paths:
        for row in read_tuned(path).rows():
            kind = METHODS[row.method]
            knobs = {k: v for k, v in row.settings.items() if not k.startswith("training.")}
            kind.Config.model_validate({k: None if v == "none" else v for k, v in knobs.items()})
