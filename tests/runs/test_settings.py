"""One rule for settings: defaults, overrides in order, the command line last."""

from __future__ import annotations

import pytest

from bench.check import tiny_data
from bench.errors import SpecError
from bench.files import parse_value
from bench.method.registry import find_methods
from bench.runs.plan import plan
from bench.runs.settings import (
    override,
    resolve,
    shared_backbone,
    shared_training,
    untuned,
    with_override,
)
from bench.runs.suite import list_suites, validated

METHODS = find_methods()
CONTENT = {
    "methods": ["full", "hashing", "qr"],
    "budgets": ["50%", "80%"],
    "seeds": 1,
    "dim": 16,
    "method": {"hashing": {"hashes": 3}},
}


def over(**when):
    """An override for some of the runs."""
    values = when.pop("set")
    return {"when": when, "set": values}


def suite(*overrides):
    return validated({**CONTENT, "override": list(overrides)}, "s.toml")


def found(one, method="hashing", budget="50%", backbone="mf"):
    return resolve(one, METHODS[method], budget, backbone)


def rates(one):
    return {
        (p.run.spec.method.name, p.run.label): p.run.spec.training.lr
        for p in plan(one, tiny_data(), METHODS, "bench run")
        if p.run.spec.training
    }


def test_rates_of_a_method_and_of_a_method_at_one_budget():
    one = suite(
        over(method="full", set={"training.lr": 0.03}),
        over(method="hashing", set={"training.lr": 0.04}),
        over(method="hashing", budget="50%", set={"training.lr": 0.02, "training.l2": 0.001}),
    )
    assert rates(one) == {
        ("full", None): 0.03,
        ("hashing", "50%"): 0.02,
        ("hashing", "80%"): 0.04,
        ("qr", "50%"): 0.001,
        ("qr", "80%"): 0.001,
    }
    assert found(one).training.l2 == 0.001
    assert set(rates(override(one, ["training.lr=0.5"])).values()) == {0.5}  # what is typed wins


def test_later_overrides_go_before_earlier_ones_and_all_before_defaults():
    one = suite(
        over(method=["hashing", "qr"], set={"training.lr": 0.1}),
        over(method="hashing", set={"hashes": 2, "training.lr": 0.2}),
        over(method="hashing", budget=["50 %"], set={"hashes": 1}),
    )
    assert found(one).config.hashes == 1
    assert found(one, budget="80%").config.hashes == 2
    assert found(suite()).config.hashes == 3
    assert (found(one).training.lr, found(one, "qr").training.lr) == (0.2, 0.1)
    assert found(one).knobs == {"hashes": 1}


def test_an_override_of_a_budget_is_not_for_methods_without_one():
    one = suite(over(budget="50%", set={"training.lr": 0.1}))
    assert found(one, "full", None).training.lr == 0.001
    assert found(one).training.lr == 0.1
    assert shared_training(one).lr == 0.001


@pytest.mark.parametrize("when", [{"method": "qr"}, {"budget": "50%"}, {"form": "tuned"}])
def test_what_some_of_the_runs_have_is_not_shared_by_all(when):
    common = over(backbone="mf", set={"backbone.similarity": "dot", "training.lr": 0.1})
    own = {"backbone.similarity": "cosine", "training.lr": 0.2}
    one = suite(common, over(backbone="mf", set=own, **when))
    assert found(one, "qr").backbone.similarity == "cosine"
    assert shared_backbone(one, "mf") == {"similarity": "dot"}
    assert shared_training(one, "mf").lr == 0.1


def test_a_backbone_may_be_set_and_another_objective_drops_the_knobs_of_the_first():
    one = suite(over(backbone="mf", set={"backbone.similarity": "cosine"}))
    assert found(one).backbone.similarity == "cosine"
    one = override(one, ["mf.similarity=dot", "training.objective.name=ccl"])
    assert found(one).backbone.similarity == "dot"
    assert found(one).training.objective.name == "ccl"


def test_what_is_typed_goes_before_everything_and_the_last_before_the_first():
    one = suite(over(method="hashing", budget="50%", set={"hashes": 1}))
    assert found(override(one, ["hashing.hashes=4", "hashing.hashes=2"])).config.hashes == 2
    assert found(override(one, ["method.hashing.hashes=4"]), budget="80%").config.hashes == 4
    assert override(one, ["dim=8", "budgets=['1%']"]).dim == 8
    assert found(with_override(one, {"hashes": 4}, budget="50%", method="hashing")).knobs == {
        "hashes": 4
    }


def test_an_override_for_dense_data_is_for_those_alone():
    data = tiny_data()
    cells = data.users * data.items
    share = (data.train.nnz + data.valid.nnz) / cells
    for bound, rate in ((share, 0.5), (share + 1 / cells, 0.125)):
        one = suite(
            over(density_from=bound, set={"training.lr": 0.5}),
            over(density_below=bound, set={"training.lr": 0.125}),
            over(method="qr", set={"training.lr": 0.25}),
        )
        assert rates(one)["full", None] == rate
        assert rates(one)["qr", "50%"] == 0.25
        assert found(one).training.lr == 0.001  # no data yet


def test_an_override_for_few_interactions_an_item_is_for_those_alone():
    data = tiny_data()
    per_item = (data.train.nnz + data.valid.nnz) / data.items
    for bound, rate in ((per_item, 0.001), (per_item + 0.01, 0.5)):
        one = suite(over(per_item_below=bound, set={"training.lr": 0.5}))
        assert rates(one)["full", None] == rate
        assert found(one).training.lr == 0.001  # no data yet


