"""Methods are found without registration, and plugins by file."""

from __future__ import annotations

import importlib.metadata
import textwrap
from pathlib import Path

import pytest

from bench import paths
from bench.backbones.registry import find_backbones, get_backbone
from bench.errors import SpecError
from bench.method import Method, registry
from bench.method.registry import find_methods, get_method
from bench.method.template import new_method

PLUGIN = """
    from bench.method import Method, Rows

    class Mine(Method):
        name = "{name}"
        title = "Mine"
"""


def plugin(folder: Path, name: str = "mine", text: str = PLUGIN) -> Path:
    path = folder / "plugin.py"
    path.write_text(textwrap.dedent(text).format(name=name))
    return path


def test_every_file_of_the_folder_is_found_in_order_of_names():
    methods = find_methods()
    assert list(methods) == sorted(methods)
    files = {path.stem for path in paths.folder("methods").glob("[!_]*.py")}
    assert {kind.__module__.rpartition(".")[2] for kind in methods.values()} == files
    assert all(issubclass(kind, Method) and kind.name == name for name, kind in methods.items())


def test_classes_keep_their_identity():
    assert find_methods() == find_methods()


def test_template_is_no_method():
    assert "NAME" not in find_methods()


def test_plugin_is_found_beside_the_others_and_only_when_asked_for(tmp_path):
    path = plugin(tmp_path)
    methods = find_methods([path])
    assert set(methods) == {*find_methods(), "mine"}
    assert find_methods([path])["mine"] is methods["mine"]
    assert get_method("mine", [path]) is methods["mine"]


def test_base_classes_that_a_plugin_imports_are_not_its_methods(tmp_path):
    path = plugin(tmp_path, text=PLUGIN + "\n    class Base(Method):\n        pass\n")
    assert set(find_methods([path])) - set(find_methods()) == {"mine"}


def test_one_file_may_hold_several_methods(tmp_path):
    other = '\n    class Other(Mine):\n        name = "other"\n'
    path = plugin(tmp_path, text=PLUGIN + other)
    assert set(find_methods([path])) - set(find_methods()) == {"mine", "other"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "no subclass of bench.method.Method"),
        ("import no_such_module_", "ModuleNotFoundError"),
        ("def broken(:", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_plugin_that_is_none_is_named_with_the_reason(tmp_path, text, message):
    path = plugin(tmp_path, text=text)
    for _ in range(2):  # the second time, too: nothing half loaded stays
        with pytest.raises(SpecError, match=message) as caught:
            find_methods([path])
        assert str(path) in str(caught.value)


def test_missing_plugin_file(tmp_path):
    with pytest.raises(SpecError, match="no such plugin file"):
        find_methods([tmp_path / "none.py"])


def test_name_in_use_is_refused(tmp_path):
    taken = next(iter(find_methods()))
    with pytest.raises(SpecError, match=f"name '{taken}' is taken by bench.methods"):
        find_methods([plugin(tmp_path, taken)])


def test_unknown_method_lists_the_known():
    with pytest.raises(SpecError, match="no method 'nothing'") as caught:
        get_method("nothing")
    assert all(name in str(caught.value) for name in find_methods())


def entry(monkeypatch, value: str) -> None:
    point = importlib.metadata.EntryPoint("extra", value, registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])


def test_entry_points_are_found(tmp_path, monkeypatch):
    (tmp_path / "extra_methods_pkg.py").write_text(textwrap.dedent(PLUGIN).format(name="extra"))
    monkeypatch.syspath_prepend(str(tmp_path))
    entry(monkeypatch, "extra_methods_pkg")
    assert find_methods()["extra"].__module__ == "extra_methods_pkg"


def test_entry_point_that_fails_is_named(monkeypatch):
    entry(monkeypatch, "no_such_package_")
    with pytest.raises(SpecError, match="entry point extra = no_such_package_"):
        find_methods()


def test_backbones_are_found_and_listed():
    assert "mf" in find_backbones()
    assert get_backbone("mf").name == "mf"
    with pytest.raises(SpecError, match=r"no backbone 'nothing'; there are .*mf"):
        get_backbone("nothing")


def test_new_method_is_refused_where_it_would_overwrite_or_confuse(tmp_path):
    new_method("fresh_one", tmp_path)
    for name, reason in [
        ("fresh_one", "exists"),
        ("Not-Ok", "small letters"),
        (next(iter(find_methods())), "already"),
    ]:
        with pytest.raises(Exception, match=reason):
            new_method(name, tmp_path)
