"""Files of tuned settings: `bench tune` writes them, suites and `--tuned` take them.

A file holds overrides, as a suite does, one for each method and budget, with the trials that each
is the result of. A budget that a file lacks takes the settings of the nearest one.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, ConfigDict, Field

from bench import paths
from bench.budget import nearest, share_of
from bench.errors import SpecError, did_you_mean
from bench.files import NONE, check_model, read_toml, take_lock, write_atomic
from bench.records.schema import Trials
from bench.runs.suite import TRAINING, Form, Override, When, check_override

_ID = re.compile(r"(.+)@([0-9a-f]{8})", re.DOTALL)


class Found(Override):
    """An override with what is known of its origin.

    Attributes:
        valid: validation NDCG@20 of these settings, the mean over the seeds of the tuning.
        default: validation NDCG@20 of the settings that the search started from.
        trials: number of planned trials, of trials by outcome, and of passes over the data.
        compared: settings of other data that competed with those of the search, as `NAME@ID`.
    """

    valid: float | None = None
    default: float | None = None
    trials: dict[str, int] = Field(default_factory=dict)
    compared: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tuned:
    """The settings that a file has for a method at a budget.

    Attributes:
        method: its name.
        label: the budget that they were tuned at; "" for a method without a budget.
        form: of the method.
        settings: by key, as `Override.set`.
        shared: settings of all methods among the file's.
        origin: the override that says most about their trials.
    """

    method: str
    label: str
    form: Form
    settings: Mapping[str, Any]
    shared: Mapping[str, Any]
    origin: Found

    @cached_property
    def id(self) -> str:
        """First 8 hex digits of the sha256 of method and settings: what a board cites."""
        own = self.settings
        content: dict[str, Any] = {
            "method": self.method,
            "config": {key: own[key] for key in own if not key.startswith(TRAINING)},
            "training": {
                key.removeprefix(TRAINING): own[key] for key in own if key.startswith(TRAINING)
            },
        }
        if self.form != "tuned":
            content["form"] = self.form
        if self.shared:
            content["shared"] = dict(self.shared)
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def trials(self, name: str) -> Trials:
        """What a record says of the tuning; `name` is that of the file."""
        return Trials(settings=f"{name}@{self.id}", **self.origin.trials)

    def __str__(self) -> str:
        return "  ".join(f"{key}={value}" for key, value in self.settings.items())


class TunedFile(BaseModel):
    """All overrides of a file, and the conditions of their tuning."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    study: dict[str, Any] = {}
    override: tuple[Found, ...] = ()

    def shared(self, backbone: str) -> tuple[Found, ...]:
        """The overrides for all methods: objective and backbone."""
        found = (one for one in self.override if one.when.shared)
        return tuple(one for one in found if one.when.matches("", None, backbone))

    def find(
        self,
        method: str,
        budget: str | None,
        backbone: str,
        share: float | None = None,
        form: Form = "tuned",
    ) -> Tuned | None:
        """The settings of a method at a budget, or at the nearest budget that the file has.

        Args:
            method: its name.
            budget: as it is written; None for a method without a budget.
            backbone: its name.
            share: the budget as a share of the full table; None: only known from a `budget` in
                percent.
            form: of the method.
        """
        own = [
            one
            for one in self.override
            if method in one.when.method
            and backbone in (one.when.backbone or (backbone,))
            and form in (one.when.form or ("tuned",))
        ]
        labels = [name for one in own for name in one.when.budget]
        label = nearest(labels, budget, share) if budget else ""
        own = [one for one in own if one.when.matches(method, label or None, backbone, form)]
        if not own:
            return None
        settings = {key: value for one in own for key, value in one.set.items()}
        shared = {k: v for one in self.shared(backbone) for k, v in one.set.items()}
        return Tuned(method, label, form, settings, shared, own[-1])

    def rows(self) -> Iterator[Tuned]:
        """The settings of each method at each of its budgets."""
        known = sorted({name for one in self.override for name in one.when.backbone})
        cells = [
            (method, label, backbone, None, form)
            for when in (one.when for one in self.override)
            for backbone in when.backbone or known or ("",)
            for form in when.form or ("tuned",)
            for method in when.method
            for label in when.budget or (None,)
        ]
        found = (self.find(*cell) for cell in dict.fromkeys(cells))
        return (one for one in found if one is not None)


def list_tuned() -> dict[str, TunedFile]:
    """The files that come with the program, by name."""
    return {path.stem: read_tuned(path) for path in sorted(_folder().glob("*.toml"))}


def find_tuned(name: str) -> TunedFile:
    """Tuned settings by name or file.

    Args:
        name: `gowalla-mf`, `./my.toml`, or either with an id as `gowalla-mf@1a2b3c4d`.

    Raises:
        SpecError: there is none, it is malformed, or it no longer holds the settings of that id.
    """
    place, wanted = split_id(name)
    path = _folder() / f"{place}.toml"
    if not path.is_file():
        path = Path(place)
    if not path.is_file():
        known = [one.stem for one in sorted(_folder().glob("*.toml"))]
        raise SpecError(
            f"there are no tuned settings {place!r}; {did_you_mean(place, known)}; or name a file"
        )
    found = read_tuned(path)
    if wanted and wanted not in (ids := [one.id for one in found.rows()]):
        raise SpecError(
            f"{path}: no method has the settings {wanted} any more; it holds {', '.join(ids)}"
        )
    return found


