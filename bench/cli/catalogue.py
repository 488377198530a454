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
from bench.cli.source import Module, NotPlain, Sources, Unknown, plain
from bench.names import wrong_name, wrong_title

GROUP = "bench.methods"
_PAPER = ("paper", "paper_title", "year", "url")
_FACTS = ("name", "title", "role", "family", "stores")


@dataclass(frozen=True)
class Entry:
    """A method, as its class declares it; "" for what it does not declare."""

    name: str
    title: str
    role: str
    family: str
    stores: str
    paper: str
    paper_title: str
    year: str
    url: str


def list_methods(plugins: Sequence[Path] = ()) -> tuple[Entry, ...]:
    """The methods that `find_methods` finds, in the order of their names.

    Raises:
        SpecError: a plugin cannot be loaded, holds no method, or takes a name that is in use.
    """
    try:
        return stated(plugins)
    except (NotPlain, RecursionError):  # a class can be its own base by mistake
        return imported(plugins)


def imported(plugins: Sequence[Path] = ()) -> tuple[Entry, ...]:
    """What the imported classes say."""
    from bench.method.registry import find_methods

    return tuple(map(entry, find_methods(plugins).values()))


def stated(plugins: Sequence[Path] = ()) -> tuple[Entry, ...]:
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
        for one in map(entry, kinds):
            if wrong := wrong_name(one.name) or wrong_title(one.title):
                raise NotPlain(wrong)
            if one.name in found:
                raise NotPlain(f"{one.name} twice")
            found[one.name] = one
    return tuple(one for _, one in sorted(found.items()))


def entry(kind: type[Any]) -> Entry:
    """What a class declares. The facts of a paper are those of the class that names the paper.

    Raises:
        NotPlain: a value is no constant.
    """
    facts = {key: plain(getattr(kind, key, Unknown)) for key in _FACTS}
    names_paper = next(n for n, one in enumerate(kind.__mro__) if "paper" in vars(one))
    own = kind.__mro__[: names_paper + 1]
    for key in _PAPER:
        facts[key] = plain(next((vars(one)[key] for one in own if key in vars(one)), ""))
    return Entry(**{key: "" if value is None else str(value) for key, value in facts.items()})


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
