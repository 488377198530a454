"""What a command is asked to run."""

import pytest

from bench.errors import SpecError
from bench.runs.request import Request

PLUGIN = """
from bench.method import Method

class Mine(Method):
    name = title = "mine"
"""


@pytest.fixture
def plugin(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN)
    return path


def test_methods_of_plugins_join_those_of_the_suite(plugin):
    asked = Request(suite="ml-100k", plugins=(plugin,))
    usual = Request(suite="ml-100k").resolved().methods
    assert asked.resolved().methods == (*usual, "mine")
    assert asked.resolved(methods=(), seeds=1).methods == (*usual, "mine")


def test_methods_that_are_asked_for_are_the_only_ones(plugin):
    asked = Request(suite="ml-100k", plugins=(plugin,))
    assert asked.resolved(methods=("dims",)).methods == ("dims",)
    asked = Request(suite="ml-100k", settings=('methods=["dims"]',), plugins=(plugin,))
    assert asked.resolved().methods == ("dims",)


def test_a_suite_of_all_methods_stays_one(plugin):
    asked = Request(suite="ml-100k", settings=("methods=[]",), plugins=(plugin,))
    assert asked.resolved().methods == ()


def test_a_plugin_that_is_missing_is_named(tmp_path):
    with pytest.raises(SpecError, match=r"gone\.py: no such plugin file"):
        Request(plugins=(tmp_path / "gone.py",)).resolved()


def test_a_budget_that_is_written_in_two_ways_runs_once():
    asked = Request(suite="ml-100k", settings=('budgets=["5 %", "5.0%"]',))
    assert asked.resolved().budgets == ("5%",)
    assert asked.resolved(budgets=("20%", "20.0%", "1k")).budgets == ("20%", "1k")
