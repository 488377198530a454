"""Defaults for people who do not tune: settings that were tuned on several data sets.

Knobs of a method depend on each other: a median of each knob alone can give a combination that
nobody has tried. So the defaults at a budget are the tuned settings of one data set: those that
lose least on the other data sets if that was measured (`bench.tune.transfer`), else those that
differ least from the settings of the others (the medoid).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from bench.files import NONE
from bench.method import Choice, LogRange, Method, Space
from bench.method.search_space import BITS
from bench.runs.suite import TRAINING, When
from bench.runs.tuned import Found, Tuned, TunedFile

RATE = f"{TRAINING}lr"

# By method, budget, number of the file of the settings, number of the file of the data set.
Losses = Mapping[tuple[str, str, int, int], float]


def derive(
    files: Sequence[TunedFile],
    methods: Mapping[str, type[Method]],
    rates: Collection[int] = (),
    losses: Losses | None = None,
) -> tuple[Found, ...]:
    """Return overrides with the settings of one of several files for each method and budget.

    At each budget those files decide that were tuned at it: settings of another budget may not fit.
    A setting that a file leaves out has the method's default there. Ablations get no defaults:
    their settings are those of a board.

    Args:
        files: tuned settings, one file for each data set; of equally near ones the first counts.
        methods: all known methods.
        rates: numbers of the files whose learning rates are taken, for the backbone of the file.
            Each was tuned under the objective of its file, so these are files with the objective of
            the suite that takes the defaults.
        losses: shares of the tuned score that settings lose on other data sets. The settings with
            the least mean over the other data sets are taken; None: the medoid. Settings of a
            budget that one file alone has were not measured, and are left out if the method has
            another budget: the nearest one counts then.
    """
    found = []
    for kind in (kind for kind in methods.values() if kind.role != "ablation"):
        budgets = _rows(files, kind.name)
        if losses is not None and any(len(rows) > 1 for rows in budgets.values()):
            budgets = {label: rows for label, rows in budgets.items() if len(rows) > 1}
        for label, rows in budgets.items():
            points = {number: knobs(kind, row.settings) for number, row in rows.items()}
            if losses is None:
                settings = medoid(list(points.values()), _spaces(kind))
                number = next(one for one, point in points.items() if point == settings)
            else:
                number = _least(losses, kind.name, label, list(rows))
            settings, chosen = points[number], rows[number]
            when = When(method=(kind.name,), budget=(label,) if label else ())
            if settings:
                found.append(Found(when=when, set=settings))
            if number in rates and RATE in chosen.settings:
                own = when.model_copy(update={"backbone": chosen.origin.when.backbone})
                found.append(Found(when=own, set={RATE: chosen.settings[RATE]}))
    return tuple(found)


def _rows(files: Sequence[TunedFile], method: str) -> dict[str, dict[int, Tuned]]:
    """Return the rows of a method by budget and by number of the file that was tuned at it."""
    labels = [row.label for file in files for row in file.rows() if row.method == method]
    found: dict[str, dict[int, Tuned]] = {label: {} for label in labels}
    for label, rows in found.items():
        for number, file in enumerate(files):
            row = file.find(method, label or None, str(file.study.get("backbone", "")))
            if row and row.label == label:
                rows[number] = row
    return {label: rows for label, rows in found.items() if rows}


def _least(losses: Losses, method: str, label: str, files: Sequence[int]) -> int:
    """Return the file whose settings have the least mean loss; of equals the first."""

    def mean(one: int) -> float:
        return math.fsum(losses[method, label, one, data] for data in files if data != one)

    return min(files, key=mean)


def medoid(points: Sequence[dict[str, Any]], spaces: Mapping[str, Space]) -> dict[str, Any]:
    """Return the settings with the least sum of distances to the others; of equals the first."""
    return min(
        points,
        key=lambda one: math.fsum(distance(one, other, spaces) for other in points),
        default={},
    )


def distance(
    one: Mapping[str, Any], other: Mapping[str, Any], spaces: Mapping[str, Space]
) -> float:
    """Return the sum over settings of how far two values are apart, each from 0 to 1.

    Numbers count by their place in the search space, on its scale. Text, truth values, and "none"
    beside a number are 0 apart if equal, else 1.
    """
    return math.fsum(
        _apart(one.get(name), other.get(name), spaces.get(name)) for name in {*one, *other}
    )


def _apart(one: Any, other: Any, space: Space | None) -> float:
    if one == other:
        return 0.0
    if space is None or not (_number(one) and _number(other)):
        return 1.0
    if isinstance(space, Choice):
        values = sorted(value for value in space.values if _number(value))
        low, high = (values[0], values[-1]) if values else (one, other)
        scale = high - low
        return min(abs(one - other) / scale, 1.0) if scale else 1.0
    if isinstance(space, LogRange):
        return min(abs(math.log(one / other)) / math.log(space.high / space.low), 1.0)
    return min(abs(one - other) / (space.high - space.low), 1.0)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _spaces(kind: type[Method]) -> dict[str, Space]:
    return {"bits": BITS, **kind.space}


def knobs(kind: type[Method], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return all knobs that a search may set, under their present names."""
    given = {k: None if v == NONE else v for k, v in settings.items() if not k.startswith(TRAINING)}
    config = kind.Config.model_validate(given)
    searched = {*kind.space, *config.model_fields_set}
    if not kind.Config.own_precision:
        searched.add("bits")
    return {name: getattr(config, name) for name in kind.Config.model_fields if name in searched}
