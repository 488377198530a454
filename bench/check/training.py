"""Checks of training: gradients, the optimiser, penalties, and a whole run on tiny data."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor

from bench.check.subject import LR, Subject, all_rows, packed_arrays, require, show
from bench.engine.adam import Adam
from bench.engine.evaluate import Evaluator
from bench.engine.rank import rank
from bench.method import Method, Progress
from bench.method.file import read_file, write_file
from bench.method.size import describe


def _begun(subject: Subject) -> tuple[Method, list[Tensor]]:
    """Make a method in its first phase; also returns what it trains there."""
    table, config = subject.planned()
    method = subject.fresh(table, config)
    method.begin(subject.kind.phases[0], Progress(0, 100, 0, 10), LR)
    groups = list(method.groups(LR))
    return method, [parameter for group in groups for parameter in group["params"]]


def gradients(subject: Subject) -> str:
    """Check that all trained parameters get gradients, and no others."""
    if not subject.kind.phases:
        return "it learns nothing"
    method, trained = _begun(subject)
    rows = method(torch.arange(method.table.ids))
    weights = torch.randn(rows.shape, generator=torch.Generator().manual_seed(8))
    require(rows.requires_grad, "rows carry no gradient; do not detach or look up under no_grad")
    total = (rows * weights).sum() + method.penalty(rows, Progress(0, 100, 0, 10))
    total.backward()
    names = {id(parameter): name for name, parameter in method.named_parameters()}
    require(bool(trained), "groups yields no parameter; nothing would be trained")
    for parameter in trained:
        require(id(parameter) in names, "groups yields a tensor that is no parameter of the method")
        require(
            parameter.grad is not None and bool((parameter.grad != 0).any()),
            f"parameter {names[id(parameter)]} gets no gradient from the rows of all ids and the"
            " penalty; use it in forward, or leave it out of groups",
        )
    left_out = {
        names[id(parameter)]
        for parameter in method.parameters()
        if parameter.grad is not None and all(parameter is not other for other in trained)
    }
    require(not left_out, f"rows depend on {', '.join(sorted(left_out))}, which groups leaves out")
    return f"{len(trained)} parameters get gradients"


def optimiser(subject: Subject) -> str:
    """Check that postponed updates of rows equal immediate ones."""
    if not subject.kind.phases:
        return "it learns nothing"
    results = []
    for lazily in (True, False):
        method, _ = _begun(subject)
        optimizer = Adam(method.groups(0.01), method.tables() if lazily else ())
        generator = torch.Generator().manual_seed(9)
        for _ in range(25):
            ids = torch.randperm(method.table.ids, generator=generator)[:3]
            weights = torch.randn(3, method.table.dim, generator=generator)
            rows = method(ids)
            ((rows * weights).sum() + rows.square().sum()).backward()
            optimizer.step()
        optimizer.close()
        results.append({name: value.detach() for name, value in method.named_parameters()})
    lazy, dense = results
    for name, value in dense.items():
        apart = float((lazy[name] - value).abs().max())
        require(
            apart <= 1e-4,
            f"{name} depends (by {apart:.2g} after 25 steps) on whether untouched rows are updated"
            " at once or when they are read; read a `Rows` by calling it with ids, never through"
            " `.weight`, while it trains",
        )
    return "postponed updates of untouched rows change nothing"


def penalty(subject: Subject) -> str:
    """Check that the penalty is a finite scalar in every phase."""
    table, config = subject.planned()
    method = subject.fresh(table, config)
    for phase in subject.kind.phases:
        method.begin(phase, Progress(0, 100, 0, 10), LR)
        rows = method(torch.arange(table.ids))
        for step in (0, 99):
            value = method.penalty(rows.detach(), Progress(step, 100, step // 10, 10))
            value = value.detach() if isinstance(value, Tensor) else value
            require(
                isinstance(value, (int, float)) or (isinstance(value, Tensor) and not value.dim()),
                f"penalty in phase {phase.name} is {_kind(value)}; return a float or a 0-d tensor",
            )
            number = float(value.detach() if isinstance(value, Tensor) else value)
            require(
                math.isfinite(number),
                f"penalty in phase {phase.name} is {number} at step {step}",
            )
    return "a finite scalar"


def _kind(value: object) -> str:
    shape = f" of shape {list(value.shape)}" if isinstance(value, Tensor) else ""
    return type(value).__name__ + shape


def loss(subject: Subject) -> str:
    """Check that training lowers the loss."""
    if not subject.kind.phases:
        return "it learns nothing"
    phases = subject.kind.phases
    start = max(number for number, phase in enumerate(phases) if phase.rewind or not number)
    names = [phase.name for phase in phases[start:]]  # since the weights were last set back
    losses = [entry["loss"] for entry in subject.trained.history if entry["phase"] in names]
    require(
        losses[-1] < 0.97 * losses[0],
        f"the loss goes from {losses[0]:.4f} to {losses[-1]:.4f} in {len(losses)} epochs of"
        f" {', '.join(names)} on data that any table can learn; look at groups, begin and forward",
    )
    return f"loss {losses[0]:.3f} to {losses[-1]:.3f} in {len(losses)} epochs"


def whole_run(subject: Subject) -> str:
    """Check size, rows and metrics after a whole run."""
    run = subject.trained
    packed = packed_arrays(run.method)
    content = write_file(run.method)
    if run.table.budget is not None:
        require(
            len(content) <= run.table.budget.cap,
            f"after training, the stored file has {len(content):,} bytes, more than the budget of"
            f" {run.table.budget.cap:,}; a search must cut to the planned size in `finish`",
        )
    expected = subject.kind.file_arrays(run.table, run.config)
    require(
        describe(packed) == dict(expected),
        f"after training, `pack` returns {show(describe(packed))}; planned were {show(expected)}",
    )
    ids = torch.arange(run.table.ids)
    found, deployed = read_file(subject.kind, content)
    with torch.no_grad():
        rows = deployed(ids)
    require(bool(rows.isfinite().all()), "trained rows hold NaN or infinity")
    require(
        torch.equal(rows, all_rows(run.method)),
        "after training, rows from the stored file differ from forward; pack all that training"
        " changed",
    )
    result = rank(run.backbone, rows, Evaluator(run.data.test, [run.data.train], run.data.items))
    require(
        all(math.isfinite(value) for value in result.metrics.values()),
        f"metrics are not finite: {result.metrics}",
    )
    return (
        f"{len(content):,} bytes, {found.values:,} values, recall@5"
        f" {result.metrics['recall@5']:.3f}"
    )


def mask(subject: Subject) -> str:
    """Check that retraining keeps what a search has pruned."""
    if not any(phase.until_budget for phase in subject.kind.phases):
        return "nothing is pruned"
    method = subject.trained.method
    before, rows = cast(tuple[dict[str, Tensor], Tensor], method.begun)
    after = method.store()
    kinds = {name: subject.kind.kind_of(name, tensor.dtype) for name, tensor in before.items()}
    fixed = {name: kind for name, kind in kinds.items() if kind in ("mask", "indices")}
    moved = [name for name in fixed if not torch.equal(before[name], after[name])]
    require(
        not moved,
        f"retraining changed {', '.join(moved)}; what a search decided stays as it is",
    )
    if "mask" not in fixed.values():
        return f"{len(fixed)} arrays that the search has decided stay as they are"
    revived = int(((rows == 0) & (all_rows(method) != 0)).sum())
    require(
        revived == 0,
        f"{revived} entries that were pruned are no longer 0 after retraining; apply the mask in"
        " forward",
    )
    return f"{int((rows == 0).sum())} pruned entries of rows stay 0"
