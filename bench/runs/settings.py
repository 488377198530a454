"""The settings of a run. One rule: the defaults, then the overrides in order; later ones win.

The overrides are those of the suite, tuned settings where the suite names some, and at the end what
the command line sets.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.backbones.registry import find_backbones, get_backbone
from bench.data import Interactions
from bench.engine.settings import Training
from bench.errors import SpecError, did_you_mean
from bench.files import NONE, check_model, parse_value
from bench.method import Method
from bench.records.schema import Trials
from bench.runs.suite import BACKBONE, HINT, TRAINING, Form, Override, Suite, When, check_override
from bench.runs.tuned import find_tuned, split_id

_TABLES = ("training", "backbone", "method", "override")


@dataclass(frozen=True)
class Settings:
    """All settings of a run.

    Attributes:
        config: of the method, before its size knobs are solved.
        training: of the loop.
        backbone: of the backbone.
        knobs: those of the method that somebody has set; the others have their defaults.
        tuned: the tuned settings among them, as `name@id`; "" without.
        tuning: the trials that those are the result of.
    """

    config: Any
    training: Training
    backbone: Any
    knobs: dict[str, Any]
    tuned: str = ""
    tuning: Trials | None = None


def resolve(
    suite: Suite,
    kind: type[Method],
    budget: str | None,
    backbone: str,
    share: float | None = None,
    form: Form = "tuned",
) -> Settings:
    """The settings of a method under a budget and a backbone.

    Args:
        suite: the defaults and the overrides.
        kind: the method.
        budget: as the suite writes it; None for a method that no budget binds.
        backbone: its name.
        share: the budget as a share of the full table; None: only known from percent.
        form: of the method.

    Raises:
        SpecError: a key that nothing has, or a value that it cannot take.
    """
    who = f"{kind.name} under {backbone}"
    scored = get_backbone(backbone)
    content: dict[str, Any] = {
        "training": suite.training.model_dump(),
        "backbone": copy.deepcopy(suite.backbone.get(backbone, {})),
        "method": copy.deepcopy(suite.method.get(kind.name, {})),
    }
    tuning = None
    for one in _decided(suite):
        if one.tuned:
            name, file = split_id(one.tuned)[0], find_tuned(one.tuned)
            for shared in file.shared(backbone):
                _apply(shared.set, content, who)
            if found := file.find(kind.name, budget, backbone, share, form):
                usable = _usable(found.settings, suite)
                _apply(usable, content, who)
                tuning = found.trials(name)
                if len(usable) < len(found.settings):  # no trial had these
                    tuning = Trials(settings=tuning.settings)
        elif one.when.matches(kind.name, budget, backbone, form):
            _apply(one.set, content, who)
    hint = f"`bench list methods {kind.name}` has them"
    config = check_model(kind.Config, content["method"], who, hint)
    return Settings(
        kind.with_user_lengths(config) if scored.whole else config,
        check_model(Training, content["training"], who, HINT, TRAINING),
        check_model(scored.Config, content["backbone"], who, HINT, f"{backbone}."),
        content["method"],
        tuning.settings if tuning else "",
        tuning,
    )


def _usable(settings: Mapping[str, Any], suite: Suite) -> Mapping[str, Any]:
    """Tuned settings without a precision where budgets count values, which few bits do not save."""
    if suite.accounting == "bytes":
        return settings
    return {name: value for name, value in settings.items() if name != "bits"}


def shared_training(suite: Suite, backbone: str = "", source: str = "suite") -> Training:
    """The training that a board's methods share, without what a method or a budget has of its own.

    Args:
        suite: the defaults and the overrides.
        backbone: its name; "" for what all backbones have in common.
        source: what an error message begins with.

    Raises:
        SpecError: a key that the training lacks, or a value that it cannot take.
    """
    content = {"training": suite.training.model_dump()}
    for one in _decided(suite):
        if one.tuned:
            for shared in find_tuned(one.tuned).shared(backbone):
                _apply(_of_training(shared), content, source)
        elif one.when.shared and one.when.matches("", None, backbone):
            _apply(_of_training(one), content, source)
    return check_model(Training, content["training"], source, HINT, TRAINING)


def shared_backbone(suite: Suite, backbone: str) -> dict[str, Any]:
    """The settings of a backbone, without what a method or a budget has of its own."""
    content = {"backbone": copy.deepcopy(suite.backbone.get(backbone, {}))}
    for one in suite.override:
        if one.when.shared and one.when.matches("", None, backbone):
            _apply({k: v for k, v in one.set.items() if k.startswith(BACKBONE)}, content, "suite")
    return content["backbone"]


def for_data(suite: Suite, data: Interactions) -> Suite:
    """The suite with the overrides that are for such data, without the condition."""
    shape = data.train.nnz + data.valid.nnz, data.users, data.items
    kept = [
        one.model_copy(update={"when": one.when.decided()})
        for one in suite.override
        if one.when.suits(*shape)
    ]
    return suite.model_copy(update={"override": tuple(kept)})


def untuned(suite: Suite, backbone: str) -> Suite:
    """The suite without tuned settings of methods and without rates of a method or budget.

    Tuned settings that all methods share stay.
    """
    kept: list[Override] = []
    for one in _decided(suite):
        if one.tuned:
            shared = find_tuned(one.tuned).shared(backbone)
            kept += [Override(when=same.when, set=same.set) for same in shared]
            continue
        rest = one.set
        if not one.when.shared:
            rest = {key: rest[key] for key in rest.keys() - _of_training(one).keys()}
        if rest:
            kept.append(Override(when=one.when, set=rest))
    return suite.model_copy(update={"override": tuple(kept)})


def with_override(suite: Suite, settings: Mapping[str, Any], **when: str) -> Suite:
    """The suite with one more override at its end, for the runs of some method, say."""
    more = Override(when=When.model_validate(when), set=dict(settings))
    return suite.model_copy(update={"override": (*suite.override, more)})


def with_tuned(suite: Suite, name: str) -> Suite:
    """The suite with other tuned settings, or none.

    They replace all that the suite's file says. The suite's own ones, named again (with the id of
    some of them, say), stay where they are.
    """
    place = split_id(name)[0]
    if name and place in [split_id(one)[0] for one in suite.tuned]:
        kept = [
            Override(tuned=name) if split_id(one.tuned)[0] == place else one
            for one in suite.override
        ]
        return suite.model_copy(update={"override": tuple(kept)})
    kept = [one for one in suite.override if not one.tuned]
    own = [Override(tuned=name)] if name else []
    return suite.model_copy(update={"override": (*kept, *own)})


def override(suite: Suite, settings: Iterable[str]) -> Suite:
    """Apply the command line's `KEY=VALUE`: `training.lr=0.01`, `cerp.gamma=0`, `dim=32`.

    The first part of a key is `training`, a method or a backbone, or the key is a field of the
    suite. Rates of one method or backbone are `cerp.training.lr`, `mf.training.lr`. Values are
    TOML, or text as it stands. Fields are set; the rest become overrides at the end, which
    replace everything before them.

    Raises:
        SpecError: a setting without `=`, or with a key or value that nothing takes.
    """
    # Tuned settings first, so that --set replaces them, too.
    for setting in sorted(settings, key=lambda one: not one.startswith("tuned=")):
        key, equals, text = (part.strip() for part in setting.partition("="))
        if not equals:
            raise SpecError(f"--set {setting}: write KEY=VALUE, such as training.lr=0.001")
        where, value = f"--set {setting}", parse_value(text)
        if key == "tuned":
            suite = with_tuned(suite, str(value))
        elif key in Suite.model_fields and key not in _TABLES:
            content = suite.model_dump() | {key: value}
            suite = check_model(Suite, content, "--set", HINT)
        else:
            more = _typed(key, value, where)
            check_override(more, where)
            suite = suite.model_copy(update={"override": (*suite.override, more)})
            _apply(_of_training(more), {"training": suite.training.model_dump()}, where)
            for name in ("", *suite.backbones):
                shared_training(suite, name, "--set")
    return suite


def _typed(key: str, value: object, where: str) -> Override:
    """One `KEY=VALUE` of the command line as an override."""
    first, _, rest = key.removeprefix("method.").removeprefix(BACKBONE).partition(".")
    if not rest:
        raise SpecError(
            f"{where}: {key} is no setting; write training.KEY, METHOD.KNOB, BACKBONE.KEY or one of"
            f" {', '.join(name for name in Suite.model_fields if name not in _TABLES)}"
        )
    if first == "training":
        return Override(set={TRAINING + rest: value})
    if first in find_backbones():
        own = rest if rest.startswith(TRAINING) else BACKBONE + rest
        return Override(when=When(backbone=(first,)), set={own: value})
    return Override(when=When(method=(first,)), set={rest: value})


def _of_training(one: Override) -> dict[str, Any]:
    return {key: value for key, value in one.set.items() if key.startswith(TRAINING)}


def check_names(suite: Suite, methods: Iterable[str]) -> None:
    """Refuse a suite that names a method or a backbone that does not exist.

    Raises:
        SpecError: with the names that there are.
    """
    known = list(methods)
    wanted = [name for one in suite.override for name in one.when.method]
    for name in (*suite.methods, *suite.method, *wanted):
        if name not in known:
            raise SpecError(f"there is no method {name!r}; {did_you_mean(name, known)}")
    wanted = [name for one in suite.override for name in one.when.backbone]
    for name in (*suite.backbones, *suite.backbone, *wanted):
        get_backbone(name)


def _decided(suite: Suite) -> Iterator[Override]:
    """The overrides that do not depend on data, or no longer."""
    return (one for one in suite.override if not one.when.undecided)


def _apply(settings: Mapping[str, Any], content: dict[str, Any], where: str) -> None:
    """Put values into the tables `training`, `backbone` and `method`.

    Raises:
        SpecError: a key leads into a value.
    """
    for key, value in settings.items():
        known = key.startswith((TRAINING, BACKBONE))
        *path, last = key.split(".") if known else ["method", *key.split(".")]
        place = content
        for part in path:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise SpecError(f"{where}: {key}: {part} is a value, not a table")
        if key == "training.objective.name":
            place.clear()  # another objective has other knobs
        place[last] = None if value == NONE else copy.deepcopy(value)
