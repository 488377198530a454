"""Plans: the runs that a suite comes to on a data set, with their sizes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from bench import budget as budgets
from bench.backbones.registry import get_backbone
from bench.data import Interactions
from bench.data.numbering import Numbering, number
from bench.engine.settings import Training
from bench.errors import Infeasible, SpecError
from bench.files import check_model
from bench.method import Method, Table
from bench.method.identity import published, rounds, source_hash
from bench.methods.full import Full
from bench.records.schema import BackboneSpec, BudgetSpec, DatasetSpec, MethodSpec
from bench.runs.popularity import Popularity, popularity_spec
from bench.runs.settings import check_names, for_data, resolve, with_override
from bench.runs.spec import Run, RunSpec
from bench.runs.suite import HINT, Form, Suite
from bench.runs.tuned import find_tuned

_OWN_SHARE = 1 / 3  # of the passes, for the phases of a method that starts from a trained table


@dataclass(frozen=True)
class Planned:
    """A run of a plan, with its packed size if it is known beforehand, or why it cannot be."""

    run: Run
    values: int | None = None
    bytes: int | None = None
    infeasible: Infeasible | None = None


def plan(
    suite: Suite,
    data: Interactions,
    methods: Mapping[str, type[Method]],
    command: str,
    seeds: Sequence[int] | None = None,
    tuned: Sequence[str] = (),
) -> list[Planned]:
    """All runs of a suite on a data set, size knobs solved; seeds innermost.

    Each run is there once, also where budgets of several spellings come to the same cap.

    Args:
        suite: the grid.
        data: the split.
        methods: all known methods.
        command: what the user types for one of these runs, less method, budget and seed.
        seeds: in place of the suite's.
        tuned: files of tuned settings that the suite takes and `command` does not name.

    Raises:
        SpecError: an unknown method or backbone, a bad configuration or budget.
    """
    wanted = wanted_methods(suite, methods)
    planner = Planner(suite, data, command, tuned)
    planned = [planner.popularity()]
    for backbone in suite.backbones:
        for kind in suited(suite, wanted, backbone):
            for label in suite.budgets if kind.budgeted else (None,):
                for form, bits in _variants(suite, kind):
                    for seed in range(suite.seeds) if seeds is None else seeds:
                        planned.append(planner.run(kind, backbone, label, seed, bits, form))
    distinct: dict[str, Planned] = {}
    for one in planned:
        distinct.setdefault(one.run.spec.id, one)
    return list(distinct.values())


def wanted_methods(suite: Suite, methods: Mapping[str, type[Method]]) -> list[type[Method]]:
    """The methods that a suite names; all but ablations where it names none.

    Raises:
        SpecError: there is no method of a name.
    """
    check_names(suite, (*methods, Popularity.name))
    usual = [name for name, kind in methods.items() if kind.role != "ablation"]
    names = dict.fromkeys(suite.methods or usual)
    return [methods[name] for name in names if name != Popularity.name]


def unsuited(suite: Suite, kind: type[Method], backbone: str) -> str:
    """Why a board with several methods leaves one out, after a comma; "" if it has a place there.

    Methods that store few bits a value have none where budgets count values, and methods that keep
    products have none where scores are no products.
    """
    if suite.accounting == "values" and rounds(kind):
        return "as few bits a value save no values"
    if not get_backbone(backbone).narrow and keeps_products(kind):
        return "which does not score by products of rows"
    return ""


def suited(suite: Suite, wanted: Sequence[type[Method]], backbone: str) -> Sequence[type[Method]]:
    """The methods of a board under a backbone; all if it had none, and the planner says why."""
    return [kind for kind in wanted if not unsuited(suite, kind, backbone)] or wanted


def left_out(suite: Suite, methods: Mapping[str, type[Method]]) -> Iterator[str]:
    """A sentence for the methods that a backbone of a suite goes without, for each reason.

    Raises:
        SpecError: there is no method of a name.
    """
    wanted = wanted_methods(suite, methods)
    for backbone in suite.backbones:
        present, reasons = suited(suite, wanted, backbone), dict[str, list[str]]()
        for kind in wanted:
            if kind not in present:
                reasons.setdefault(unsuited(suite, kind, backbone), []).append(kind.name)
        for reason, names in reasons.items():
            yield f"Left out under {backbone}, {reason}: {', '.join(names)}."


def _precisions(suite: Suite, kind: type[Method]) -> Sequence[int | None]:
    """The precisions that a method runs at; None: as its settings say."""
    return (None,) if rounds(kind) else suite.bits or (None,)


def forms_of(suite: Suite, kind: type[Method]) -> Sequence[Form]:
    """The forms of a method that a suite runs."""
    return tuple(dict.fromkeys(suite.forms)) if published(kind) else ("tuned",)


def _variants(suite: Suite, kind: type[Method]) -> Iterator[tuple[Form, int | None]]:
    """The forms of a method, and the precisions of each; the published one is float32."""
    for form in forms_of(suite, kind):
        for bits in (None,) if form == "published" else _precisions(suite, kind):
            yield form, bits


def keeps_products(kind: type[Method]) -> bool:
    """Whether a method compresses a trained table and learns nothing afterwards.

    Such methods rotate rows or change the lengths of users' rows, which changes no product.
    """
    return "teacher" in kind.needs and not kind.phases


class Planner:
    """Plans the runs of a suite on a data set.

    Args:
        suite: the grid that the runs are of.
        data: the split.
        command: what the user types for one of these runs, less method, budget and seed.
        tuned: files of tuned settings that the suite takes and `command` does not name.
    """

    def __init__(
        self, suite: Suite, data: Interactions, command: str = "", tuned: Sequence[str] = ()
    ) -> None:
        self._suite, self._data, self._command = for_data(suite, data), data, command
        self._tuned = tuned
        self._counts: dict[Numbering, torch.Tensor] = {}

    def popularity(self) -> Planned:
        """The ranking by popularity, which nothing is trained for."""
        spec = popularity_spec(self._dataset(), self._suite.dim)
        return Planned(Run(spec, None, None, f"{self._command} --method {Popularity.name}"))

    def run(
        self,
        kind: type[Method],
        backbone: str,
        label: str | None,
        seed: int,
        bits: int | None = None,
        form: Form = "tuned",
    ) -> Planned:
        """A run with its size knobs solved, or why no size fits.

        Args:
            kind: the method.
            backbone: its name.
            label: the budget; None for a method that no budget binds.
            seed: of the run.
            bits: of a stored value; None: as the settings say.
            form: whose knobs it has: those of the suite, or those of the paper.

        Raises:
            SpecError: a bad configuration or budget.
        """
        scorer = get_backbone(backbone)
        if keeps_products(kind) and not scorer.narrow:
            raise SpecError(
                f"{kind.name} keeps products of the rows of a trained table, and {backbone} does"
                " not score by products; take mf or lightgcn, or leave the method out (-m)"
            )
        suite, data = self._suite, self._data
        ids = data.users + data.items
        cap = budgets.parse_budget(label, ids, suite.dim, suite.accounting) if label else None
        if bits is not None:
            suite = with_override(suite, {"bits": None if bits == 32 else bits}, method=kind.name)
        fraction = budgets.fraction(cap, ids, suite.dim) if cap else None
        found = resolve(suite, kind, label, backbone, fraction, form)
        training = found.training
        objective = training.objective
        if why := scorer.refusal(found.backbone, shared=objective.shared, whole=objective.whole):
            raise SpecError(why)
        counts = self._counted(training.numbering)
        scored = BackboneSpec(name=backbone, config=found.backbone.stored())
        table = Table(
            users=data.users,
            items=data.items,
            dim=suite.dim,
            budget=cap,
            seed=seed,
            std=training.init_std,
            counts=counts,
            wide=scorer.narrow,
            backbone=scored.model_dump(),
        )
        config, infeasible = found.config, None
        if form == "published":
            config = check_model(kind.Config, dict(published(kind)), f"{kind.name}.published", HINT)
            config = kind.with_user_lengths(config) if scorer.whole else config
        try:
            config = kind.plan(table, config)
        except Infeasible as error:
            infeasible = error
        except Exception as error:  # a plugin may raise anything; nothing has run yet
            raise _unplanned(kind, "plan", error) from error
        spec = RunSpec(
            dataset=self._dataset(),
            backbone=scored,
            dim=suite.dim,
            method=MethodSpec(
                name=kind.name,
                revision=kind.revision,
                config=config.record(),
                source=source_hash(kind),
                form="published" if form == "published" else None,
            ),
            budget=BudgetSpec(cap=cap.cap, accounting=cap.accounting) if cap else None,
            training=training,
            teacher=self._teacher(suite, kind, backbone, training),
            seed=seed,
        )
        words = ["--backbone", backbone, "--method", kind.name, "--seed", str(seed)]
        cited = found.tuned or self._cited(backbone)
        words += ["--tuned", cited] if cited else []
        words += ["--budget", label] if label else []
        words += ["--bits", str(bits)] if bits is not None else []
        words += ["--form", form] if form != "tuned" else []
        run = Run(
            spec,
            budgets.canonical(label) if label else None,
            fraction,
            f"{self._command} {shlex.join(words)}",
            found.tuning,
        )
        if infeasible:
            return Planned(run, infeasible=infeasible)
        try:
            size = kind.file_size(table, config)
        except Exception as error:
            raise _unplanned(kind, "arrays", error) from error
        return Planned(run, size.values, size.bytes)

    def _cited(self, backbone: str) -> str:
        """The file that a run's command has to name if no row is for the run; "" without one.

        Without the file, settings that it has for all methods would be missing, and those of the
        suite's own file would take their place.
        """
        own = [one for one in self._tuned if _has_some(one, backbone)]
        return (own or list(self._tuned) or [""])[-1]

    def _teacher(
        self, suite: Suite, kind: type[Method], backbone: str, training: Training
    ) -> Training | None:
        """The training of the full table that a method starts from, in the run's numbering.

        All passes together are those of the other methods: what the method trains itself has a
        share of them.
        """
        if "teacher" not in kind.needs:
            return None
        found = resolve(suite, Full, None, backbone).training
        changes: dict[str, object] = {"numbering": training.numbering, "refit": training.refit}
        if kind.phases:
            changes["epochs"] = max(1, training.epochs - round(training.epochs * _OWN_SHARE))
        return found.model_copy(update=changes)

    def _dataset(self) -> DatasetSpec:
        data = self._data
        return DatasetSpec(name=data.name, split=data.split, fingerprint=data.fingerprint)

    def _counted(self, numbering: Numbering) -> torch.Tensor:
        """int64 [N], training interactions of each id as they are numbered in a run."""
        if numbering not in self._counts:
            self._counts[numbering] = torch.from_numpy(number(self._data, numbering).data.counts())
        return self._counts[numbering]


def _has_some(tuned: str, backbone: str) -> bool:
    """Whether a file of tuned settings has any for a backbone."""
    whens = (one.when for one in find_tuned(tuned).override)
    return any(not when.backbone or backbone in when.backbone for when in whens)


def _unplanned(kind: type[Method], hook: str, error: Exception) -> SpecError:
    if isinstance(error, SpecError):
        return error  # a setting of the user, and it says so
    what = f"{type(error).__name__}: {error}".partition("\n")[0]
    return SpecError(f"{kind.name}: its `{hook}` raises {what}; `bench check` tells more")
