"""Records say what code made them, and give way to those of code that can be found."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import ClassVar

import pytest
from support.make_records import TOYS, make

from bench.records.schema import Record
from bench.runs import environment
from bench.runs.environment import code_state


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with a package in it that stands for the program's."""
    home = tmp_path / "bench"
    home.mkdir()
    (home / "__init__.py").write_text("")
    monkeypatch.setattr(environment.bench, "__file__", str(home / "__init__.py"))
    git(tmp_path, "init", "-q")
    code_state.cache_clear()
    yield home
    code_state.cache_clear()


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@b.invalid")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def test_a_commit_and_what_differs_from_it(checkout):
    git(checkout, "add", ".")
    git(checkout, "commit", "-qm", "one")
    clean = code_state()
    assert len(clean) == 12
    (checkout / "__init__.py").write_text("1")
    code_state.cache_clear()
    assert code_state() == f"{clean}-dirty"


@pytest.mark.parametrize(
    ("place", "differs"),
    [
        ("methods/mine.py", True),
        ("bench/deep/er/mine.py", True),
        ("compact_lookup/mine.py", True),
        ("tuned/mine.toml", False),
        ("methods/ignored.pyc", False),
        ("mine.py", False),
    ],
)
def test_a_new_file_is_a_change_where_there_is_code(checkout, place, differs):
    home = checkout.parent
    (home / ".gitignore").write_text("*.pyc\n")
    git(home, "add", ".")
    git(home, "commit", "-qm", "one")
    clean = code_state()
    (home / place).parent.mkdir(parents=True, exist_ok=True)
    (home / place).write_text("")
    code_state.cache_clear()
    assert code_state() == (f"{clean}-dirty" if differs else clean)


def test_code_that_git_says_nothing_of_is_unknown(checkout, monkeypatch):
    git(checkout, "add", ".")
    git(checkout, "commit", "-qm", "one")
    asked = environment._git
    monkeypatch.setattr(
        environment,
        "_git",
        lambda folder, *words: None if "--others" in words else asked(folder, *words),
    )
    assert code_state() == "unknown"


def test_a_package_in_a_checkout_of_something_else_is_not_of_its_commit(checkout):
    (checkout.parent / "mine.py").write_text("")
    git(checkout, "add", "../mine.py")
    git(checkout, "commit", "-qm", "one")
    assert code_state() == "unknown"


def test_an_installed_package_is_known_by_its_files(checkout, monkeypatch):
    class Installed:
        version = "1.2"
        files: ClassVar = [checkout / "__init__.py"]

    monkeypatch.setattr(environment, "distribution", lambda name: Installed())
    monkeypatch.setattr(environment, "_path", lambda file: file)
    assert code_state() == "package-1.2-e3b0c44298fc"  # sha256 of nothing


def test_whether_the_count_of_memory_could_be_started_anew_is_said(monkeypatch):
    assert environment.reset_peak()
    assert environment.peak_memory() > 0

    def refuse(path, text):
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "write_text", refuse)
    assert not environment.reset_peak()


@pytest.mark.parametrize(("device", "kind"), [("cpu", "cpu"), ("cuda", "cuda"), ("cuda:1", "cuda")])
def test_a_training_is_not_continued_on_another_kind_of_device(device, kind):
    assert environment.origin(device)["device"] == kind


@pytest.mark.parametrize(
    ("then", "now", "gives_way"),
    [
        ("0123456789ab-dirty", "0123456789ab", True),
        ("unknown", "0123456789ab", True),
        ("0123456789ab-dirty", "0123456789ab-dirty", False),
        ("ba9876543210", "0123456789ab", False),
    ],
)
def test_runs_of_code_that_nobody_finds_are_done_again(monkeypatch, then, now, gives_way):
    content, _ = make(TOYS[0], "mf", "dims", 0.1, 0)
    content["spec"]["protocol"] = 2
    content["env"]["commit"] = then
    record = Record.model_validate({**content, "id": "0" * 12})
    monkeypatch.setattr(environment, "code_state", lambda: now)
    assert environment.replaceable(record) is gives_way
