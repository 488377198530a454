"""A board that shows methods as published beside their tuned form."""

from __future__ import annotations

from typing import ClassVar

import pytest

from bench.check import tiny_data
from bench.errors import SpecError
from bench.method.identity import published
from bench.method.registry import find_methods
from bench.runs.plan import plan
from bench.runs.suite import Override, Suite, When

METHODS = find_methods()
BOTH = ("tuned", "published")


def planned(names, kinds=METHODS, **changes):
    fields = {"methods": names, "budgets": ("50%",), "dim": 16, "seeds": 1, "forms": BOTH}
    suite = Suite(**{**fields, **changes})
    return [one.run for one in plan(suite, tiny_data(), kinds, "bench run") if one.run.label]


def test_a_suite_asks_for_both_forms_and_the_command_repeats_each():
    runs = planned(("cerp", "dims"))
    assert [(run.spec.method.name, run.spec.method.form) for run in runs] == [
        ("cerp", None),
        ("cerp", "published"),
        ("dims", None),
    ]
    assert runs[1].command.endswith("--form published")
    assert "--form" not in runs[0].command


def test_the_published_form_takes_no_knob_of_the_suite_but_its_training():
    own = {"sparsity": 0.9, "training.lr": 0.5}
    tuned, as_published = planned(
        ("cerp",),
        method={"cerp": {"joint": False}},
        bits=(4,),
        override=(Override(when=When(method=("cerp",)), set=own),),
    )
    assert tuned.spec.method.config["bits"] == 4
    assert tuned.spec.method.config["sparsity"] == 0.9
    config = as_published.spec.method.config
    assert "bits" not in config
    assert config["joint"] is True
    assert config["sparsity"] == 0.5
    assert tuned.spec.training.lr == as_published.spec.training.lr == 0.5


def test_forms_with_the_same_knobs_are_two_runs_and_old_ids_stay():
    [alone] = planned(("pep",), forms=("tuned",), method={"pep": {"gain": 1.0}})
    both = planned(("pep",), method={"pep": {"gain": 1.0}})
    assert both[0].spec.method.config == both[1].spec.method.config
    assert both[0].spec.id == alone.spec.id != both[1].spec.id
    assert "form" not in alone.spec.canonical()["method"]


@pytest.mark.parametrize("name", ["cerp", "hashing", "pep", "qr", "ttrec"])
def test_published_forms_are_float32_at_all_columns(name):
    [run] = planned((name,), forms=("published",), budgets=("60%",))
    config = METHODS[name].Config.model_validate(run.spec.method.config)
    assert config.bits is None
    assert config.width is None
    assert run.spec.method.form == "published"


def test_variants_do_not_inherit_a_published_form():
    assert published(METHODS["cerp"])
    assert not published(METHODS["cerp-noreg"])
    assert not published(METHODS["magnitude"])  # a subclass of PEP


def test_a_published_form_with_an_unknown_knob_is_named():
    class Odd(METHODS["cerp"]):
        name = "odd"
        published: ClassVar = {"sparsty": 0.5}

    with pytest.raises(SpecError, match=r"odd.published: sparsty.*sparsity"):
        planned(("odd",), {**METHODS, "odd": Odd})
