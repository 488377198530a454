"""What a command is asked to run."""

import shlex

import pytest
from support.faults import blocks, suite_text

from bench.errors import BenchError, SpecError
from bench.runs.request import Request
from bench.runs.suite import Override, When
from bench.runs.tuned import Found, write_tuned

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


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return str(blocks(tmp_path_factory.mktemp("data") / "blocks"))


def tuned_file(path, *shared, row: bool = True):
    """A file with a row for `hashing`, and settings of all methods."""
    own = [Found(when=When(method=("hashing",)), set={"training.lr": 0.02})] if row else []
    write_tuned(path, {"trials": 3}, [*(Found(set=one) for one in shared), *own])
    return str(path)


def suite_file(path, tuned: str = ""):
    own = f"[[override]]\ntuned = {tuned!r}\n" if tuned else ""
    path.write_text(suite_text(("dims", "hashing", "rq"), 1) + own)
    return str(path)


def typed(command: str) -> Request:
    """What a recorded command asks for."""
    words = shlex.split(command)[2:]
    given = dict(zip(words[::2], words[1::2], strict=True))
    return Request(given["--suite"], given["--dataset"], tuned=given.get("--tuned"))


def repeated(planned) -> set[str]:
    """Ids of the runs that a recorded command leads to."""
    asked = typed(planned.run.command)
    return {one.run.spec.id for one in asked.plan(asked.resolved()).runs}


@pytest.mark.parametrize(
    ("shared", "suites"),
    [
        ({"training.l2": 0.25}, None),  # for all methods
        ({"training.l2": 0.25}, {"training.l2": 0.5}),
        (None, {"training.l2": 0.5}),  # nothing, and it replaces the suite's
    ],
)
def test_a_recorded_command_repeats_the_run_also_where_a_tuned_file_has_no_row_for_it(
    shared, suites, data, tmp_path
):
    tuned = tuned_file(tmp_path / "t.toml", *([shared] if shared else []))
    own = tuned_file(tmp_path / "own.toml", suites) if suites else ""
    asked = Request(suite_file(tmp_path / "s.toml", own), data, tuned=tuned)
    planned = [one for one in asked.plan(asked.resolved()).runs if one.run.spec.training]
    for one in planned:
        assert one.run.spec.id in repeated(one), one.run.command
    commands = {one.run.spec.method.name: one.run.command for one in planned}
    assert f"--tuned {tuned} " in commands["dims"] and f"--tuned {tuned}@" in commands["hashing"]
    trials = {one.run.spec.method.name: one.run.tuning for one in planned}
    assert trials["dims"] is None and trials["hashing"].settings.startswith(f"{tuned}@")


def test_settings_that_were_tuned_for_a_board_are_named_by_its_commands(data, tmp_path):
    """As `bench leaderboard --tune` does, which puts a file for each backbone into the suite."""
    files = []
    for backbone in ("mf", "mlp"):
        path = tmp_path / f"{backbone}.toml"
        write_tuned(path, {}, [Found(when=When(backbone=(backbone,)), set={"training.l2": 0.25})])
        files.append(str(path))
    asked = Request(suite_file(tmp_path / "s.toml"), data)
    chosen = asked.resolved(backbones=("mf", "mlp"))
    more = tuple(Override(tuned=one) for one in files)
    plan = asked.plan(chosen.model_copy(update={"override": (*chosen.override, *more)}))
    named = {(one.run.spec.backbone.name, one.run.spec.method.name): one for one in plan.runs}
    for backbone, file in zip(("mf", "mlp"), files, strict=True):
        assert f"--tuned {file} " in named[backbone, "dims"].run.command


def test_tuned_settings_of_the_suite_itself_need_not_be_named(data, tmp_path):
    own = tuned_file(tmp_path / "own.toml", {"training.l2": 0.5})
    suite = suite_file(tmp_path / "s.toml", own)
    cited = Request(suite, data).plan(Request(suite).resolved(), [0])
    words = [shlex.split(one.run.command) for one in cited.runs if "--tuned" in one.run.command]
    [named] = {one[one.index("--tuned") + 1] for one in words}
    assert named.startswith(f"{own}@")
    for tuned in (None, own, named):
        asked = Request(suite, data, tuned=tuned)
        planned = [one for one in asked.plan(asked.resolved()).runs if one.run.spec.training]
        commands = {one.run.spec.method.name: one.run.command for one in planned}
        assert "--tuned" not in commands["dims"] and f"--tuned {own}@" in commands["hashing"]
    asked = Request(suite, data, settings=(f"tuned={own}",))
    for one in asked.plan(asked.resolved()).runs:
        assert f"--set tuned={own} " in one.run.command


def test_budgets_that_are_the_same_cap_are_run_once(data, tmp_path):
    asked = Request(suite_file(tmp_path / "s.toml"), data)
    chosen = asked.resolved(budgets=("1k", "4KB", "1K", "0.001M", "2k"), methods=("dims",))
    plan = asked.plan(chosen)
    assert [one.run.label for one in plan.runs if one.run.label] == ["1k", "2k"]
    assert len({one.run.spec.id for one in plan.runs}) == len(plan.runs)


def test_a_command_says_what_its_budgets_count(data, tmp_path):
    suite = suite_file(tmp_path / "s.toml")
    asked = Request(suite, data, accounting="values")
    chosen = asked.resolved(budgets=("50%",), methods=("dims",))
    [run] = [one.run for one in asked.plan(chosen).runs if one.run.label]
    assert run.spec.budget.accounting == "values"
    assert f" --dataset {data} --accounting values " in run.command
    assert "--accounting" not in Request(suite, data).command(chosen)


@pytest.mark.parametrize("blank", ["", " ", "\t"])
@pytest.mark.parametrize("what", ["methods", "backbones", "budgets"])
def test_an_empty_name_is_refused(what, blank):
    with pytest.raises(BenchError, match=f"one of the {what} is empty; is a variable not set"):
        Request(suite="ml-100k").resolved(**{what: ("dims", blank)})


@pytest.mark.parametrize(("workers", "parallel"), [(1, False), (2, True)])
def test_times_are_of_parallel_runs_where_there_is_more_than_one_worker(
    workers, parallel, tmp_path
):
    assert Request().job(tmp_path, "cpu", 1, workers).parallel is parallel
