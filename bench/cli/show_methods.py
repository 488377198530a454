"""What `bench list methods` shows: a line or two for each method, or all about some of them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.cli.catalogue import Entry, entry
from bench.cli.grid import Column, Grid
from bench.files import NONE

if TYPE_CHECKING:
    from bench.method import Method, Space

_FREE = "no family named"
_INDENT = 18


def overview(entries: Sequence[Entry]) -> Iterator[str]:
    """Methods by family: name, title, year, what the file holds; then link and name of the paper.

    Args:
        entries: of all methods, in the order of their names.
    """
    families = sorted({one.family for one in entries}, key=lambda name: (not name, name))
    for family in families:
        yield family or _FREE
        own = [one for one in entries if one.family == family]
        for one in sorted(own, key=lambda one: (one.year, one.paper, one.role == "ablation")):
            yield from _two_lines(one)
        yield ""
    yield "Settings, published form and more of a method: bench list methods NAME"


def _two_lines(one: Entry) -> Iterator[str]:
    role = "" if one.role == "method" else f" ({one.role})"
    head = ", ".join(filter(None, (one.title + role, one.year)))
    yield f"  {one.name:{_INDENT - 2}}{head}{': ' if one.stores else ''}{one.stores}"
    if paper := "  ".join(filter(None, (one.url, one.paper_title or one.paper))):
        yield f"{'':{_INDENT}}{paper}"


def details(kind: type[Method]) -> Iterator[str | Grid]:
    """All that a method declares, and its settings."""
    one = entry(kind)
    yield f"{one.name}: {one.title}"
    paper = f"{one.paper_title} ({one.paper})" if one.paper_title else one.paper
    facts = {
        "family": one.family,
        "role": one.role,
        "rows": _first_sentence(kind),
        "stores": one.stores,
        "paper": paper,
        "link": one.url,
        "published form": _published(kind),
    }
    for name, text in facts.items():
        if text:
            yield f"  {name:{_INDENT - 2}}{text}"
    yield ""
    yield _settings(kind)
    yield ""


def _first_sentence(kind: type[Method]) -> str:
    """Of a class's own docstring."""
    paragraph = inspect.cleandoc(vars(kind).get("__doc__") or "").partition("\n\n")[0]
    return " ".join(paragraph.split()).partition(". ")[0].rstrip(".")


def _published(kind: type[Method]) -> str:
    from bench.method.identity import published

    knobs = ", ".join(f"{key} = {_written(value)}" for key, value in published(kind).items())
    return f"{knobs}; other settings at their defaults" if knobs else ""


def _settings(kind: type[Method]) -> Grid:
    columns = ("setting", "default", "may be", "tuned over")
    grid = Grid(
        f"Settings of {kind.name}; change one with --set {kind.name}.SETTING=VALUE."
        " A size of 0 follows from the budget.",
        [Column(name, wraps=name == "may be") for name in columns],
    )
    schema = kind.Config.model_json_schema()["properties"]
    for name, field in kind.Config.model_fields.items():
        if kind.Config.own_precision and name in ("bits", "levels", "scale"):
            continue
        space = kind.space.get(name)
        default = _written(field.get_default(call_default_factory=True))
        grid.add(name, default, _may_be(schema[name]), tried(space) if space else "")
    return grid


def _may_be(schema: Mapping[str, Any]) -> str:
    """Values that a setting takes, from its JSON schema."""
    if "anyOf" in schema:
        return ", ".join(map(_may_be, schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return ", ".join(_written(one) for one in schema.get("enum", [schema.get("const")]))
    names = {"null": NONE, "boolean": "true, false", "integer": "whole number", "string": "text"}
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    limits = [f"{sign} {schema[key]:g}" for key, sign in signs.items() if key in schema]
    kind = str(schema.get("type", "value"))
    return " ".join((names.get(kind, kind), " and ".join(limits))).rstrip()


def tried(space: Space) -> str:
    """What `bench tune` tries, in words."""
    from bench.method.search_space import Choice, LogRange

    if isinstance(space, Choice):
        return ", ".join(map(_written, space.values))
    scale = ", by its logarithm" if isinstance(space, LogRange) else ""
    return f"{space.low:.4g} to {space.high:.4g}{scale}"


def _written(value: Any) -> str:
    """A value as `--set` takes it."""
    if value is None:
        return NONE
    return str(value).lower() if isinstance(value, bool) else str(value)
