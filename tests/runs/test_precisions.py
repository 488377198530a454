"""A board whose methods run at several precisions."""

from __future__ import annotations

import pytest

from bench.check import tiny_data
from bench.errors import SpecError
from bench.method.registry import find_methods
from bench.runs.plan import plan
from bench.runs.settings import override
from bench.runs.suite import Suite

METHODS = find_methods()


def planned(**changes):
    suite = Suite(**{"budgets": ("50%",), "dim": 16, "seeds": 1, "bits": (32, 4), **changes})
    return [one for one in plan(suite, tiny_data(), METHODS, "bench run") if one.run.label]


def test_every_method_runs_at_every_precision():
    found = planned(methods=("cerp", "dims"))
    assert [one.run.spec.method.config.get("bits") for one in found] == [None, 4, None, 4]
    assert [one.run.command.rpartition(" ")[2] for one in found] == ["32", "4", "32", "4"]
    plain, rounded = found[2:]
    assert rounded.values > 3 * plain.values  # in the same bytes
    assert rounded.bytes <= rounded.run.spec.budget.cap


def test_thirty_two_bits_are_the_run_that_it_is_without_the_list():
    [plain, _], [alone] = planned(methods=("dims",)), planned(methods=("dims",), bits=())
    assert plain.run.spec.id == alone.run.spec.id


@pytest.mark.parametrize("name", ["graded", "dims-quantised"])
def test_methods_with_precision_of_their_own_run_once(name):
    assert len(planned(methods=(name,))) == 1


def test_a_precision_that_does_not_exist_is_refused():
    with pytest.raises(SpecError, match="bits"):
        override(Suite(), ["bits=[5]"])


def test_a_budget_of_values_leaves_out_methods_that_round_by_themselves():
    names = {one.run.spec.method.name for one in planned(accounting="values", bits=())}
    assert "dims" in names
    assert not names & {"graded", "dims-quantised"}


def test_a_setting_that_a_method_refuses_is_named_as_the_user_gave_it():
    with pytest.raises(SpecError, match=r"^dims: bits = 4 saves bytes, not values"):
        planned(methods=("dims",), accounting="values", bits=(4,))
