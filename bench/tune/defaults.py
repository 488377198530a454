"""Defaults for people who do not tune: the middle of what was tuned on several data sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median_low
from typing import Any

from bench.files import NONE
from bench.method import Method
from bench.runs.suite import TRAINING, When
from bench.runs.tuned import Found, TunedFile


def middle(values: Sequence[Any]) -> Any:
    """Return the middle of the values of a setting; always one of them.

    Numbers have a median, the lower one of two. If most are none, the middle is none. Of text and
    truth values it is the most frequent one, the first of equals.
    """
    numbers = [one for one in values if isinstance(one, (int, float)) and type(one) is not bool]
    missing = sum(one is None for one in values)
    if not numbers or len(numbers) + missing < len(values):
        return Counter(values).most_common(1)[0][0]
    return None if missing > len(numbers) else median_low(numbers)


def derive(files: Sequence[TunedFile], methods: Mapping[str, type[Method]]) -> tuple[Found, ...]:
    """Return overrides with the middle of the settings of several files.

    Each file counts once for each method that it holds, at each budget of any file; for a budget
    that it lacks, its nearest one counts. A setting that a file leaves out has the method's default
    there. Ablations get no defaults: their settings are those of a board.

    Args:
        files: tuned settings, one file for each data set.
        methods: all known methods.
    """
    labels = {name: None for file in files for one in file.override for name in one.when.budget}
    found = []
    for kind in (kind for kind in methods.values() if kind.role != "ablation"):
        for label in labels if kind.budgeted else (None,):
            rows = [
                row
                for file in files
                if (row := file.find(kind.name, label, str(file.study.get("backbone", ""))))
            ]
            if not rows:
                continue
            each = [_whole(kind, row.settings) for row in rows]
            names = dict.fromkeys(name for one in each for name in one)
            settings = {name: middle([one[name] for one in each if name in one]) for name in names}
            when = When(method=(kind.name,), budget=(label,) if label else ())
            found.append(Found(when=when, set=settings))
    return tuple(found)


def _whole(kind: type[Method], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return all settings that a search may set, under their present names."""
    given = {k: None if v == NONE else v for k, v in settings.items()}
    knobs = {k: v for k, v in given.items() if not k.startswith(TRAINING)}
    config = kind.Config.model_validate(knobs)
    searched = {*kind.space, *config.model_fields_set}
    if not kind.Config.own_precision:
        searched.add("bits")
    own = {name: getattr(config, name) for name in kind.Config.model_fields if name in searched}
    return own | {k: v for k, v in given.items() if k.startswith(TRAINING)}
