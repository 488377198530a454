"""Methods that a backbone or a way of counting has no place for are left out, and it is said."""

from __future__ import annotations

import pytest

from bench.backbones.registry import find_backbones
from bench.check import tiny_data
from bench.errors import SpecError
from bench.method.identity import rounds
from bench.method.registry import find_methods
from bench.runs.plan import keeps_products, left_out, plan
from bench.runs.suite import Suite

METHODS = find_methods()
QUICK = {"objective": {"name": "bpr", "negatives": 1}, "lr": 0.02, "epochs": 2}


def suite(*methods: str, **changes: object) -> Suite:
    common = {"methods": methods, "budgets": ("50%",), "dim": 8, "seeds": 1, "training": QUICK}
    return Suite.model_validate(common | changes)


def planned(asked: Suite) -> set[tuple[str, str]]:
    runs = (one.run.spec for one in plan(asked, tiny_data(), METHODS, "bench run"))
    return {(spec.backbone.name, spec.method.name) for spec in runs}


@pytest.mark.parametrize("backbone", find_backbones())
def test_methods_without_a_place_under_a_backbone_are_named(backbone):
    products = [name for name, kind in METHODS.items() if keeps_products(kind)]
    asked = suite("full", *products, backbones=(backbone,))
    if find_backbones()[backbone].narrow:
        assert not list(left_out(asked, METHODS))
        return
    assert list(left_out(asked, METHODS)) == [
        f"Left out under {backbone}, which does not score by products of rows:"
        f" {', '.join(products)}."
    ]
    assert planned(asked) == {(backbone, "full"), ("none", "popularity")}


def test_methods_of_few_bits_are_named_where_budgets_count_values():
    few = [name for name, kind in METHODS.items() if rounds(kind)]
    asked = suite("dims", *few, backbones=("mf",), accounting="values")
    assert list(left_out(asked, METHODS)) == [
        f"Left out under mf, as few bits a value save no values: {', '.join(few)}."
    ]
    assert not {("mf", name) for name in few} & planned(asked)


def test_a_method_that_is_asked_for_alone_is_not_left_out():
    """The planner says why it has no place."""
    asked = suite("graded", backbones=("mf",), accounting="values")
    assert not list(left_out(asked, METHODS))
    with pytest.raises(SpecError, match="graded: bits = 4 saves bytes, not values"):
        planned(asked)
