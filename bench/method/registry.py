"""Finding methods: the folder `methods`, the entry-point group `bench.methods`, plugin files."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterable
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from bench import paths
from bench.errors import SpecError, did_you_mean
from bench.method.base import Method
from bench.names import wrong_name, wrong_title

GROUP = "bench.methods"


def find_methods(plugins: Iterable[Path | str] = ()) -> dict[str, type[Method]]:
    """All methods by name: those that come with the program, installed ones, then plugin files.

    Raises:
        SpecError: a plugin cannot be loaded, holds no method, or takes a name that is in use.
    """
    found = own_methods()
    for point in sorted(entry_points(group=GROUP), key=lambda p: p.name):
        try:
            module = importlib.import_module(point.module)
        except Exception as error:
            raise SpecError(
                f"entry point {point.name} = {point.value}: {type(error).__name__}: {error}"
            ) from error
        _add(found, module, point.value)
    for plugin in plugins:
        _add(found, _load_file(plugin), str(plugin))
    return dict(sorted(found.items()))


def own_methods() -> dict[str, type[Method]]:
    """The methods that come with the program, by name."""
    found: dict[str, type[Method]] = {}
    for path in sorted(paths.folder("methods").glob("*.py")):
        if not path.stem.startswith("_"):
            _add(found, importlib.import_module(f"bench.methods.{path.stem}"), str(path))
    return found


def get_method(name: str, plugins: Iterable[Path | str] = ()) -> type[Method]:
    """One method by name.

    Raises:
        SpecError: there is none of that name; lists those there are.
    """
    methods = find_methods(plugins)
    if name not in methods:
        raise SpecError(
            f"there is no method {name!r}; {did_you_mean(name, methods)} (--plugin FILE adds one)"
        )
    return methods[name]


def plugin_methods(plugins: Iterable[Path | str]) -> list[str]:
    """Names of the methods of plugin files.

    Raises:
        SpecError: as `find_methods`.
    """
    found: dict[str, type[Method]] = {}
    for plugin in plugins:
        _add(found, _load_file(plugin), str(plugin))
    return list(found)


def methods_in(module: ModuleType) -> list[type[Method]]:
    """The methods that a module defines (not those that it imports)."""
    return [
        thing
        for thing in vars(module).values()
        if isinstance(thing, type)
        and issubclass(thing, Method)
        and thing.__module__ == module.__name__
        and "name" in vars(thing)
    ]


def _add(found: dict[str, type[Method]], module: ModuleType, source: str) -> None:
    methods = methods_in(module)
    if not methods:
        raise SpecError(f"{source}: no subclass of bench.method.Method with a `name`; add one")
    for method in methods:
        if wrong := wrong_name(method.name) or wrong_title(getattr(method, "title", None)):
            raise SpecError(f"{source}: {wrong}")
        if found.get(method.name, method) is not method:
            raise SpecError(
                f"{source}: the name {method.name!r} is taken by {found[method.name].__module__};"
                " choose another"
            )
        found[method.name] = method


def _load_file(path: Path | str) -> ModuleType:
    path = Path(path)
    if not path.is_file():
        raise SpecError(f"{path}: no such plugin file")
    # One module a path, so that a class keeps its identity when a plugin is asked for twice.
    name = "bench_plugin_" + hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SpecError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # `sys.exit` would end the program in silence
        del sys.modules[name]
        raise SpecError(f"{path}: cannot be loaded: {type(error).__name__}: {error}") from error
    return module
