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
from bench.cli.grid import Grid
from bench.cli.show_methods import details
from bench.cli.source import NotPlain
from bench.errors import BenchError, SpecError
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
    assert set(registry.find_methods()) == {one.name for one in stated}
    assert stated == catalogue.imported()


@pytest.mark.parametrize(
    "text",
    [
        MINE,
        MINE + "    class Config(Method.Config):\n        a: int = Field(2 * 3, ge=-4)\n",
        MINE + "    paper: ClassVar[str] = 'x'\n    family = 'y'\n    year = 2024\n",
        # The order of bases decides, and a class is found through the file that imports it.
        """
        from bench.methods.cerp import CERP
        class Other(Pruned):
            '''No method: it has no name.'''
        class Mine(Other, CERP):
            name = "mine"
            class Config(CERP.Config):
                gamma: float = 2.0
        class Next(Mine):
            name = "next"
            title = "Next"
        """,
    ],
)
def test_a_plugin_is_read_without_an_import(tmp_path, text):
    path = plugin(tmp_path, text)
    assert catalogue.stated([path]) == catalogue.imported([path])


@pytest.mark.parametrize(
    "text",
    [
        MINE + "    year = 2000 + 24\n",
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
    assert catalogue.list_methods([path]) == catalogue.imported([path])


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
    assert "fresh" in {one.name for one in catalogue.stated([new_method("fresh", tmp_path)])}


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
    assert "mine" in {one.name for one in catalogue.stated()}
    assert "listed_package_" not in sys.modules


def test_backbones_are_listed_as_the_imported_classes_say():
    found = {name: one.title for name, one in find_backbones().items()}
    assert list(catalogue.list_backbones().items()) == list(found.items())


def test_methods_are_listed_by_family_with_year_contents_link_and_paper():
    lines = said("list", "methods").splitlines()
    assert lines[0] == "baseline"
    at = lines.index(f"  {'cerp':16}CERP, 2023: kept values of two tables, their positions")
    assert lines[at + 1].split(maxsplit=1) == [
        "https://arxiv.org/abs/2309.03518",
        "Learning Compact Compositional Embeddings via Regularized Pruning for Recommendation",
    ]
    family = [line for line in lines[:at] if line and not line.startswith(" ")][-1]
    assert family == "pruning"


def test_a_plugin_that_declares_little_is_listed_with_blanks(tmp_path):
    lines = said("list", "methods", "--plugin", str(plugin(tmp_path, MINE))).splitlines()
    assert lines[lines.index("no family named") + 1] == f"  {'mine':16}Mine"


def test_the_facts_of_a_paper_are_not_those_of_a_base_with_another_paper(tmp_path):
    text = MINE.replace("(Method)", "(CERP)") + "    paper = 'Others, 2030'\n"
    path = plugin(tmp_path, "from bench.methods.cerp import CERP\n" + text)
    (mine,) = (one for one in catalogue.list_methods([path]) if one.name == "mine")
    assert (mine.family, mine.paper, mine.paper_title) == ("pruning", "Others, 2030", "")
    assert (mine.year, mine.url) == ("", "")


def test_a_method_is_shown_with_its_settings_ranges_and_published_form():
    text = said("list", "methods", "cerp", "graded")
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "rows e_i = P[i mod b] + Q[i // ceil(N / b)], both pruned together" in lines
    assert any(line.startswith("published form joint = true, sparsity = 0.5") for line in lines)
    assert "sparsity 0.5 number 0.05 to 0.95" in lines
    assert "gamma 1.0 number 0.0001 to 10, by its logarithm" in lines
    assert "width none whole number >= 1, none" in lines
    assert "head_bits 4 1, 2, 3, 4, 6, 8 3, 4, 6" in lines
    own = text[text.index("Settings of graded") :]
    assert "tail_bits" in own
    assert "levels" not in own  # graded has knobs of its own for its precision


@pytest.mark.parametrize("name", registry.find_methods())
def test_every_method_can_be_shown(name):
    kind = registry.find_methods()[name]
    parts = list(details(kind))
    grids = [one for one in parts if isinstance(one, Grid)]
    assert [row[0] for row in grids[0].rows][-1] in kind.Config.model_fields
    assert parts[0] == f"{name}: {kind.title}"


def test_only_methods_are_listed_by_name():
    with pytest.raises(BenchError, match="'gowalla': only methods are listed by name"):
        said("list", "datasets", "gowalla")


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
