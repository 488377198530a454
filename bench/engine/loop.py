"""The training loop: phases, objective, early stopping on validation data, resuming."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.backbones.base import Backbone
from bench.compiled import available
from bench.data import Interactions
from bench.engine.adam import Adam
from bench.engine.batches import Batch, Sampler, seed_of
from bench.engine.checkpoint import Checkpoint, State, with_prefix
from bench.engine.distillation import Distillation
from bench.engine.evaluate import Evaluator
from bench.engine.gather import distinct, take
from bench.engine.grouped_loss import grouped_loss
from bench.engine.losses import grouping, mean_loss
from bench.engine.rank import measure
from bench.engine.settings import Training
from bench.method import Method, Phase, Progress

SELECT_ON = "ndcg@20"
LATE = 0.8  # of the epochs of a phase; the rest is its last fifth
CHECKS = 20  # times per epoch that a search compares what it keeps with its budget


class Diverged(RuntimeError):
    """The loss became infinite or not a number."""


Report = Callable[[dict[str, Any]], None]


class Fit:
    """Trains one method under one backbone.

    Args:
        method, backbone: trained together; both are on their device.
        data: the split; it needs a validation part unless `epochs` is given.
        training: settings.
        seed: of the run; it decides initial weights and batches.
        checkpoint: file to continue from and to save to; None saves nothing.
        report: called after each epoch with its entry of the history.
        epochs: fixed number of epochs of each phase, for training on train + validation.
        spent: passes over the data that the run has made before, for a teacher. They count
            towards its most epochs.
    """

    def __init__(
        self,
        method: Method,
        backbone: Backbone,
        data: Interactions,
        training: Training,
        seed: int,
        checkpoint: Path | None = None,
        report: Report = lambda entry: None,
        epochs: dict[str, int] | None = None,
        spent: int = 0,
    ) -> None:
        self.method, self.backbone, self.data = method, backbone, data
        self.training, self.seed, self.report = training, seed, report
        self.checkpoint = Checkpoint(checkpoint)
        self.fixed, self.spent = epochs, spent
        self.state = State()
        self.device = next(iter(method.state_dict().values())).device
        self._compiled = self.device.type == "cpu" and available()
        self._everyone = torch.arange(data.users + data.items, device=self.device)
        self._best: dict[str, Tensor] = {}
        self._moments: dict[str, Tensor] = {}  # of the phase before, for a phase that keeps them
        self._distillation: Distillation | None = None
        self.sampler = Sampler(
            data, training.objective, training.batch, self.device, training.user_pairs
        )
        self._validate = (
            Evaluator(data.valid, [data.train], data.items, self.device, limit=training.valid_users)
            if epochs is None
            else None
        )

    def run(self) -> State:
        """Train all phases; afterwards method and backbone have the selected weights.

        A method without phases has its initial weights then.

        Raises:
            Diverged: the loss became infinite or not a number.
        """
        tensors: dict[str, Tensor] = {}
        if not self.method.phases:
            self._reset()
            return self.state
        if (stored := self.checkpoint.load(len(self.method.phases))) is not None:
            self.state, tensors = stored  # loaded below, when the optimiser of the phase exists
        while self.state.phase < len(self.method.phases):
            phase = self.method.phases[self.state.phase]
            optimizer = self._enter(phase)
            if tensors:
                restored, tensors = self._restore(tensors, optimizer), {}
                if not restored:
                    continue
            while not self.state.stopped:
                self._epoch(phase, optimizer)
                self._save(optimizer)
            optimizer.close()
            self._moments = optimizer.state()
            self._leave(phase)
        return self.state

    def practice(self, number: int) -> tuple[Adam, Iterator[Tensor]]:
        """An endless iterator over training steps of a phase, for timing them.

        Nothing is validated, saved or recorded.

        Args:
            number: index of the phase; it starts from initial weights.

        Returns:
            The optimiser, and an iterator that does one step and gives its loss each time.
        """
        self.state = State(phase=number)
        phase = self.method.phases[number]
        optimizer, steps, epochs = self._enter(phase), self.sampler.steps, self._epochs(phase)

        def losses() -> Iterator[Tensor]:
            for epoch in count():
                within = epoch % epochs
                for step, batch in enumerate(self.sampler.epoch(seed_of(self.seed, epoch))):
                    done = within * steps + step
                    yield self._step(
                        batch, Progress(done, epochs * steps, within, epochs), optimizer
                    )

        return optimizer, losses()

    def _enter(self, phase: Phase) -> Adam:
        if phase.rewind or self.state.phase == 0:
            self._reset()
        if self.state.phase == 0:  # the backbone has the teacher's weights now
            objective = self.training.objective
            self._distillation = Distillation.of(self.method, self.backbone, objective)
        start = Progress(0, self._epochs(phase) * self.sampler.steps, 0, self._epochs(phase))
        self.method.begin(phase, start, self.training.lr)
        self.method.train()
        self.backbone.train()
        groups = list(self.method.groups(self.training.lr))
        groups.append({"params": list(self.backbone.parameters()), "lr": self.training.lr})
        optimizer = Adam(groups, self.method.tables())
        if not phase.fresh_optimizer and self._moments:
            optimizer.load(self._moments)
        return optimizer

    def _reset(self) -> None:
        for part in (self.method, self.backbone):
            part.reset(torch.Generator().manual_seed(seed_of(self.seed, type(part).__name__)))
        if self.backbone.start:
            self.backbone.load_state_dict(self.backbone.start)

    def _epochs(self, phase: Phase) -> int:
        # The cap sets the pace of a search, which ends when it fits the budget, in a refit too.
        if self.fixed is not None and not phase.until_budget:
            return self.fixed[phase.name]
        return self._most(phase)

    def _most(self, phase: Phase) -> int:
        """The most epochs that the current phase may take: all phases share one cap.

        A search leaves an epoch for each later phase; other phases divide what is left.
        """
        spent = self.spent + sum(one["epochs"] for one in self.state.phases)
        left, ahead = self.training.epochs - spent, self.method.phases[self.state.phase :]
        if phase.until_budget:
            return max(1, min(self.training.search_epochs, left - len(ahead) + 1))
        return max(1, left // sum(not one.until_budget for one in ahead))

    def _epoch(self, phase: Phase, optimizer: Adam) -> None:
        state, began = self.state, time.perf_counter()
        steps, epochs = self.sampler.steps, self._epochs(phase)
        check = max(1, steps // CHECKS)
        total = torch.zeros((), device=self.device)
        seen = 0
        for batch in self.sampler.epoch(seed_of(self.seed, phase.name, state.epoch)):
            done = state.epoch * steps + seen
            total += self._step(
                batch, Progress(done, epochs * steps, state.epoch, epochs), optimizer
            )
            seen += 1
            if phase.until_budget and seen % check == 0:
                optimizer.flush()
                if self.method.live() <= self.method.target():
                    state.stopped = "budget"
                    break
        optimizer.flush()
        loss = float(total) / seen
        if not math.isfinite(loss):
            raise Diverged(
                f"loss is {loss} in epoch {state.epoch + 1} of phase {phase.name}; lower lr"
            )
        state.epoch += 1
        state.seconds += time.perf_counter() - began
        entry = {
            "phase": phase.name,
            "epoch": state.epoch,
            "epochs": epochs,
            "loss": loss,
            "seconds": time.perf_counter() - began,
        }
        if phase.until_budget:
            entry["live"] = self.method.live()
        elif self._validate and (
            state.epoch % self.training.eval_every == 0 or state.epoch == epochs
        ):
            entry |= self._select()
        if not state.stopped and state.epoch >= epochs:
            state.stopped = "epochs"
        self.state.history.append(entry)
        self.report(entry)

    def _step(self, batch: Batch, progress: Progress, optimizer: Adam) -> Tensor:
        self.method.advance(self.method.phases[self.state.phase], progress)
        users, positives, negatives = batch
        everything = torch.cat((users, positives, negatives.reshape(-1)))
        objective, index = self.training.objective, None
        if objective.whole:
            ids, index = self._everyone, everything
        elif self.device.type == "cpu" or self._penalised or self._distillation:
            ids, index = distinct(everything, len(self._everyone))
        else:
            # A GPU reads a row twice in less time than it finds the distinct ones, whose number a
            # step would have to wait for.
            ids = everything
        if self.backbone.whole:
            everyone = self._rows(self._everyone)
            if objective.whole:
                taken, own = self.backbone.spread(everyone), everyone
            else:  # only the rows of the batch are needed from here on
                taken, own = self.backbone.spread_some(everyone, ids)
        else:
            taken = own = self._rows(ids)
        vectors = self.backbone.embed(taken)
        loss = self._loss(vectors, index, batch)
        if self.training.l2:
            squares = own.square().sum(-1)
            total = (squares if index is None else squares[index]).sum()
            loss = loss + self.training.l2 / 2 * total / len(users)
        penalised = loss + self.method.penalty(own, progress)
        if self._distillation:
            penalised = penalised + self._distillation.loss(vectors, ids, progress.step)
        penalised.backward()
        optimizer.step(self._share(progress))
        return loss.detach()

    @property
    def _penalised(self) -> bool:
        """Whether the method has a penalty, which needs the distinct rows of a batch."""
        return getattr(self.method.penalty, "__func__", None) is not Method.penalty

    def _loss(self, vectors: Tensor, index: Tensor | None, batch: Batch) -> Tensor:
        """Mean loss of a batch from vectors of its ids; arguments as of `_parts`."""
        objective, backbone = self.training.objective, self.backbone
        sizes = [one.numel() for one in batch]
        how = grouping(objective) if backbone.dot and index is not None else None
        if how is not None and self._compiled and vectors.dtype == torch.float32:
            assert index is not None
            first, second, third = index.split(sizes)
            return grouped_loss(vectors, first, second, third, how)
        users, positives, others = self._parts(vectors, index, sizes, objective.whole)
        if not objective.whole:
            others = others.view(*batch.negatives.shape, -1)
        return mean_loss(objective, backbone, users, positives, others)

    @staticmethod
    def _parts(
        vectors: Tensor, index: Tensor | None, sizes: list[int], whole: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Vectors of users and positives, and of negatives [n, width] or of all ids.

        Args:
            vectors: [m, width].
            index: place of each number of the batch among them; None if they are in its order.
            sizes: how many users, positives and negatives a batch has.
            whole: whether the objective takes the vectors of all ids.
        """
        if index is None:
            users, positives, negatives = vectors.split(sizes)
            return users, positives, negatives
        places = index.split(sizes)
        if whole:
            users, positives = take(vectors, *places[:2])
            return users, positives, vectors
        users, positives, negatives = take(vectors, *places)
        return users, positives, negatives

    def _rows(self, ids: Tensor) -> Tensor:
        """Rows of ids, without columns that are always zero if the backbone allows it."""
        rows = self.method(ids)
        width = self.method.width
        return rows[:, :width] if self.backbone.narrow and width < rows.shape[1] else rows

    def _share(self, progress: Progress) -> float:
        """Share of the learning rate at a step; 1 in a search, whose thresholds depend on it."""
        phase = self.method.phases[self.state.phase]
        if self.training.schedule == "constant" or phase.until_budget:
            return 1.0
        return 1 - progress.step / (self._most(phase) * self.sampler.steps)

    def _select(self) -> dict[str, float]:
        """Validate, and keep a copy of the weights if they are the best of the phase."""
        assert self._validate is not None
        state, found = self.state, self.validate(self._validate)
        if found[SELECT_ON] > state.best:
            state.best, state.best_epoch, state.waiting = found[SELECT_ON], state.epoch, 0
            self._best = {name: tensor.clone() for name, tensor in self._weights().items()}
        elif self.method.settled():
            state.waiting += 1
            if state.waiting >= self.training.patience:
                state.stopped = "patience"
        return {name: found[name] for name in ("recall@20", SELECT_ON)}

    @torch.no_grad()
    def validate(self, evaluator: Evaluator) -> dict[str, float]:
        """Metrics of a ranking with the current weights."""
        self.backbone.eval()
        result = measure(self.backbone, self.method(self._everyone), evaluator)
        self.backbone.train()
        return result

    def _leave(self, phase: Phase) -> None:
        state = self.state
        if self._best:
            self._load_weights(self._best)
            self._best = {}
        self.method.finish(phase)
        state.phases.append(
            {
                "name": phase.name,
                "epochs": state.epoch,
                "best_epoch": state.best_epoch or None,
                "seconds": state.seconds,
                "stopped": state.stopped,
                "gain": self._late_gain(phase),
                "best": state.best if state.best_epoch else None,
            }
        )
        self.state = State(phase=state.phase + 1, phases=state.phases, history=state.history)

    def _late_gain(self, phase: Phase) -> float | None:
        """By how much the validation score rose in the last fifth of a phase, as a share of it.

        None where nothing was validated, or not before the last fifth.
        """
        before = LATE * self.state.epoch
        early = [
            entry[SELECT_ON]
            for entry in self.state.history
            if entry["phase"] == phase.name and SELECT_ON in entry and entry["epoch"] <= before
        ]
        if not early or max(early) <= 0:
            return None
        return max(0.0, self.state.best / max(early) - 1)

    def _weights(self) -> dict[str, Tensor]:
        return {f"method.{k}": v for k, v in self.method.state_dict().items()} | {
            f"backbone.{k}": v for k, v in self.backbone.state_dict().items()
        }

    def _load_weights(self, tensors: dict[str, Tensor]) -> None:
        for prefix, part in (("method.", self.method), ("backbone.", self.backbone)):
            part.load_state_dict(with_prefix(prefix, tensors))

    def _save(self, optimizer: Adam) -> None:
        """Save a checkpoint if the last one is old enough."""
        if not self.checkpoint.due:
            return
        tensors = {f"now.{k}": v for k, v in self._weights().items()}
        tensors |= {f"best.{k}": v for k, v in self._best.items()}
        tensors |= {f"optimizer.{k}": v for k, v in optimizer.state().items()}
        self.checkpoint.save(self.state, tensors)

    def _restore(self, tensors: dict[str, Tensor], optimizer: Adam) -> bool:
        """Load the tensors of a checkpoint; if they do not fit, start again and return False."""
        best = with_prefix("best.", tensors)
        try:
            if self.state.best_epoch:
                self._load_weights(best)  # would fail only when the phase ends
            self._load_weights(with_prefix("now.", tensors))
            optimizer.load(with_prefix("optimizer.", tensors))
        except Exception as error:
            self.checkpoint.discard(error)
            self.state = State()
            return False
        self._best = {k: v.to(self.device) for k, v in best.items()}
        return True
