"""Compressing the embeddings of a RecBole model in place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from bench.budget import Accounting, fraction, parse_budget
from bench.errors import BenchError
from bench.files import check_model
from bench.method import Method, Phase, Progress, Table
from bench.method.defaults import default_knobs
from bench.method.file import read_file, write_file
from bench.method.registry import get_method
from bench.method.size import Size
from bench.recbole.compat import require
from bench.recbole.tables import Shared, find_pairs, replace_tables

_CHECKS = 20  # times per epoch that a search compares what it keeps with its budget
_NAME = "compact_table"  # of the module in the model, and so in its checkpoints


class _Reached(Exception):
    """The search fits its budget; ends RecBole's training loop."""


def compact(
    model: Any,
    method: str,
    budget: str = "10%",
    *,
    accounting: Accounting = "bytes",
    config: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Compact:
    """Replace the user and item embeddings of a RecBole general recommender, in place.

    All pairs of a user and an item table (NeuMF has two) become one table, of which they have the
    columns in turn, so that one budget binds all of them. Its entries start with the standard
    deviation of the tables that it replaces. RecBole's ids stay, with a padding row for users and
    for items.

    Args:
        model: BPR, LightGCN, NeuMF, SimpleX, or any with `nn.Embedding` tables of users and items.
        method: name of a method.
        budget: as in `bench.budget`; shares are of the tables that are replaced.
        accounting: what the budget counts, `bytes` or `values`.
        config: the method's own knobs; the others have the defaults of `tuned/defaults.toml`.
            Graded codes and quantised columns store users' lengths, except for BPR, which they do
            not change.
        seed: of the initial weights.

    Returns:
        The compacted model: gives sizes, prepares a trainer and packs the result.

    Raises:
        BenchError: the model has no such tables or is compacted already, or RecBole is missing;
            `SpecError` for an unknown method, knob or budget, `Infeasible` if no size fits.
    """
    require()
    if hasattr(model, _NAME):
        raise BenchError(f"{type(model).__name__} is compacted already; build a new model")
    pairs = find_pairs(model)
    weights = [
        model.get_submodule(name).weight.detach() for p in pairs for name in (p.user, p.item)
    ]
    kind = get_method(method)
    if kind.needs:
        raise BenchError(
            f"{method} starts from {' and '.join(sorted(kind.needs))}, which RecBole's models do"
            " not give it; choose another method"
        )
    ids, dim = model.n_users + model.n_items, sum(pair.width for pair in pairs)
    table = Table(
        users=model.n_users,
        items=model.n_items,
        dim=dim,
        budget=parse_budget(budget, ids, dim, accounting) if kind.budgeted else None,
        seed=seed,
        std=float(torch.cat([weight.flatten() for weight in weights]).std()),
    )
    # Scores of BPR are products of two rows. Other models may use the length of a user's row.
    lengths = type(model).__name__ != "BPR"
    knobs = _knobs(kind, table, budget, config or {}, lengths)
    shared = Shared(kind(table, kind.plan(table, knobs)).to(weights[0].device))
    replace_tables(model, pairs, shared)
    model.add_module(_NAME, shared)
    return Compact(model, shared)


def _knobs(
    kind: type[Method], table: Table, budget: str, config: Mapping[str, Any], lengths: bool
) -> Any:
    """Return the knobs of a method: those given, those that keep users' lengths, and defaults.

    Raises:
        SpecError: an unknown knob, or a value that it cannot take.
    """
    hint = f"see `bench list methods {kind.name}`"
    given = check_model(kind.Config, dict(config), kind.name, hint)
    kept = kind.with_user_lengths(given) if lengths else given
    if table.budget is None:
        return kept
    found = default_knobs(kind, budget, fraction(table.budget, table.ids, table.dim))
    if table.budget.accounting == "values":
        found.pop("bits", None)
    found |= given.model_dump(exclude_unset=True)
    found |= {n: value for n, value in kept.model_dump().items() if value != getattr(given, n)}
    return check_model(kind.Config, found, kind.name, hint)


class Compact:
    """A compacted model: `compact` makes it.

    Attributes:
        model: RecBole's model, with lookups in the place of its tables.
        table: the table that the method provides.
        full_bytes: size of the tables that were replaced, in float32.
        other_values: number of the model's other parameters, which no budget counts.
    """

    def __init__(self, model: Any, shared: Shared) -> None:
        self.model, self._shared = model, shared
        self.table = shared.method.table
        self.full_bytes = self.table.ids * self.table.dim * 4
        inside = {id(parameter) for parameter in shared.parameters()}
        self._others = [p for p in model.parameters() if id(p) not in inside]
        self.other_values = sum(parameter.numel() for parameter in self._others)
        self._initial = {
            name: tensor.clone()
            for name, tensor in model.state_dict().items()
            if not name.startswith(_NAME + ".")
        }
        self._steps = self._step = self._epochs = 0
        self._searching: Phase | None = None
        self._phase: Phase | None = None
        self._ready = not self._has_hooks()
        self._rewind()
        # Hides the method of the class; RecBole's trainer calls the attribute of the model.
        model.calculate_loss = self._loss

    @property
    def method(self) -> Method:
        """The method that the embeddings come from."""
        return self._shared.method

    def prepare(self, trainer: Any, train_data: Any, search_epochs: int = 10) -> None:
        """Make the model and RecBole's trainer ready for `trainer.fit`.

        Methods that search before they train (CERP, PEP) search here until they fit the budget,
        with the trainer's own loop and optimiser and without validation. Afterwards initial
        weights, optimiser and epochs are as `fit` expects them.

        Args:
            trainer: RecBole's trainer of this model.
            train_data: RecBole's training data loader.
            search_epochs: the most epochs of each phase before the last.

        Raises:
            BenchError: the method searches, and the learner is not Adam with its weight decay.
        """
        method, phases = self.method, self.method.phases
        for phase in phases:
            if phase.until_budget and trainer.learner.lower() != "adam":
                raise BenchError(
                    f"{method.name} searches by Adam's weight decay, and the learner is"
                    f" {trainer.learner}; set learner: adam"
                )
        for number, phase in enumerate(phases):
            last = number == len(phases) - 1
            self._begin(trainer, len(train_data), phase, trainer.epochs if last else search_epochs)
            if not last:
                self._search(trainer, train_data, phase)
        self._ready = True

    def size(self) -> Size:
        """Measure the embeddings as they would be stored now."""
        return read_file(type(self.method), self.pack())[0].size

    def pack(self) -> bytes:
        """Pack the embeddings into a safetensors file's content."""
        return write_file(self.method)

    def deploy(self) -> Size:
        """Replace the embeddings by the packed ones, so that RecBole evaluates what is deployed.

        Load the best checkpoint first (`trainer.evaluate` does), and evaluate with
        `load_best_model=False` afterwards. The model cannot be trained further.

        Returns:
            The size of the packed embeddings.

        Raises:
            BenchError: it exceeds the budget.
        """
        if self.method.phases:
            self.method.finish(self.method.phases[-1])
        content, kind = self.pack(), type(self.method)
        found, method = read_file(kind, content)
        size = found.size
        if self.table.budget is not None and not size.within(self.table.budget):
            raise BenchError(
                f"{kind.name} packs {size.of(self.table.budget):,}"
                f" {self.table.budget.accounting}, more than its budget of"
                f" {self.table.budget.cap:,}; report it to the method's author"
            )
        device = next(iter(self.method.state_dict().values())).device
        self._shared.method = method.to(device)
        self._forget()
        return size

    def _has_hooks(self) -> bool:
        """Whether training the method needs more than gradients."""
        kind = type(self.method)
        hooks = ("begin", "advance", "groups", "penalty")
        own = any(getattr(kind, name) is not getattr(Method, name) for name in hooks)
        # Rounding in the last part of the training asks how long the training is.
        rounds = any(rounding.aware for rounding, _ in self.method.rounded_tables())
        return own or rounds or len(self.method.phases) > 1

    def _rewind(self) -> None:
        """Go back to the initial weights, of the embeddings and of the rest of the model."""
        self.method.reset(torch.Generator().manual_seed(self.table.seed))
        self.model.load_state_dict(self._initial, strict=False)
        self._forget()

    def _forget(self) -> None:
        """Drop composed and propagated rows that are cached for evaluation."""
        self._shared.forget()
        for name in getattr(self.model, "other_parameter_name", ()):
            if name.startswith("restore"):
                setattr(self.model, name, None)

    def _begin(self, trainer: Any, steps: int, phase: Phase, epochs: int) -> None:
        if phase.rewind:
            self._rewind()
        goes_on = self._phase is not None and not phase.fresh_optimizer
        before = trainer.optimizer.state if goes_on else {}
        self._phase = phase
        self._step, self._steps, self._epochs = 0, steps, epochs
        lr = trainer.learning_rate
        self.method.begin(phase, self._progress(), lr)
        self._forget()
        groups = list(self.method.groups(lr))
        if self._others:
            groups.append({"params": self._others})
        trainer.optimizer = trainer._build_optimizer(params=groups)
        for group in trainer.optimizer.param_groups:
            for parameter in group["params"]:
                if parameter in before:
                    trainer.optimizer.state[parameter] = before[parameter]

    def _search(self, trainer: Any, train_data: Any, phase: Phase) -> None:
        epochs, trainer.epochs = trainer.epochs, self._epochs
        self._searching = phase
        try:
            trainer.fit(train_data, None, verbose=False, saved=False)
        except _Reached:
            pass
        finally:
            self._searching = None
            trainer.epochs = epochs
        trainer.start_epoch = trainer.cur_step = 0
        trainer.train_loss_dict.clear()
        with torch.no_grad():
            self.method.finish(phase)
        self._forget()

    def _progress(self) -> Progress:
        steps = max(1, self._steps)
        return Progress(self._step, steps * self._epochs, self._step // steps, self._epochs)

    def _loss(self, interaction: Any) -> Any:
        """The model's loss plus the method's penalty; replaces `calculate_loss`."""
        method, shared = self.method, self._shared
        if not (self._ready or self._searching):
            raise BenchError(
                f"{method.name} needs more than RecBole's loop: call prepare(trainer, train_data)"
                " before trainer.fit"
            )
        if self._searching and self._searching.until_budget:
            due = self._step and self._step % max(1, self._steps // _CHECKS) == 0
            if due and method.live() <= method.target():
                raise _Reached
        progress, self._step = self._progress(), self._step + 1
        if self._phase is not None:
            method.advance(self._phase, progress)
        shared.recording = type(method).penalty is not Method.penalty
        losses = type(self.model).calculate_loss(self.model, interaction)
        if not shared.recording:
            return losses
        shared.recording = False
        ids = torch.unique(torch.cat(shared.seen))
        shared.seen.clear()
        penalty = method.penalty(method(ids), progress)
        if not isinstance(penalty, Tensor):
            return losses
        return (*losses, penalty) if isinstance(losses, tuple) else losses + penalty