def test_the_suite_is_not_changed_by_what_is_resolved():
    one = validated({**CONTENT, "backbone": {"mf": {"similarity": "dot"}}}, "s.toml")
    one = override(one, ["mf.similarity=cosine", "hashing.hashes=1"])
    found(one)
    assert one.method == {"hashing": {"hashes": 3}}
    assert one.backbone == {"mf": {"similarity": "dot"}}


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (over(backbone="lightgnc", set={"training.lr": 0.1}), "did you mean 'lightgcn'"),
        (over(method="hashign", set={"training.lr": 0.1}), "did you mean 'hashing'"),
        (over(budget="51%", set={"training.lr": 0.1}), "none of the suite's budgets.*50%, 80%"),
        (over(budget="lots", set={"training.lr": 0.1}), "'lots' is not an amount"),
        (over(method="qr", set={"training.epochs": 3}), "training.epochs: a method or a budget"),
        (over(budget="50%", set={"training.epochs": 3}), "its own lr and l2"),
        (over(method="hashing", set={"hashs": 3}), "hashs.*did you mean 'hashes'"),
        (over(set={"training.lrr": 3}), "training.lrr: is not a known key; did you mean 'lr'"),
        (over(backbone="mf", set={"backbone.simlarity": 3}), "mf.simlarity.*'similarity'"),
        (
            over(budget="50%", set={"hashes": 3}),
            r"override.0: the knob 'hashes' .*\{method",
        ),
        (over(set={"backbone.similarity": "dot"}), r"backbone.similarity .*\{backbone"),
        (over(set={"training.lr.x": 1}), "lr is a value, not a table"),
        (over(set={}), "sets nothing"),
        (over(density_from=2, set={"training.lr": 1}), "when.density_from"),
        ({"tuned": "x", "set": {"training.lr": 1}}, "`tuned` stands alone"),
        ({"tuned": "x", "when": {"method": "qr"}}, "`tuned` stands alone"),
        ({"tuned": "nothing"}, "no tuned settings 'nothing'"),
        ({"when": {"metod": "qr"}, "set": {"wide": 1}}, "when.metod: .* did you mean 'method'"),
    ],
)
def test_an_override_that_cannot_be_meant_is_refused(own, said):
    with pytest.raises(SpecError, match=said):
        plan(suite(own), tiny_data(), METHODS, "bench run")


@pytest.mark.parametrize("typed", ["hashing.hashs=3", "hashs.hashes=3", "mf.dot=1", "hashes=3"])
def test_typed_settings_that_nothing_takes_are_refused(typed):
    with pytest.raises(SpecError, match=r"hashes|mf.dot|hashing"):
        plan(override(suite(), [typed]), tiny_data(), METHODS, "bench run")


def test_without_tuning_what_all_methods_share_stays():
    one = suite(
        over(set={"training.l2": 0.5}),
        over(backbone="mf", set={"training.lr": 0.25, "backbone.similarity": "cosine"}),
        over(method="hashing", set={"training.lr": 0.125, "hashes": 2}),
        over(budget="80%", set={"training.lr": 0.0625}),
    )
    plain = untuned(one, "mf")
    for budget in ("50%", "80%"):
        chosen = found(plain, budget=budget)
        assert (chosen.training.lr, chosen.training.l2) == (0.25, 0.5)
        assert (chosen.config.hashes, chosen.backbone.similarity) == (2, "cosine")


@pytest.mark.parametrize("key", ["epochs", "batch", "objective.name"])
def test_a_method_has_no_training_of_its_own_but_its_rates(key):
    with pytest.raises(SpecError, match=rf"qr.training.{key}=3: training.{key}: .* its own lr"):
        override(suite(), [f"qr.training.{key}=3"])
    assert found(override(suite(), ["qr.training.lr=3"]), "qr").training.lr == 3


def test_one_seed_is_planned_alone():
    planned = plan(suite(), tiny_data(), METHODS, "bench run", seeds=(2020,))
    assert {one.run.spec.seed for one in planned if one.run.spec.training} == {2020}
    assert len(planned) == 1 + 1 + 2 * 2  # popularity, the full table, two methods at two budgets


def test_suites_of_the_program_are_of_methods_and_backbones_that_there_are():
    for name, one in list_suites().items():
        for kind in METHODS.values():
            for budget in one.budgets if kind.budgeted else (None,):
                for backbone in one.backbones:
                    assert resolve(one, kind, budget, backbone), name


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.5", 0.5), (".5", 0.5), ("-.5", -0.5), ("1.", 1.0), (".5e-3", 0.0005), ("1e-3", 0.001),
        ("3", 3), ("True", True), ("true", True), ("False", False), ('["a"]', ["a"]),
        ("none", "none"), ("row", "row"), (".", "."), ("true or", "true or"),
    ],
)  # fmt: skip
def test_a_value_is_read_as_toml_or_as_python_writes_it(text, value):
    read = parse_value(text)
    assert read == value
    assert type(read) is type(value)


def test_plain_numbers_are_budgets_of_a_suite_that_counts_values() -> None:
    content = {
        "accounting": "values",
        "budgets": ["5000"],
        "override": [
            {"when": {"method": "hashing", "budget": "5000"}, "set": {"training.lr": 0.1}}
        ],
    }
    assert validated(content, "mine.toml").override
    with pytest.raises(SpecError, match="has no unit"):
        validated(content | {"accounting": "bytes"}, "mine.toml")
