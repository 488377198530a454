"""Listings are read from source files, and say what an import would say."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.backbones.registry import find_backbones
from bench.cli import app, catalogue
from bench.cli.source import NotPlain
from bench.errors import SpecError
from bench.method import registry
from bench.method.template import new_method

START = "from __future__ import annotations\nfrom typing import Annotated, ClassVar\n"
START += "from bench.method import Field, Method, Narrow, Pruned, Rows\n"
MINE = """
class Mine(Method):
    name = "mine"
    title = "Mine"
"""
LISTINGS = ("methods", "suites", "datasets", "backbones", "tuned")


def plugin(folder: Path, text: str, name: str = "plugin.py") -> Path:
    path = folder / name
    path.write_text(START + textwrap.dedent(text))
    return path


def said(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_source_files_say_what_the_imported_classes_say():
    stated = catalogue.stated()
    assert set(registry.find_methods()) == {one.name for one in stated.methods}
    assert repr(stated) == repr(catalogue.imported())
    assert {one.own_precision for one in stated.methods} == {True, False}


@pytest.mark.parametrize(
    "text",
    [
        MINE,
        MINE + "    class Config(Method.Config):\n        a: int = Field(default=-3, ge=-4)\n",
        MINE
        + "    paper: ClassVar[str] = 'x'\n    class Config(Narrow):\n        aware: float = 0\n",
        # The order of bases decides, and a class is found through the file that imports it.
        """
        from bench.methods.cerp import CERP
        class Other(Pruned):
            '''No method: it has no name.'''
        class Mine(Other, CERP):
            name = "mine"
            class Config(CERP.Config):
                gamma: float = 2.0
                new: str | None = None
                size: ClassVar[int] = 3
        class Next(Mine):
            name = "next"
            title = "Next"
        """,
    ],
)
def test_a_plugin_is_read_without_an_import(tmp_path, text):
    path = plugin(tmp_path, text)
    assert repr(catalogue.stated([path])) == repr(catalogue.imported([path]))


@pytest.mark.parametrize(
    "text",
    [
        MINE + "    class Config(Method.Config):\n        a: int = 2 * 3\n",
        MINE + "    class Config(Method.Config):\n        a: Annotated[int, Field(7)]\n",
        MINE + "    class Config(Method.Config):\n        a: list = Field(default_factory=list)\n",
        MINE.replace('"Mine"', '"M" + "ine"'),
        MINE.replace('"Mine"', '"Mine" if True else ""'),
        MINE + "    if True:\n        role = 'control'\n",
        MINE + "Mine.role = 'control'\n",
        MINE + "setattr(Mine, 'title', 'T')\n",
        MINE + "if True:\n    class Two(Mine):\n        name = 'two'\n",
        MINE + "Two = type('Two', (Mine,), {'name': 'two', '__module__': __name__})\n",
        MINE.replace("(Method)", "(bench.method.Method)").replace(
            "\n", "\nimport bench.method\n", 1
        ),
        "from bench.methods.cerp import CERP as Mine\n" + MINE.replace("(Method)", "(Mine)"),
        MINE + MINE.replace('"mine"', '"other"').replace("(Method)", "(Mine)"),
        "def same(kind):\n    return kind\n" + MINE.replace("class", "@same\nclass"),
    ],
)
def test_what_source_files_do_not_say_plainly_is_imported(tmp_path, text):
    path = plugin(tmp_path, text)
    with pytest.raises(NotPlain):
        catalogue.stated([path])
    assert repr(catalogue.list_methods([path])) == repr(catalogue.imported([path]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "no subclass of bench.method.Method"),
        ("def broken(:", "SyntaxError"),
        (MINE.replace("(Method)", "(Mine)"), "NameError"),
        (MINE.replace('"mine"', '"Mi/ne"'), "must begin with a small letter"),
        (MINE.replace('title = "Mine"', "pass"), "the title None must be one line"),
        (MINE.replace('"mine"', '"cerp"'), "the name 'cerp' is taken by bench.methods.cerp"),
    ],
)
def test_plugins_that_are_none_are_refused(tmp_path, text, message):
    with pytest.raises(SpecError, match=message):
        catalogue.list_methods([plugin(tmp_path, text)])
    with pytest.raises(SpecError, match="no such plugin file"):
        catalogue.list_methods([tmp_path / "none.py"])


def test_the_template_is_read_without_an_import(tmp_path):
    assert "fresh" in {m.name for m in catalogue.stated([new_method("fresh", tmp_path)]).methods}


def test_methods_of_installed_packages_are_read_without_an_import(tmp_path, monkeypatch):
    folder = tmp_path / "listed_package_"
    folder.mkdir()
    (folder / "__init__.py").touch()
    plugin(folder, MINE, "own.py")
    monkeypatch.syspath_prepend(str(tmp_path))
    point = importlib.metadata.EntryPoint("mine", "listed_package_.own", registry.GROUP)

    def points(group: str) -> list[importlib.metadata.EntryPoint]:
        assert group == registry.GROUP
        return [point]

    monkeypatch.setattr(catalogue, "entry_points", points)
    assert "mine" in {one.name for one in catalogue.stated().methods}
    assert "listed_package_" not in sys.modules


def test_backbones_are_listed_as_the_imported_classes_say():
    found = {name: one.title for name, one in find_backbones().items()}
    assert list(catalogue.list_backbones().items()) == list(found.items())


def test_methods_are_listed_with_their_settings_and_common_ones_once():
    lines = said("list", "methods").splitlines()
    assert "    cerp.gamma = 1.0" in lines
    assert "    cerp-noreg.gamma = 0.0" in lines
    assert "    dims-quantised.bits = 4" in lines
    assert [line for line in lines if ".bits = None" in line] == ["    METHOD.bits = None"]


def test_suites_are_listed_with_what_they_run():
    lines = said("list", "suites").splitlines()
    assert "    ml-100k; 5%, 10%, 20%; 3 seeds; tuned = ml-100k-mf" in lines


def test_listings_and_completion_do_not_import_pytorch():
    code = f"""
import os, sys
from typer.testing import CliRunner
from bench.cli import app
for what in {LISTINGS}:
    assert CliRunner().invoke(app, ["list", what], catch_exceptions=False).output, what
    assert "torch" not in sys.modules, what
words = {{"_BENCH_COMPLETE": "complete_bash", "COMP_WORDS": "bench run --device cuda --",
         "COMP_CWORD": "4"}}
found = CliRunner().invoke(app, env=words, prog_name="bench")
assert "--suite" in found.output, found
assert "torch" not in sys.modules, "completion"
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
