"""Tuned settings as TOML: what `bench tune` writes and boards take.

A file holds, for each method, the best settings that a study found, and the conditions of the
study, which are the same for all of them: a board on which one method had more trials than another
would compare the trials.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, ConfigDict

from bench import paths
from bench.errors import SpecError, did_you_mean
from bench.files import check_model, read_toml, write_atomic
from bench.records.protocol import OWNED_TRAINING


class Tuned(BaseModel):
    """The settings of one method.

    Attributes:
        config: its knobs, as `Method.Config` takes them.
        training: training settings of its own, of those in `protocol.OWNED_TRAINING`.
        valid: validation NDCG@20 that they reached, and `default` what its defaults reached.
        trials: number of planned trials, and of trials by outcome.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: dict[str, Any] = {}
    training: dict[str, float] = {}
    valid: float | None = None
    default: float | None = None
    trials: dict[str, int] = {}

    def id_for(self, method: str) -> str:
        """First 8 hex digits of the sha256 of method and settings: what a board cites."""
        content = {"method": method, "config": self.config, "training": self.training}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def settings(self) -> str:
        """All settings in one line."""
        own = {f"training.{key}": value for key, value in self.training.items()}
        return "  ".join(f"{key}={value}" for key, value in (self.config | own).items())


class TunedFile(BaseModel):
    """All methods of a file, and the conditions that they were tuned under."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    study: dict[str, Any] = {}
    method: dict[str, Tuned] = {}


def list_tuned() -> dict[str, TunedFile]:
    """The files that come with the program, by name."""
    return {path.stem: read_tuned(path) for path in sorted(_folder().glob("*.toml"))}


def find_tuned(name: str) -> TunedFile:
    """Tuned settings by name or file.

    Args:
        name: `gowalla`, `./my.toml`, or either with an id as `gowalla@1a2b3c4d`.

    Raises:
        SpecError: there is none, it is malformed, or it no longer holds the settings of that id.
    """
    place, _, wanted = name.partition("@")
    path = _folder() / f"{place}.toml"
    if not path.is_file():
        path = Path(place)
    if not path.is_file():
        known = [one.stem for one in sorted(_folder().glob("*.toml"))]
        raise SpecError(
            f"there are no tuned settings {place!r}; {did_you_mean(place, known)}; or name a file"
        )
    found = read_tuned(path)
    ids = {tuned.id_for(method): method for method, tuned in found.method.items()}
    if wanted and wanted not in ids:
        raise SpecError(
            f"{path}: no method has the settings {wanted} any more; it holds"
            f" {', '.join(f'{method} {one}' for one, method in ids.items())}"
        )
    return found


def read_tuned(path: Path) -> TunedFile:
    """Reads a file.

    Raises:
        SpecError: naming the file, the key and the remedy.
    """
    found = check_model(TunedFile, read_toml(path), str(path), "`bench tune` writes it")
    for method, tuned in found.method.items():
        for key in tuned.training:
            if key not in OWNED_TRAINING:
                raise SpecError(
                    f"{path}: method.{method}.training.{key}: a method may own"
                    f" {' and '.join(OWNED_TRAINING)}; the rest is shared by a board"
                )
    return found


def check_tuned(path: Path, study: Mapping[str, Any], methods: Iterable[str]) -> dict[str, Tuned]:
    """What a file holds for other methods than these, to be kept beside them.

    Raises:
        SpecError: these others were tuned under other conditions.
    """
    if not path.is_file():
        return {}
    before, replaced = read_tuned(path), set(methods)
    kept = {name: one for name, one in before.method.items() if name not in replaced}
    keys = sorted({*before.study, *study})
    other = [key for key in keys if before.study.get(key) != study.get(key)]
    if kept and other:
        raise SpecError(
            f"{path}: {', '.join(kept)} tuned with {other[0]} = {before.study.get(other[0])!r},"
            f" not {study.get(other[0])!r}; tune all methods alike, or name another --out"
        )
    return kept


def write_tuned(path: Path, study: Mapping[str, Any], methods: Mapping[str, Tuned]) -> None:
    """Writes settings; other methods that the file holds stay.

    Raises:
        SpecError: these were tuned under other conditions, or the file cannot be written.
    """
    kept = check_tuned(path, study, methods)
    whole = TunedFile(study=dict(study), method=dict(sorted({**kept, **methods}.items())))
    write_atomic(path, lambda stream: stream.write(_text(whole).encode()))


def listing(name: str, tuned: TunedFile) -> list[str]:
    """Lines that tell people what a file holds."""
    study = tuned.study
    lines = [
        f"{name:12} {study.get('split', '')}, {study.get('backbone', '')},"
        f" {study.get('budget', '')}, {study.get('trials', '?')} trials a method"
    ]
    for method, one in tuned.method.items():
        score = "" if one.valid is None else f"valid NDCG@20 {one.valid:.4f}  "
        lines.append(f"    {one.id_for(method)}  {method:10} {score}{one.settings()}")
    return lines


def _folder() -> Path:
    return paths.folder("tuned")


def _text(content: TunedFile) -> str:
    parts = [
        "# Written by `bench tune`; docs/tuning.md. `bench list tuned` shows it.\n",
        tomli_w.dumps({"study": _without_none(content.study)}),
    ]
    for name, tuned in content.method.items():
        table = tomli_w.dumps({"method": {name: _without_none(tuned.model_dump())}})
        parts.append(f"# {name}@{tuned.id_for(name)}\n{table}")
    return "\n".join(parts)


def _without_none(value: Any) -> Any:
    """Without what is None, which TOML cannot say."""
    if isinstance(value, Mapping):
        return {key: _without_none(one) for key, one in value.items() if one is not None}
    return value
