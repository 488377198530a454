"""Suites: named grids of runs, as TOML, and what they come to on a data set."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench import budget as budgets
from bench import paths
from bench.backbones.registry import get_backbone
from bench.data import Interactions
from bench.data.numbering import number
from bench.engine.settings import Training
from bench.errors import Infeasible, SpecError
from bench.method import Method, Table
from bench.method.size import size_of
from bench.runs.execute import POPULARITY, Run
from bench.runs.spec import BackbonePart, BudgetPart, DatasetPart, MethodPart, RunSpec
from bench.runs.tuned import Tuned, find_tuned

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class Suite(BaseModel):
    """A grid: methods x budgets x seeds x backbones on one data set, one set of settings.

    Attributes:
        title: shown in listings.
        dataset: card name; the command line may name another.
        backbones: by name.
        methods: by name; empty for all but ablations. Popularity always runs.
        budgets: amounts, see `bench.budget`.
        accounting: what the budgets bind.
        dim: columns of the full table.
        seeds: how many, from 0.
        training: settings of the loop.
        backbone, method: configurations by name.
        backbone_training: learning rate and l2 by backbone, for all methods under it: a board is of
            one backbone, and what suits one does not suit the next.
        at: configurations of methods that hold at one budget only, by budget and name; they go
            before `method`.
        method_training: learning rate and l2 of a method's own, by name; they go before tuned ones.
        at_training: the same at one budget, by budget and name; they go before those. The best rate
            falls as a table grows.
        tuned: tuned settings of methods, by name or file; see `bench.runs.tuned`. What `method`
            says goes before them.
        pinned: learning rate and l2 that the command line sets, by backbone or "" for all; they go
            before a backbone's and a method's own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = ""
    dataset: str | None = None
    backbones: tuple[str, ...] = ("mf",)
    methods: tuple[str, ...] = ()
    budgets: tuple[str, ...] = ("5%", "10%", "20%")
    accounting: Literal["bytes", "values"] = "bytes"
    dim: int = Field(64, ge=1)
    seeds: int = Field(3, ge=1)
    training: Training = Training()
    backbone: dict[str, dict[str, Any]] = {}
    method: dict[str, dict[str, Any]] = {}
    at: dict[str, dict[str, dict[str, Any]]] = {}
    method_training: dict[str, dict[Literal["lr", "l2"], float]] = {}
    at_training: dict[str, dict[str, dict[Literal["lr", "l2"], float]]] = {}
    backbone_training: dict[str, dict[Literal["lr", "l2"], float]] = {}
    tuned: str = ""
    pinned: dict[str, dict[Literal["lr", "l2"], float]] = {}


@dataclass(frozen=True)
class Planned:
    """A run of a plan, with its packed size if it is known beforehand, or why it cannot be."""

    run: Run
    values: int | None = None
    bytes: int | None = None
    infeasible: Infeasible | None = None


def list_suites() -> dict[str, Suite]:
    """The suites that come with the program."""
    return {path.stem: read_suite(path) for path in sorted(paths.folder("suites").glob("*.toml"))}


def find_suite(name: str) -> Suite:
    """A suite by name or file.

    Raises:
        SpecError: there is none, or its file says something that a suite does not have.
    """
    path = paths.folder("suites") / f"{name}.toml"
    if not path.is_file():
        path = Path(name)
    if not path.is_file():
        known = ", ".join(list_suites())
        raise SpecError(f"there is no suite {name!r}; there are {known}, or name a TOML file")
    return read_suite(path)


