"""Floors: least times of a step and of an evaluation, measured in the same run.

A floor is the sum of the operations that the objective, the backbone and the optimiser need with
any method. Each is timed alone, on arrays of the same shapes that are allocated beforehand, without
autograd and sampling. The operations by which a method composes its rows are not included, so the
ratio to the floor shows them as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.backbones.lightgcn import LightGCN
from bench.compiled import available
from bench.engine.objectives import BPR, Contrastive, Softmax
from bench.speed.probe import Probe, negatives, tested, timed

_SCORES = 2**18  # scores that stay in a core's cache
_FEW = 16  # columns
_USERS = 128  # a block of the ranking GEMM
_BLOCKS = 12  # blocks that are timed; the others take as long
# The pass over the scores of shared negatives that gives an objective's derivative, and how many
# GEMMs there are. Few scores have a derivative under CCL; what these take is left out.
_PASS: dict[type, tuple[Callable[..., Tensor], int]] = {
    Softmax: (torch.exp, 3),
    BPR: (torch.sigmoid, 3),
    Contrastive: (torch.sign, 1),
}


@dataclass(frozen=True)
class Part:
    """One operation.

    Attributes:
        name: operation and shape, as they are printed.
        run: does it once.
        times: how often a step or an evaluation needs it.
    """

    name: str
    run: Callable[[], object]
    times: float = 1.0


@dataclass(frozen=True)
class Floor:
    """The parts of a step or of an evaluation."""

    parts: tuple[Part, ...]
    device: torch.device

    def measure(self) -> dict[str, float]:
        """Seconds of each part, by name."""
        return {part.name: timed(part.run, self.device) * part.times for part in self.parts}


def _gemm(m: int, k: int, n: int, device: torch.device) -> Callable[[], Tensor]:
    left, right = torch.randn(m, k, device=device), torch.randn(k, n, device=device)
    out = torch.empty(m, n, device=device)
    return lambda: torch.mm(left, right, out=out)


def _fused(
    batch: int,
    dim: int,
    count: int,
    scan: Callable[..., Tensor],
    gemms: int,
    device: torch.device,
) -> Part:
    """Scores of a batch and what their gradients need, block by block while they are in the cache.

    2 x gemms x batch x count x dim operations, a function of each score, and no pass over memory
    but those over the vectors.
    """
    rows = min(batch, max(1, _SCORES // count)) if device.type == "cpu" else batch
    users, items = torch.randn(rows, dim, device=device), torch.randn(count, dim, device=device)
    columns, scores = items.T.contiguous(), torch.empty(rows, count, device=device)
    by_user, by_item = torch.empty_like(users), torch.zeros_like(columns)
    flat = torch.empty_like(by_user.T)

    def work() -> None:
        torch.mm(users, columns, out=scores)
        scan(scores, out=scores)
        if gemms == 1:
            return
        # With few columns a GEMM is faster if its result has few rows.
        if dim < _FEW:
            torch.mm(columns, scores.T, out=flat)
        else:
            torch.mm(scores, items, out=by_user)
        by_item.addmm_(users.T, scores)

    what = f"{gemms} GEMM by {dim}, {scan.__name__}"
    name = f"{batch:,} x {count:,} scores, {rows} rows at a time: {what}"
    return Part(name, work, batch / rows)


def _adam(values: int, device: torch.device) -> Callable[[], object]:
    parameter = nn.Parameter(torch.randn(values, device=device))
    parameter.grad = torch.randn(values, device=device)
    return torch.optim.Adam([parameter], lr=1e-3, fused=True).step


def _linears(backbone: nn.Module, rows: int, passes: int, device: torch.device) -> list[Part]:
    parts = []
    for module in backbone.modules():
        if isinstance(module, nn.Linear):
            k, n = module.in_features, module.out_features
            name = f"{passes} GEMM {rows:,} x {k} x {n}"
            parts.append(Part(name, _gemm(rows, k, n, device), passes))
    return parts


def _propagation(probe: Probe, batch: bool) -> list[Part]:
    """Sparse products of a step, or of a ranking.

    A step has as many products backward as forward, but the last one forward is for the rows of the
    batch only, and so is the first one backward.
    """
    backbone = probe.backbone
    if not isinstance(backbone, LightGCN) or not backbone.config.layers:
        return []
    graph, layers, width = backbone.graph, backbone.config.layers, probe.width
    entries = len(backbone.values)
    times = float(layers)
    if batch and not probe.training.objective.whole:
        degrees = graph.starts.diff()[_ids(probe)]
        times = 2 * (layers - 1 + int(degrees.sum()) / entries)
    elif batch:
        times = 2.0 * layers
    if probe.device.type != "cpu" or not available():
        rows = torch.randn(probe.data.ids, width, device=probe.device)
        name = f"{times:.2f} sparse products {entries:,} entries x {width}"
        return [Part(name, lambda: graph.product(rows), times)]
    from bench.backbones.graph.kernels import LANES, product

    table = torch.randn(probe.data.ids, LANES).numpy()
    out, arrays = np.empty_like(table), [graph.starts, graph.columns, graph.scale]
    starts, columns, scale = (one.numpy() for one in arrays)
    name = f"{times:.2f} sparse products {entries:,} entries x {width}, {LANES} columns at a time"
    work = partial(product, table, starts, columns, scale, out)
    work()
    return [Part(name, work, times * -(-width // LANES))]


def step_floor(probe: Probe) -> Floor:
    """Floor of one training step."""
    training, device = probe.training, probe.device
    batch, dim, count = training.batch, probe.width, negatives(training)
    batch = min(batch, probe.positives)
    whole = probe.backbone.whole or training.objective.whole
    rows = probe.data.ids if whole else len(_ids(probe))
    parts: list[Part] = []
    objective = training.objective
    if not objective.whole and len(objective.negatives_shape(batch)) == 1:
        scan, gemms = _PASS[type(objective)]
        if probe.backbone.dot:
            parts.append(_fused(batch, dim, count, scan, gemms, device))
        else:
            scores = torch.randn(batch, count, device=device)
            out = torch.empty_like(scores)
            name = f"{scan.__name__} of {batch:,} x {count:,}"
            parts.append(Part(name, lambda: scan(scores, out=out)))
    elif isinstance(objective, BPR):
        one, other = (torch.randn(batch, 1 + count, dim, device=device) for _ in range(2))
        product = torch.empty_like(one)
        # Forward u * (p - n), backward two products with the scores' gradient.
        name = f"3 passes of products {batch:,} x {1 + count} x {dim}"
        parts.append(Part(name, lambda: torch.mul(one, other, out=product), 3))
    else:
        for ids in (probe.data.users, probe.data.items):
            name = f"3 GEMM {dim} x {ids:,} x {dim} (Gramian and its gradient)"
            parts.append(Part(name, _gemm(dim, ids, dim, device), 3))
    if not probe.backbone.dot:
        parts += _linears(probe.backbone, batch * (1 + count), 3, device)
    parts += _propagation(probe, batch=True)
    if not whole:
        table, index = torch.randn(probe.data.ids, dim, device=device), _some_ids(probe, rows)
        taken = torch.empty(rows, dim, device=device)
        parts.append(
            Part(
                f"rows in and out: 2 passes of {rows:,} of {probe.data.ids:,} x {dim}",
                lambda: torch.index_select(table, 0, index, out=taken),
                2,
            )
        )
    changed = _changed(probe.groups(), rows * dim)
    parts.append(Part(f"fused Adam over {changed:,} values", _adam(changed, device)))
    return Floor(tuple(parts), device)


def _changed(groups: list[dict[str, Any]], read: int) -> int:
    """Values that a step rewrites: all of a group with decay, otherwise at most those read."""
    total = 0
    for group in groups:
        size = sum(p.numel() for p in group["params"])
        total += size if group.get("weight_decay") else min(size, read)
    return total


def _ids(probe: Probe) -> Tensor:
    """Distinct ids of a batch."""
    users, positives, drawn = next(probe.sampled())
    return torch.unique(torch.cat((users, positives, drawn.reshape(-1))))


def _some_ids(probe: Probe, count: int) -> Tensor:
    return torch.randperm(probe.data.ids, device=probe.device)[:count].sort().values


def evaluation_floor(probe: Probe) -> Floor:
    """Floor of one full evaluation: the GEMMs of all users with all items.

    Items are tried in row-major and in column-major order, and the faster counts. All columns
    count, even if a method leaves some out.
    """
    users, items, dim, device = (
        tested(probe.data),
        probe.data.items,
        probe.backbone.dim,
        probe.device,
    )
    parts = _propagation(probe, batch=False)
    if not probe.backbone.dot:
        pairs = min(users, 2) * items
        return Floor(
            tuple(
                Part(f"{p.name} for all {users:,} users", p.run, users / min(users, 2))
                for p in _linears(probe.backbone, pairs, 1, device)
            ),
            device,
        )
    block, blocks = min(_USERS, users), -(-users // _USERS)
    left = torch.randn(block, dim, device=device)
    table, out = torch.randn(items, dim, device=device), torch.empty(block, items, device=device)
    columns = table.T.contiguous()
    some = min(_BLOCKS, blocks)

    def work() -> None:
        for _ in range(some):
            torch.mm(left, columns, out=out)

    def other() -> None:
        for _ in range(some):
            torch.mm(left, table.T, out=out)

    work()
    other()
    best = min((work, other), key=lambda one: min(timed(one, device) for _ in range(2)))
    name = f"GEMM {users:,} x {dim} x {items:,} in blocks of {block} users"
    return Floor((*parts, Part(name, best, blocks / some)), device)
