"""Every method passes `bench check`, and every check of it can fail."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from support import conformance

from bench.check import CHECKS, check_method
from bench.method import Method
from bench.method.registry import find_methods, own_methods
from bench.method.template import new_method


def failures(kind) -> dict[str, str]:
    return {check.name: check.detail for check in check_method(kind) if not check.passed}


@pytest.mark.parametrize("name", find_methods())
def test_every_method_conforms(name):
    checks = check_method(find_methods()[name])
    assert [check.name for check in checks] == list(CHECKS)
    assert {check.name: check.detail for check in checks if not check.passed} == {}


@pytest.mark.parametrize("name", own_methods())
def test_every_built_in_method_declares_what_listings_show(name):
    kind = own_methods()[name]
    assert kind.family
    assert kind.stores
    if kind.paper in ("", "this project"):
        return
    (names_paper, *_) = (one for one in kind.__mro__ if "paper" in vars(one))
    facts = [vars(names_paper).get(key) for key in ("paper_title", "year", "url")]
    assert all(facts), f"{names_paper.__name__} names a paper; add paper_title, year and url"
    title, year, url = facts
    assert str(year) in kind.paper
    assert re.fullmatch(
        r"https://(arxiv\.org/abs/\d{4}\.\d{4,5}|doi\.org/10\.\S+|openreview\.net/\S+)", url
    )
    assert not title.endswith(".")


@pytest.mark.parametrize("kind", conformance.SOUND, ids=lambda kind: kind.name)
def test_sound_methods_of_all_kinds_pass(kind):
    assert failures(kind) == {}


@pytest.mark.parametrize("kind", conformance.broken(), ids=lambda kind: kind.__name__)
def test_broken_method_is_found_out(kind):
    found = failures(kind)
    assert kind.fails in found, f"only {found}"
    assert not found[kind.fails].startswith("raised AssertionError")


def test_every_check_is_failed_by_some_broken_method():
    # `imports` is about a file, and has a test of its own.
    assert {kind.fails for kind in conformance.broken()} == set(CHECKS) - {"imports"}


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("import numpy as np", "numpy"),
        ("from bench.engine.loop import Fit", "bench.engine.loop"),
        ("from . import other", "in full"),
    ],
)
def test_imports_beyond_the_interface_are_found_out(tmp_path, monkeypatch, line, named):
    path = new_method("importer", tmp_path)
    text = path.read_text().replace("import torch\n", "import torch\n\n\ndef late():\n    " + line)
    path.write_text(text.replace(line, line + "\n\n", 1))
    kind = find_methods([path])["importer"]
    found = failures(kind)
    assert set(found) == {"imports"}
    assert named in found["imports"]
    assert path.name in found["imports"]


def test_template_conforms_as_it_is(tmp_path):
    path = new_method("my_rows", tmp_path)
    assert failures(find_methods([path])["my_rows"]) == {}


def test_check_that_raises_says_where_and_does_not_stop_the_others():
    class Crashes(conformance.Sound):
        def forward(self, ids):
            raise KeyError("nowhere")

    checks = {check.name: check for check in check_method(Crashes)}
    assert list(checks) == list(CHECKS)
    assert not checks["forward"].passed
    assert "KeyError" in checks["forward"].detail
    assert "test_conformance.py:" in checks["forward"].detail
    assert checks["plan"].passed
    assert checks["round trip"].detail == "raised the error of 'forward'"


def test_an_error_within_a_library_is_placed_where_the_method_calls_it():
    class Shapes(conformance.Sound):
        def forward(self, ids):
            return torch.ones(2, 3).reshape(7)

    class Knobs(conformance.Sound):
        @classmethod
        def plan(cls, table, config):
            return cls.solve("rowz", table, config, low=1, high=9)

    for kind, said in ((Shapes, "shape '[7]' is invalid"), (Knobs, "'rowz', which is no knob")):
        details = [one.detail for one in check_method(kind) if not one.passed]
        first = next(one for one in details if one.startswith("raised "))
        assert "test_conformance.py:" in first and said in first


def test_a_class_that_was_typed_in_gets_its_findings() -> None:
    """Such a class has no source file, as in a console."""
    code = "class Typed(Method):\n    name = 'typed'\n    title = 'Typed'\n"
    known: dict[str, Any] = {"Method": Method, "__name__": "typed_in"}
    exec(code, known)
    failed = [one for one in check_method(known["Typed"]) if not one.passed]
    assert failed and all(one.detail for one in failed)
