"""Knobs for people who do not tune: those of `tuned/defaults.toml`.

The file is one of tuned settings. Boards read it as such, see `bench.runs.tuned`; what is below the
level of suites reads the knobs of a method here.
"""

from __future__ import annotations

from typing import Any

from bench import paths
from bench.budget import nearest
from bench.files import NONE, read_toml
from bench.method.base import Method


def default_knobs(kind: type[Method], budget: str, share: float) -> dict[str, Any]:
    """Return the knobs of a method at a budget; those of the nearest budget that the file has.

    Args:
        kind: the method.
        budget: as it is written.
        share: the budget as a share of the full table.
    """
    overrides = read_toml(paths.folder("tuned") / "defaults.toml").get("override", [])
    own = [one for one in overrides if one["when"].get("method") == kind.name]
    labels = [one["when"]["budget"] for one in own if "budget" in one["when"]]
    label = nearest(labels, budget, share)
    found = {
        key: value
        for one in own
        if one["when"].get("budget", label) == label
        for key, value in one["set"].items()
    }
    return {k: None if v == NONE else v for k, v in found.items() if "." not in k}
