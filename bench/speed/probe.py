"""Timing the steps and the evaluation of one method under one backbone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from bench.backbones.base import Backbone
from bench.backbones.registry import get_backbone
from bench.data import Interactions
from bench.engine.batches import Batch, seed_of
from bench.engine.evaluate import Evaluator
from bench.engine.loop import CHECKS, Fit
from bench.engine.rank import rank
from bench.engine.settings import Training
from bench.method import Method
from bench.runs.pipeline import table_for
from bench.runs.spec import RunSpec
from bench.runs.teacher import stand_in

_FEW_USERS = 256  # evaluated where scores are networks; the time is scaled to all users


def clock(device: torch.device) -> float:
    """Seconds on a clock, after the device has finished its work.

    With one thread on a CPU the clock is processor time, so that other programs do not count.
    Otherwise it is wall time.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.process_time() if clock_name(device) == "processor" else time.perf_counter()


def clock_name(device: torch.device) -> str:
    """`processor` or `wall`."""
    return "processor" if device.type == "cpu" and torch.get_num_threads() == 1 else "wall"


def timed(work: Callable[[], Any], device: torch.device) -> float:
    """Seconds that a call takes."""
    began = clock(device)
    work()
    return clock(device) - began


class Probe:
    """One phase of a run, built as in the run.

    Args:
        spec: the run; initial weights and batches are those of its seed.
        data: in the run's numbering of ids.
        methods: all known methods.
        phase: index of the phase.
        device: where to train.
    """

    def __init__(
        self,
        spec: RunSpec,
        data: Interactions,
        methods: Mapping[str, type[Method]],
        phase: int = 0,
        device: str = "cpu",
    ) -> None:
        assert spec.training is not None
        kind, scored = methods[spec.method.name], get_backbone(spec.backbone.name)
        config = kind.Config.model_validate(spec.method.config)
        self.method = kind(stand_in(kind, table_for(spec, data), data), config).to(device)
        settings = scored.Config.model_validate(spec.backbone.config)
        self.backbone: Backbone = scored(data, spec.dim, settings).to(device)
        self.data, self.training, self.device = data, spec.training, torch.device(device)
        self.phase = self.method.phases[phase]
        self._fit = Fit(self.method, self.backbone, data, self.training, spec.seed)
        self._number = phase
        self._losses: Iterator[Any] | None = None
        self._everyone = torch.arange(data.users + data.items, device=device)

    @property
    def batches(self) -> int:
        """Steps of an epoch."""
        return self._fit.sampler.steps

    @property
    def width(self) -> int:
        """Columns that a step computes with."""
        return self.method.width if self.backbone.narrow else self.backbone.dim

    @property
    def positives(self) -> int:
        """Positives of an epoch."""
        return self.data.train.nnz

    def steps(self, count: int) -> list[float]:
        """Seconds of each of the next steps."""
        if self._losses is None:
            self._optimizer, self._losses = self._fit.practice(self._number)
        losses = self._losses
        return [timed(lambda: next(losses), self.device) for _ in range(count)]

    def around(self) -> float:
        """Seconds of an epoch outside its steps: drawing batches, and the checks of a search."""
        if self._losses is None:
            self.steps(1)
        draw = timed(lambda: next(self.sampled()), self.device)
        flush = timed(self._optimizer.flush, self.device)
        if not self.phase.until_budget:
            return draw + flush
        checks = self.batches // max(1, self.batches // CHECKS)
        return draw + checks * (flush + timed(self.method.live, self.device))

    def sampled(self) -> Iterator[Batch]:
        """Batches of an epoch."""
        return self._fit.sampler.epoch(seed_of("speed"))

    def groups(self) -> list[dict[str, Any]]:
        """Optimiser groups of the phase."""
        if self._losses is None:
            self.steps(1)
        own = {"params": list(self.backbone.parameters()), "lr": self.training.lr}
        return [*self.method.groups(self.training.lr), own]

    def evaluator(self, users: int = 0) -> Evaluator:
        """Full ranking on the test part for some users; 0 is all, or few for networks."""
        seen = [self.data.train, self.data.valid]
        limit = users or (0 if self.backbone.dot else _FEW_USERS)
        return Evaluator(self.data.test, seen, self.data.items, self.device, limit=limit)

    @torch.no_grad()
    def evaluation(self, evaluator: Evaluator) -> float:
        """Seconds of composing all rows, ranking for the evaluator's users and measuring."""
        self.backbone.eval()

        def work() -> None:
            rank(self.backbone, self.method(self._everyone), evaluator)

        seconds = timed(work, self.device)
        self.backbone.train()
        return seconds

    def close(self) -> None:
        """Detach the optimiser from the tables."""
        if self._losses is not None:
            self._optimizer.close()


def tested(data: Interactions) -> int:
    """Number of users in a full evaluation of the test part."""
    return int((data.test.degrees() > 0).sum())


def negatives(training: Training) -> int:
    """Negatives per positive: its own, or those that a batch shares."""
    return training.objective.negatives_shape(1)[-1]
