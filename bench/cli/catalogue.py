"""What listings say of methods and backbones: read from their source files where these suffice.

Files that state it in another way than by constants are imported, which takes seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from bench import paths
from bench.cli.source import Module, NotPlain, Sources, Unknown, fields, plain
from bench.names import wrong_name, wrong_title

GROUP = "bench.methods"


@dataclass(frozen=True)
class Entry:
    """A method.

    Attributes:
        name, title, role, paper: as its class says.
        knobs: of its `Config`, with their defaults.
        own_precision: `bits`, `levels` and `scale` are not for it.
    """

    name: str
    title: str
    role: str
    paper: str
    knobs: dict[str, Any]
    own_precision: bool


@dataclass(frozen=True)
class Catalogue:
    """Methods by name.

    Attributes:
        common: knobs of every method, with their defaults.
        methods: in the order of their names.
    """

    common: dict[str, Any]
    methods: tuple[Entry, ...]


def list_methods(plugins: Sequence[Path] = ()) -> Catalogue:
    """The methods that `find_methods` finds, as a listing shows them.

    Raises:
        SpecError: a plugin cannot be loaded, holds no method, or takes a name that is in use.
    """
    try:
        return stated(plugins)
    except (NotPlain, RecursionError):  # a class can be its own base by mistake
        return imported(plugins)


def imported(plugins: Sequence[Path] = ()) -> Catalogue:
    """What the imported classes say."""
    from bench.method import Method
    from bench.method.registry import find_methods

    def knobs(kind: type[Method]) -> dict[str, Any]:
        return {key: one.default for key, one in kind.Config.model_fields.items()}

    def entry(kind: type[Method]) -> Entry:
        own = kind.Config.own_precision
        return Entry(kind.name, kind.title, kind.role, kind.paper, knobs(kind), own)

    return Catalogue(knobs(Method), tuple(map(entry, find_methods(plugins).values())))


def stated(plugins: Sequence[Path] = ()) -> Catalogue:
    """What the source files say.

    Raises:
        NotPlain: they do not say all, or something is wrong with them that the import will tell.
    """
    sources = Sources()
    method: Any = sources.module("bench.method").find("Method")
    found: dict[str, Entry] = {}
    for module in _modules(sources, plugins):
        module.check_plain()
        kinds: list[Any] = [one for one in module.named() if issubclass(one, method)]
        if not kinds:
            raise NotPlain(f"{module.name}: no method")
        for kind in kinds:
            entry = _entry(kind)
            if entry.name in found:
                raise NotPlain(f"{entry.name} twice")
            found[entry.name] = entry
    return Catalogue(fields(method.Config), tuple(one for _, one in sorted(found.items())))


def _entry(kind: Any) -> Entry:
    name, title, role, paper = (
        plain(getattr(kind, key, Unknown)) for key in ("name", "title", "role", "paper")
    )
    if wrong := wrong_name(name) or wrong_title(title):
        raise NotPlain(wrong)
    return Entry(name, title, role, paper, fields(kind.Config), plain(kind.Config.own_precision))


def _modules(sources: Sources, plugins: Sequence[Path]) -> list[Module]:
    """All files with methods: the program's, those of installed packages, and plugins."""
    files = sorted(paths.folder("methods").glob("[!_]*.py"))
    names = [f"bench.methods.{path.stem}" for path in files]
    names += [point.module for point in entry_points(group=GROUP)]
    return [*map(sources.module, names), *(sources.module(str(one), one) for one in plugins)]


def list_backbones() -> dict[str, str]:
    """Titles of the backbones by name."""
    sources, found = Sources(), dict[str, str]()
    try:
        for path in sorted((Path(paths.__file__).parent / "backbones").glob("[!_]*.py")):
            for kind in sources.module(f"bench.backbones.{path.stem}").named():
                name, title = (plain(getattr(kind, key, Unknown)) for key in ("name", "title"))
                found[name] = title
    except NotPlain:
        from bench.backbones.registry import find_backbones

        return {name: one.title for name, one in find_backbones().items()}
    return found
