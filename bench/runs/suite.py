"""Suites: named grids of runs, as TOML files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from bench import paths
from bench.budget import Bits, canonical, parse_budget
from bench.engine.settings import Training
from bench.errors import SpecError, did_you_mean
from bench.files import check_model, read_toml
from bench.records.protocol import OWNED_TRAINING

HINT = "see `bench list`"
Form = Literal["tuned", "published"]
TRAINING, BACKBONE = "training.", "backbone."


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]
"""A name or a list of names."""


def distinct(budgets: Iterable[str]) -> tuple[str, ...]:
    """Budgets as boards show them, each once."""
    return tuple(dict.fromkeys(map(canonical, budgets)))


Amounts = Annotated[tuple[str, ...], AfterValidator(distinct)]


class When(_Part):
    """Which runs an override is for: those of these names; an empty field is for all.

    Attributes:
        method, budget, backbone, form: names.
        density_from, density_below: only for data whose density is in that range: training and
            validation interactions as a share of all pairs of a user and an item.
        per_item_below: only for data whose items have fewer of these interactions on average.
            `bench.runs.settings.for_data` decides what depends on data.
    """

    method: Names = ()
    budget: Annotated[Amounts, BeforeValidator(_as_tuple)] = ()
    backbone: Names = ()
    form: Annotated[tuple[Form, ...], BeforeValidator(_as_tuple)] = ()
    density_from: float | None = Field(None, gt=0, lt=1)
    density_below: float | None = Field(None, gt=0, lt=1)
    per_item_below: float | None = Field(None, gt=0)

    @property
    def undecided(self) -> bool:
        """Whether it depends on data."""
        return self != self.decided()

    def suits(self, interactions: int, users: int, items: int) -> bool:
        """Whether it is for data with so many interactions outside of the test part."""
        density, per_item = interactions / (users * items), interactions / items
        low, high, most = self.density_from, self.density_below, self.per_item_below
        return (
            (low is None or density >= low)
            and (high is None or density < high)
            and (most is None or per_item < most)
        )

    def decided(self) -> When:
        """The same without what depends on data."""
        free = dict.fromkeys(("density_from", "density_below", "per_item_below"))
        return self.model_copy(update=free)

    @property
    def shared(self) -> bool:
        """Whether it is for all methods, budgets and forms."""
        return not (self.method or self.budget or self.form)

    def matches(self, method: str, budget: str | None, backbone: str, form: Form = "tuned") -> bool:
        """Whether a run is one of them; never if that depends on data that are not known yet."""
        return (
            not self.undecided
            and (not self.form or form in self.form)
            and (not self.method or method in self.method)
            and (not self.budget or canonical(budget or "") in self.budget)
            and (not self.backbone or backbone in self.backbone)
        )


class Override(_Part):
    """Settings that replace the defaults and the overrides above.

    Attributes:
        when: which runs it is for.
        set: values by key: a method's knob (`sparsity`), a setting of the training (`training.lr`)
            or of the backbone (`backbone.similarity`).
        tuned: a name or file of tuned settings, whose overrides stand here; in place of `set`, and
            of all of `when` but what depends on data.
    """

    when: When = When()
    set: dict[str, Any] = {}
    tuned: str = ""


class Suite(_Part):
    """A grid: methods x budgets x seeds x backbones on one data set, one set of settings.

    Settings are applied in this order, later ones replace earlier ones: the defaults (`training`,
    `backbone`, `method`), then `override` from top to bottom, then the command line's `--set`.

    Attributes:
        title: shown in listings.
        dataset: card name; the command line may name another.
        backbones: by name.
        methods: by name; empty for all but ablations. Popularity always runs.
        budgets: amounts, see `bench.budget`.
        accounting: what the budgets bind.
        dim: columns of the full table.
        seeds: how many, from 0.
        bits: precisions of stored values; every method runs at each. None: as its settings say.
            Methods with precision knobs of their own run once.
        forms: `tuned`: with the knobs of the suite and its tuned settings; `published`: with the
            knobs of the paper, all columns and float32. Methods without a published form run once.
        training: settings of the loop.
        backbone, method: configurations by name.
        override: what holds for some of the runs; see `bench.runs.settings`.
    """

    title: str = ""
    dataset: str | None = None
    backbones: tuple[str, ...] = ("mf",)
    methods: tuple[str, ...] = ()
    budgets: Amounts = ("5%", "10%", "20%")
    accounting: Literal["bytes", "values"] = "bytes"
    dim: int = Field(64, ge=1)
    seeds: int = Field(3, ge=1)
    bits: tuple[Bits, ...] = ()
    forms: tuple[Form, ...] = Field(("tuned",), min_length=1)
    training: Training = Training()
    backbone: dict[str, dict[str, Any]] = {}
    method: dict[str, dict[str, Any]] = {}
    override: tuple[Override, ...] = ()

    @property
    def tuned(self) -> tuple[str, ...]:
        """The tuned settings that it takes, by name or file."""
        return tuple(one.tuned for one in self.override if one.tuned)


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
        known = [one.stem for one in sorted(paths.folder("suites").glob("*.toml"))]
        raise SpecError(
            f"there is no suite {name!r}; {did_you_mean(name, known)}; or name a TOML file"
        )
    return read_suite(path)


def read_suite(path: Path) -> Suite:
    """Read a suite file.

    Raises:
        SpecError: naming the file, the key and the remedy.
    """
    return validated(read_toml(path), str(path))


def validated(content: Mapping[str, Any], source: str) -> Suite:
    """A suite from plain data.

    Raises:
        SpecError: naming the source and the key.
    """
    suite = check_model(Suite, content, source, HINT)
    for number, one in enumerate(suite.override):
        where = f"{source}: override.{number}"
        check_override(one, where)
        for budget in one.when.budget:
            parse_budget(budget, 1_000_000, suite.dim, suite.accounting)
            if budget not in suite.budgets:
                raise SpecError(
                    f"{where}: when.budget {budget!r} is none of the suite's budgets;"
                    f" {did_you_mean(budget, suite.budgets)}"
                )
    return suite


def check_override(one: Override, where: str) -> None:
    """Refuse an override that cannot be meant.

    Raises:
        SpecError: beginning with `where`, with the remedy.
    """
    if one.tuned and (one.set or one.when.decided() != When()):
        raise SpecError(
            f"{where}: `tuned` stands alone, or with `density_from`, `density_below` or"
            " `per_item_below`; put other parts of `when`, and `set`, into another override"
        )
    if not one.tuned and not one.set:
        raise SpecError(f"{where}: it sets nothing; give it `set`, or `tuned`")
    for key in one.set:
        if key.startswith(TRAINING):
            _check_training(one.when, key, where)
        elif key.startswith(BACKBONE):
            if not one.when.backbone:
                raise SpecError(
                    f"{where}: {key} is of one backbone; say which with"
                    ' `when = {backbone = "..."}`'
                )
        elif not one.when.method:
            raise SpecError(
                f"{where}: the knob {key!r} is of one method; say which with"
                ' `when = {method = "..."}`, or write training.KEY or backbone.KEY'
            )


def _check_training(when: When, key: str, where: str) -> None:
    name = key.removeprefix(TRAINING)
    if not when.shared and name not in OWNED_TRAINING:
        raise SpecError(
            f"{where}: {key}: a method or a budget may have its own"
            f" {' and '.join(OWNED_TRAINING)}; the rest is shared by a board"
        )
