"""Checks of what a method declares: name and phases, knobs, imports."""

from __future__ import annotations

import ast
import inspect
import sys
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from bench.check.subject import Finding, Subject, require
from bench.method import Method, Role
from bench.method.identity import published
from bench.method.table import Need
from bench.names import wrong_name, wrong_title

ALLOWED_IMPORTS = ("bench.method", "bench.methods", "torch")  # methods: for variants of one
_READER = "compact_lookup"  # of a plugin; that of a method that comes with the program is there


def identity(subject: Subject) -> str:
    """Check name, title, revision, role, phases and needs."""
    kind = subject.kind
    for attribute in ("name", "title"):
        value = getattr(kind, attribute, None)
        require(
            isinstance(value, str) and bool(value),
            f"the class has no `{attribute}`; set it to a short text",
        )
    for wrong in (wrong_name(kind.name), wrong_title(kind.title)):
        require(not wrong, wrong)
    require(
        isinstance(kind.revision, int) and kind.revision >= 1,
        f"revision is {kind.revision!r}; use a whole number from 1",
    )
    require(
        kind.role in get_args(Role),
        f"role is {kind.role!r}; use one of {', '.join(get_args(Role))}",
    )
    unknown = set(kind.needs) - set(get_args(Need))
    require(
        not unknown,
        f"needs names {', '.join(sorted(unknown))}; there are {' and '.join(get_args(Need))}",
    )
    names = [phase.name for phase in kind.phases]
    require(
        isinstance(kind.phases, tuple) and len(set(names)) == len(names),
        f"phases must be a tuple of phases with different names, not {names}",
    )
    require(
        not names or not kind.phases[-1].until_budget or kind.role == "ablation",
        "the last phase is a search: no epoch of a search is selected by validation, so add a"
        ' phase such as Phase("retrain")',
    )
    return f"{kind.name}, revision {kind.revision}, phases {', '.join(names) or 'none'}"


def config(subject: Subject) -> str:
    """Check that the knobs are strict, frozen and can be read back from a record."""
    kind = subject.kind
    require(
        issubclass(kind.Config, Method.Config),
        "Config must be a subclass of Method.Config, which rejects unknown keys",
    )
    try:
        default = kind.Config()
    except ValidationError as error:
        raise Finding(
            f"Config() must work, give every knob a default: {error.error_count()} errors"
        ) from error
    require(
        not _accepts(kind.Config, {"no_such_knob_": 1}),
        "Config accepts an unknown key; do not change `extra` in model_config",
    )
    for knob in kind.Config.model_fields:
        wrong = 1 if isinstance(getattr(default, knob), str) else "mistyped"
        require(
            not _accepts(kind.Config, {knob: wrong}),
            f"Config accepts {knob} = {wrong!r}; annotate the knob with its exact type and leave"
            " `strict` in model_config",
        )
        try:
            setattr(default, knob, getattr(default, knob))
        except ValidationError:
            continue
        raise Finding(f"Config.{knob} can be assigned to; leave `frozen` in model_config")
    _, config = subject.planned()
    stored = config.record()
    try:
        again = kind.Config.model_validate(stored)
    except ValidationError as error:
        raise Finding(
            f"the planned Config {stored} cannot be read back from a record: use int, float, bool"
            f" and str knobs ({error.error_count()} errors)"
        ) from error
    require(again == config, f"the planned Config {stored} reads back as {again}")
    try:
        kind.Config.model_validate(dict(published(kind)))
    except ValidationError as error:
        raise Finding(
            f"`published` is not a Config: {error.errors()[0]['loc'][0]}:"
            f" {error.errors()[0]['msg']}; name knobs of Config, with values that they take"
        ) from error
    return f"{len(stored)} knobs; unknown and mistyped keys are refused"


def _accepts(config: type[BaseModel], values: dict[str, Any]) -> bool:
    try:
        config.model_validate(values)
    except ValidationError:
        return False
    return True


def imports(subject: Subject) -> str:
    """Check that the file imports what a method may import."""
    path = Path(inspect.getfile(subject.kind))
    found, allowed = set(), (*ALLOWED_IMPORTS, _READER)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            require(not node.level, f"{path.name}:{node.lineno}: write imports in full")
            names = [node.module or ""]
        else:
            continue
        for name in names:
            require(
                name.partition(".")[0] in sys.stdlib_module_names
                or any(name == ok or name.startswith(f"{ok}.") for ok in allowed),
                f"{path.name}:{node.lineno} imports {name}; a method may use"
                f" {', '.join(ALLOWED_IMPORTS)} and the standard library, and a `reader` {_READER}",
            )
            found.add(name)
    return f"{path.name} imports {', '.join(sorted(found))}"
