"""Finding backbones: they are the subclasses in the files of this folder."""

from __future__ import annotations

import importlib
from pathlib import Path

from bench.backbones.base import Backbone
from bench.errors import SpecError, did_you_mean


def find_backbones() -> dict[str, type[Backbone]]:
    """All backbones by name."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        module = importlib.import_module(f"bench.backbones.{path.stem}")
        for thing in vars(module).values():
            if (
                isinstance(thing, type)
                and issubclass(thing, Backbone)
                and thing.__module__ == module.__name__
                and "name" in vars(thing)
            ):
                found[thing.name] = thing
    return found


def get_backbone(name: str) -> type[Backbone]:
    """One backbone by name.

    Raises:
        SpecError: there is none of that name; lists those there are.
    """
    backbones = find_backbones()
    if name not in backbones:
        raise SpecError(f"there is no backbone {name!r}; {did_you_mean(name, backbones)}")
    return backbones[name]