def read_suite(path: Path) -> Suite:
    """Reads a suite file.

    Raises:
        SpecError: naming the file, the key and the remedy.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SpecError(f"{path}: cannot be read as TOML: {error}") from error
    return validated(content, str(path))


def validated(content: Mapping[str, Any], source: str) -> Suite:
    """A suite from plain data.

    Raises:
        SpecError: naming the source and the key.
    """
    try:
        return Suite.model_validate(content)
    except ValidationError as error:
        raise SpecError(_first(error, source)) from error


def override(suite: Suite, settings: Iterable[str]) -> Suite:
    """Applies `key=value` settings: `training.lr=0.01`, `cerp.gamma=0`, `mf.similarity=dot`.

    The first part of a key is `training`, a field of the suite, a backbone or a method; values
    are TOML, or text as it stands.

    Raises:
        SpecError: a setting without `=`, or with a key or value that nothing takes.
    """
    content = suite.model_dump()
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise SpecError(f"--set {setting}: write KEY=VALUE, such as training.lr=0.001")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        path = key.strip().split(".")
        if path[0] not in Suite.model_fields:
            kind = "backbone" if _is_backbone(path[0]) else "method"
            path = [kind, *path]
        place = content
        for part in path[:-1]:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise SpecError(f"--set {setting}: {part} is a value, not a table")
        if path == ["training", "objective", "name"]:
            place.clear()  # another objective has other knobs
        place[path[-1]] = value
        if path[0] == "method":
            for at in content["at"].values():  # what is typed goes before what a file says
                at.get(path[1], {}).pop(path[-1], None)
        if path[-1] in ("lr", "l2") and path[0] in ("training", "backbone_training"):
            content["pinned"].setdefault(".".join(path[1:-1]), {})[path[-1]] = value
    return validated(content, "--set")


def _is_backbone(name: str) -> bool:
    try:
        get_backbone(name)
    except SpecError:
        return False
    return True


def plan(
    suite: Suite, data: Interactions, methods: Mapping[str, type[Method]], command: str
) -> list[Planned]:
    """All runs of a suite on a data set, size knobs solved; seeds innermost.

    Args:
        suite: the grid.
        data: the split.
        methods: all known methods.
        command: what the user types for one of these runs, less method, budget and seed.

    Raises:
        SpecError: an unknown method or backbone, a bad configuration or budget.
    """
    wanted = suite.methods or tuple(m for m, kind in methods.items() if kind.role != "ablation")
    special = [name for at in (suite.at, suite.at_training) for one in at.values() for name in one]
    for name in (*wanted, *suite.method, *suite.method_training, *special):
        if name not in methods and name != POPULARITY:
            raise SpecError(f"there is no method {name!r}; there are {', '.join(methods)}")
    for name in suite.backbone_training:
        get_backbone(name)
    planned = [_popularity(suite, data, command)]
    tuned = find_tuned(suite.tuned).method if suite.tuned else {}
    counts = torch.from_numpy(number(data, suite.training.numbering).data.counts())
    for backbone in suite.backbones:
        for name in wanted:
            if name == POPULARITY:
                continue
            kind = methods[name]
            for label in suite.budgets if kind.budgeted else (None,):
                for seed in range(suite.seeds):
                    own = tuned.get(name, Tuned())
                    planned.append(
                        one_run(suite, data, kind, backbone, label, seed, command, counts, own)
                    )
    return planned


def _dataset(data: Interactions) -> DatasetPart:
    return DatasetPart(name=data.name, split=data.split, fingerprint=data.fingerprint)


def _popularity(suite: Suite, data: Interactions, command: str) -> Planned:
    spec = RunSpec(
        dataset=_dataset(data),
        backbone=BackbonePart(name="none", config={}),
        dim=suite.dim,
        method=MethodPart(name=POPULARITY, revision=1, config={}),
        budget=None,
        training=None,
        seed=0,
    )
    return Planned(Run(spec, None, None, f"{command} --method {POPULARITY}"))


def one_run(
    suite: Suite,
    data: Interactions,
    kind: type[Method],
    backbone: str,
    label: str | None,
    seed: int,
    command: str,
    counts: torch.Tensor,
    tuned: Tuned,
) -> Planned:
    """A run with its size knobs solved, or why no size fits.

    Args:
        suite: the grid that it is of.
        data: the split.
        kind: the method.
        backbone: its name.
        label: the budget; None for a method that no budget binds.
        seed: of the run.
        command: what the user types for it, less method, budget and seed.
        counts: int64 [N], training interactions of each id as they are numbered in the run.
        tuned: settings of the method's own, under those that the suite has for it.

    Raises:
        SpecError: a bad configuration or budget.
    """
    ids = data.users + data.items
    cap = budgets.parse_budget(label, ids, suite.dim, suite.accounting) if label else None
    table = Table(
        data.users,
        data.items,
        suite.dim,
        cap,
        seed,
        suite.training.init_std,
        counts,
    )
    settings = (
        tuned.config
        | suite.method.get(kind.name, {})
        | suite.at.get(label or "", {}).get(kind.name, {})
    )
    try:
        config = kind.Config.model_validate(settings)
        training = Training.model_validate(
            suite.training.model_dump()
            | suite.backbone_training.get(backbone, {})
            | tuned.training
            | suite.method_training.get(kind.name, {})
            | suite.at_training.get(label or "", {}).get(kind.name, {})
            | suite.pinned.get("", {})
            | suite.pinned.get(backbone, {})
        )
        scored = get_backbone(backbone).Config.model_validate(suite.backbone.get(backbone, {}))
    except ValidationError as error:
        raise SpecError(_first(error, f"{kind.name} under {backbone}")) from error
    infeasible = None
    try:
        config = kind.plan(table, config)
    except Infeasible as error:
        infeasible = error
    except Exception as error:  # a plugin may raise anything; nothing has run yet
        raise _unplanned(kind, "plan", error) from error
    spec = RunSpec(
        dataset=_dataset(data),
        backbone=BackbonePart(name=backbone, config=scored.stored()),
        dim=suite.dim,
        method=MethodPart(
            name=kind.name,
            revision=kind.revision,
            config=config.model_dump(mode="json", exclude_none=True),
        ),
        budget=BudgetPart(cap=cap.cap, accounting=cap.accounting) if cap else None,
        training=training,
        seed=seed,
    )
    own = f" --backbone {backbone} --method {kind.name} --seed {seed}"
    if tuned.config or tuned.training:
        name = suite.tuned.partition("@")[0]
        own += f" --tuned {shlex.quote(name)}@{tuned.id_for(kind.name)}"
    run = Run(
        spec,
        label.replace(" ", "") if label else None,
        budgets.fraction(cap, ids, suite.dim) if cap else None,
        command + own + (f" --budget {label}" if label else ""),
    )
    if infeasible:
        return Planned(run, infeasible=infeasible)
    try:
        size = size_of(kind.arrays(table, config))
    except Exception as error:
        raise _unplanned(kind, "arrays", error) from error
    return Planned(run, size.values, size.bytes)


def _unplanned(kind: type[Method], hook: str, error: Exception) -> SpecError:
    what = f"{type(error).__name__}: {error}".partition("\n")[0]
    return SpecError(f"{kind.name}: its `{hook}` raises {what}; `bench check` tells more")


def _first(error: ValidationError, source: str) -> str:
    """The first complaint of pydantic as one line."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    given = "" if first["type"] in ("extra_forbidden", "missing") else f" (got {first['input']!r})"
    reason = (
        "is not a known key; see `bench list`"
        if first["type"] == "extra_forbidden"
        else first["msg"]
    )
    return f"{source}: {key}: {reason}{given}"