def split_id(name: str) -> tuple[str, str]:
    """The file or name in `NAME@ID`, and the id; "" without one. A path may have an @ itself."""
    match = _ID.fullmatch(name)
    return (match[1], match[2]) if match and not Path(name).is_file() else (name, "")


def read_tuned(path: Path) -> TunedFile:
    """Read a file.

    Raises:
        SpecError: naming the file, the key and the remedy.
    """
    found = check_model(TunedFile, read_toml(path), str(path), "`bench tune` writes it")
    for number, one in enumerate(found.override):
        if one.tuned:
            raise SpecError(f"{path}: override.{number}: tuned: a file cannot take another file")
        if one.when.undecided:
            raise SpecError(
                f"{path}: override.{number}: when: tuned settings do not depend on data; put the"
                " condition into a suite"
            )
        if one.set:
            check_override(one, f"{path}: override.{number}")
    return found


def check_tuned(path: Path, study: Mapping[str, Any], cells: Iterable[When]) -> tuple[Found, ...]:
    """Return the overrides of a file that are for other runs than these, and that would stay.

    Args:
        path: the file; it may not exist.
        study: the conditions of the new overrides.
        cells: the runs that new overrides are for.

    Raises:
        SpecError: those that would stay were tuned under other conditions.
    """
    if not path.is_file():
        return ()
    before, replaced, study = read_tuned(path), list(cells), _toml(study)
    kept = tuple(one for one in before.override if one.when not in replaced)
    if kept and (other := _first_difference(before.study, study)):
        key, held, new = other
        raise SpecError(
            f"{path}: it holds {_named(kept[0].when)}, tuned with {key} = {held!r}, not {new!r};"
            " tune all methods alike, or name another --out"
        )
    return kept


def _first_difference(
    one: Mapping[str, Any], other: Mapping[str, Any], under: str = ""
) -> tuple[str, object, object] | None:
    """Return a key with dots that two tables differ in, and its values; None if they are equal."""
    for key in sorted({*one, *other}):
        left, right = one.get(key), other.get(key)
        if left == right:
            continue
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            return _first_difference(left, right, f"{under}{key}.")
        return under + key, left, right
    return None


def write_tuned(
    path: Path, study: Mapping[str, Any], found: Iterable[Found], searched: Iterable[When] = ()
) -> None:
    """Write overrides; those of other methods and budgets that the file holds stay.

    Args:
        path: the file; it may not exist.
        study: the conditions of the new overrides.
        found: the new overrides.
        searched: runs that a search was for, even if it found nothing; what the file holds of these
            goes.

    Raises:
        SpecError: these were tuned under other conditions, or the file cannot be written.
    """
    new = tuple(found)
    # Two tunings, each of some methods, may end together and write to the same file.
    with take_lock(path.with_name(f".{path.name}.lock")):
        kept = check_tuned(path, study, [*(one.when for one in new), *searched])
        # Those for all methods first, because later overrides replace earlier ones.
        order = sorted((*kept, *new), key=lambda one: (one.when.method, _size(one.when)))
        whole = TunedFile(study=dict(study), override=tuple(order))
        write_atomic(path, lambda stream: stream.write(_text(whole).encode()))


def listing(name: str, tuned: TunedFile) -> list[str]:
    """Lines that tell people what a file holds."""
    study = tuned.study
    conditions = [str(study[key]) for key in ("split", "backbone") if key in study]
    conditions += [f"{study['trials']} trials a method and budget"] if "trials" in study else []
    conditions += [str(study["note"])] if "note" in study else []
    lines = [f"{name:12} {', '.join(conditions)}"]
    for one in tuned.override:
        if not one.when.method:
            lines.append(f"    all methods: {one.set}")
    for row in tuned.rows():
        valid = row.origin.valid
        score = "" if valid is None else f"valid NDCG@20 {valid:.4f}  "
        form = "" if row.form == "tuned" else f"{row.form}  "
        lines.append(f"    {row.id}  {row.method:14} {row.label:5} {form}{score}{row}")
    return lines


def _folder() -> Path:
    return paths.folder("tuned")


def _named(when: When) -> str:
    return " ".join((*(when.method or ("settings of all methods",)), *when.budget, *when.form))


def _size(when: When) -> float:
    return share_of(when.budget[0]) or 0.0 if when.budget else 0.0


def _text(content: TunedFile) -> str:
    parts = [
        "# Tuned settings; docs/tuning.md. `bench list tuned` shows them with their ids.\n",
        tomli_w.dumps({"study": _toml(content.study)}),
    ]
    for one in content.override:
        lines = [f"when = {_inline(_when(one.when))}", f"set = {_inline(_toml(one.set))}"]
        for key in ("valid", "default"):
            if (score := getattr(one, key)) is not None:
                lines.append(f"{key} = {score}")
        if one.trials:
            lines.append(f"trials = {_inline(one.trials)}")
        if one.compared:
            lines.append(f"compared = {json.dumps(one.compared)}")
        parts.append("[[override]]\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def _when(when: When) -> dict[str, Any]:
    content = when.model_dump()
    return {k: v[0] if len(v) == 1 else list(v) for k, v in content.items() if v}


def _inline(content: Mapping[str, Any]) -> str:
    """A mapping as a TOML table in one line."""
    pairs = [" ".join(tomli_w.dumps({k: v}, indent=0).split()) for k, v in content.items()]
    return "{ " + ", ".join(pairs) + " }" if pairs else "{}"


def _toml(value: Any) -> Any:
    """A value with `NONE` for what TOML cannot say."""
    if isinstance(value, Mapping):
        return {key: _toml(one) for key, one in value.items()}
    return NONE if value is None else value
