"""Our metrics and our propagation compared with independent computations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.backbones.lightgcn import LightGCN
from bench.data import CSR, Interactions
from bench.engine.evaluate import KS, Evaluator
from bench.errors import BenchError
from bench.recbole import compatible

USERS, ITEMS = 83, 241
LAYERS, DIM = 3, 16


@dataclass(frozen=True)
class Check:
    """Result of a cross-check.

    Attributes:
        name: the two computations.
        difference: largest absolute difference; None if the check was skipped.
        tolerance: largest difference that passes.
        skipped: why the check was skipped; empty if it was not.
    """

    name: str
    difference: float | None
    tolerance: float
    skipped: str = ""

    @property
    def failed(self) -> bool:
        """Whether the difference exceeds the tolerance; false for a skipped check."""
        return self.difference is not None and not self.difference <= self.tolerance


def random_split(seed: int) -> Interactions:
    """Return random interactions; some users have no test item, some items no interaction.

    Other users have 1 to 30 test items, thus numbers below and above the smaller cutoffs.
    """
    rng = np.random.default_rng(seed)
    parts: list[list[tuple[int, int]]] = [[], [], []]
    for user in range(USERS):
        items = rng.permutation(ITEMS - 5)
        held_out = 0 if user % 7 == 0 else rng.integers(1, 31)
        sizes = rng.integers(1, 40), rng.integers(1, 6), held_out
        for part, chosen in zip(parts, np.split(items, np.cumsum(sizes)), strict=False):
            part += [(user, int(item)) for item in chosen]
    arrays = [np.array(part, dtype=np.int64) for part in parts]
    train, valid, test = (CSR.from_pairs(a[:, 0], a[:, 1], USERS)[0] for a in arrays)
    return Interactions("random", "random", "Random", "", USERS, ITEMS, train, valid, test)


def ours(data: Interactions, scores: Tensor) -> dict[str, float]:
    """Return the test metrics of a score matrix, float32 [users, items], by the engine."""

    def look_up(users: Tensor, order: Tensor, out: Tensor) -> Tensor:
        out[:, : len(order)] = scores[users][:, order]
        return out

    return Evaluator(data.test, [data.train, data.valid], data.items)(look_up).metrics


def by_the_formula(data: Interactions, scores: Tensor) -> dict[str, float]:
    """Return the same metrics in float64; sort all items of one user at a time."""
    found: dict[str, list[float]] = {f"{m}@{k}": [] for k in KS for m in ("recall", "ndcg")}
    for user in range(data.users):
        wanted = set(data.test.row(user).tolist())
        if not wanted:
            continue
        seen = set(data.train.row(user).tolist()) | set(data.valid.row(user).tolist())
        row = scores[user].double().tolist()
        ranked = sorted((i for i in range(data.items) if i not in seen), key=lambda i: -row[i])
        for k in KS:
            places = [place for place, item in enumerate(ranked[:k], 1) if item in wanted]
            gain = sum(1 / math.log2(place + 1) for place in places)
            ideal = sum(1 / math.log2(p + 1) for p in range(1, min(k, len(wanted)) + 1))
            found[f"recall@{k}"].append(len(places) / len(wanted))
            found[f"ndcg@{k}"].append(gain / ideal)
    return {name: math.fsum(values) / len(values) for name, values in found.items()}


def by_recbole(data: Interactions, scores: Tensor) -> dict[str, float]:
    """Return the same metrics by RecBole's Collector and Evaluator, called as its Trainer does.

    Raises:
        BenchError: RecBole is not installed.
    """
    with compatible():
        from recbole.evaluator import Collector
        from recbole.evaluator import Evaluator as Theirs

        config: dict[str, Any] = {
            "metrics": ["Recall", "NDCG"],
            "topk": list(KS),
            "metric_decimal_place": 12,
            "eval_args": {"mode": "full ranking"},
            "device": torch.device("cpu"),
        }
        users = np.flatnonzero(data.test.degrees() > 0)
        masked = scores[users].clone()
        for at, user in enumerate(users):
            for part in (data.train, data.valid):
                masked[at, part.row(user).astype(np.int64)] = -math.inf
        rows = np.repeat(np.arange(len(users)), data.test.degrees()[users])
        items = np.concatenate([data.test.row(user) for user in users]).astype(np.int64)
        collector = Collector(config)
        collector.eval_batch_collect(masked, None, torch.from_numpy(rows), torch.from_numpy(items))
        return dict(Theirs(config).evaluate(collector.get_data_struct()))


def dense_propagation(data: Interactions, rows: Tensor, layers: int) -> Tensor:
    """Return the mean of E, A E, ..., A^L E, dense, in float64.

    A = D^-1/2 [0 R; R^T 0] D^-1/2.
    """
    size = data.users + data.items
    matrix = torch.zeros(size, size, dtype=torch.float64)
    for user in range(data.users):
        for item in data.train.row(user).tolist():
            matrix[user, data.users + item] = matrix[data.users + item, user] = 1
    degrees = matrix.sum(1)
    scale = torch.where(degrees > 0, degrees, torch.ones_like(degrees)).pow(-0.5)
    matrix = scale[:, None] * matrix * scale[None, :]
    power, total = rows.double(), rows.double()
    for _ in range(layers):
        power = matrix @ power
        total = total + power
    return total / (layers + 1)


def check_metrics(
    name: str, other: Callable[[Interactions, Tensor], dict[str, float]], seeds: Sequence[int]
) -> Check:
    """Compare our metrics of random scores with another computation."""
    tolerance = 1e-6  # float32 means; the formulas, masks and users are the same
    keys = [f"{metric}@{k}" for metric in ("recall", "ndcg") for k in KS]
    found: list[float] = []
    for seed in seeds:
        data = random_split(seed)
        scores = torch.rand(USERS, ITEMS, generator=torch.Generator().manual_seed(seed))
        try:
            theirs = other(data, scores)
        except BenchError as error:
            return Check(name, None, tolerance, str(error))
        mine = ours(data, scores)
        found += [abs(mine[key] - float(theirs[key])) for key in keys]
    return Check(name, _largest(found), tolerance)


def check_propagation(name: str, gradient: bool, seeds: Sequence[int]) -> Check:
    """Compare our propagation of random rows, or its gradient, with a dense one in float64."""
    found: list[float] = []
    for seed in seeds:
        data = random_split(seed)
        generator = torch.Generator().manual_seed(seed)
        rows, pull = (torch.randn(USERS + ITEMS, DIM, generator=generator) for _ in range(2))
        single, double = rows.clone().requires_grad_(), rows.double().requires_grad_()
        mine = LightGCN(data, DIM, LightGCN.Config(layers=LAYERS)).spread(single)
        theirs = dense_propagation(data, double, LAYERS)
        if gradient:
            (mine,) = torch.autograd.grad((mine * pull).sum(), single)
            (theirs,) = torch.autograd.grad((theirs * pull.double()).sum(), double)
        found += (mine.detach().double() - theirs.detach()).abs().flatten().tolist()
    return Check(name, _largest(found), 1e-5)


def run_checks(seeds: Sequence[int] = (0, 1, 2)) -> list[Check]:
    """Run all cross-checks, each on several random data sets; takes about two seconds."""
    return [
        check_metrics("Recall, NDCG: the formula, one user at a time", by_the_formula, seeds),
        check_metrics("Recall, NDCG: RecBole's evaluator", by_recbole, seeds),
        check_propagation("LightGCN propagation: dense, in float64", False, seeds),
        check_propagation("its gradient: dense, in float64", True, seeds),
    ]


def _largest(differences: Sequence[float]) -> float:
    # max would hide a NaN.
    return math.nan if any(map(math.isnan, differences)) else max(differences)
