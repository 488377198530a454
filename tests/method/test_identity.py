"""What a method may be called, and by what code it is known."""

from __future__ import annotations

import pytest

from bench.check import check_method, tiny_data
from bench.errors import BenchError, SpecError
from bench.method.registry import find_methods
from bench.method.template import new_method
from bench.runs.plan import plan
from bench.runs.suite import Suite


def plugin(folder, name="mine", title="Mine", extra=""):
    path = folder / "mine.py"
    if not path.exists():
        new_method("mine", folder)
    text = path.read_text().replace('name = "mine"', f"name = {name!r}")
    path.write_text(text.replace('title = "Mine"', f"title = {title!r}") + extra)
    return path


@pytest.mark.parametrize(
    "name", ["popularity", "../../../esc", "a/b", "Big", "", "a" * 41, "a\n", "ä", "-x", 5]
)
def test_a_name_that_cannot_be_one_is_refused_before_anything_runs(tmp_path, name):
    with pytest.raises(SpecError, match="the name"):
        find_methods([plugin(tmp_path, name=name)])


@pytest.mark.parametrize("title", ["", "   ", "x" * 150, "two\nlines", "bell\x07", 7])
def test_a_title_that_cannot_head_a_row_is_refused(tmp_path, title):
    with pytest.raises(SpecError, match=r"the title .* must be one line of 1 to 60 characters"):
        find_methods([plugin(tmp_path, title=title)])


def test_the_check_refuses_what_plugins_may_not_be_called():
    kind = type("Reserved", (find_methods()["dims"],), {"name": "popularity"})
    [found] = [one for one in check_method(kind) if "used by the benchmark" in one.detail]
    assert not found.passed


@pytest.mark.parametrize("name", ["popularity", "../esc", "x" * 41])
def test_new_refuses_them_too(tmp_path, name):
    with pytest.raises(BenchError):
        new_method(name, tmp_path)
    assert not list(tmp_path.iterdir())


def run_id(kind) -> str:
    suite = Suite(budgets=("50%",), dim=8, seeds=1, methods=(kind.name,))
    [one] = [p for p in plan(suite, tiny_data(), {kind.name: kind}, "") if p.run.label]
    return one.run.spec.id


def test_an_edited_plugin_gives_new_run_ids(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    for folder in (first, second):
        folder.mkdir()
    before = find_methods([plugin(first)])["mine"]
    same = find_methods([plugin(second)])["mine"]
    assert run_id(before) == run_id(same)  # the code counts, not where it lies
    edited = tmp_path / "c"
    edited.mkdir()
    after = find_methods([plugin(edited, extra="\n# another line\n")])["mine"]
    assert run_id(after) != run_id(before)


def test_methods_of_the_program_are_known_by_their_revision_alone():
    suite = Suite(budgets=("50%",), dim=8, seeds=1, methods=("dims",))
    planned = plan(suite, tiny_data(), find_methods(), "")
    assert all("source" not in one.run.spec.canonical()["method"] for one in planned)
