"""Compact embeddings for recommenders, compared under identical, measured memory budgets.

`bench.run`, `bench.leaderboard`, `bench.load_results` and `bench.plot` do what the command line
does; docs/python.md shows them. `bench.method` is the interface of a method, `bench.data.load`
reads data sets. docs/architecture.md describes the packages and how they depend on each other.
"""

from importlib import import_module
from typing import Any

__all__ = ["leaderboard", "load_results", "plot", "run"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Not imported above: what reads a version, a record or a listing needs none of them.
    if name in __all__:
        return getattr(import_module("bench.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
