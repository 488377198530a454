"""Checks of rows and stored state, before any training step."""

from __future__ import annotations

import math
from itertools import pairwise

import safetensors.torch
import torch
from torch import Tensor

from bench.check.subject import LR, Subject, all_rows, packed_arrays, require, show
from bench.method import Method, Progress
from bench.method.size import describe

SCALE_TOLERANCE = 0.1  # of the standard deviation of starting rows
_SHAPES = ((31, 20, 8), (60, 41, 64))  # users, items, dim


def pack(subject: Subject) -> str:
    """Check that the packed arrays are plain, contiguous tensors that share no memory."""
    packed = subject.settled(*subject.planned()).store()
    require(bool(packed), "pack returned nothing; it must hold all that inference needs")
    spans: list[tuple[int, int, str]] = []
    for name, tensor in packed.items():
        require(isinstance(name, str), f"packed key {name!r} is not a text")
        require(
            type(tensor) is Tensor and not tensor.requires_grad,
            f"packed array {name!r} is a {type(tensor).__name__} that"
            f" {'needs gradients' if getattr(tensor, 'requires_grad', False) else 'is no tensor'};"
            " return plain tensors (`.detach()`)",
        )
        require(
            tensor.layout == torch.strided and tensor.is_contiguous(),
            f"packed array {name!r} is not contiguous; call `.contiguous()`",
        )
        start = tensor.data_ptr()
        if tensor.numel():
            spans.append((start, start + tensor.numel() * tensor.element_size(), name))
    describe(packed)  # names a type that may not be stored, and those that may
    spans.sort()
    for (_, end, one), (start, _, other) in pairwise(spans):
        require(
            start >= end,
            f"packed arrays {one!r} and {other!r} share memory; store it once",
        )
    return f"{len(packed)} plain arrays: {show(describe(packed))}{_counted(subject, packed)}"


def _counted(subject: Subject, packed: dict[str, Tensor]) -> str:
    """A remark on integers that count as values."""
    kind, declared = subject.kind, ("indices", "mask", "scales")
    names = [
        name
        for name, tensor in packed.items()
        if not tensor.dtype.is_floating_point
        and not name.endswith((".codes", ".scale"))
        and kind.kind_of(name, tensor.dtype) not in declared
    ]
    if not names:
        return ""
    return (
        f"; {', '.join(names)}: integers count as values under --accounting values, unless they are"
        " row numbers of ids (`index_maps`) or positions of a pruned table (`pruned_tables`)"
    )


def forward(subject: Subject) -> str:
    """Check the shape, type and values of rows for ids of several shapes."""
    table, config = subject.planned()
    method = subject.fresh(table, config)
    for shape in ((), (1,), (5,), (3, 2), (table.ids,)):
        ids = torch.arange(math.prod(shape)).reshape(shape)
        rows = method(ids)
        require(
            isinstance(rows, Tensor) and rows.shape == (*shape, table.dim),
            f"forward of ids {list(shape)} returned"
            f" {list(rows.shape) if isinstance(rows, Tensor) else type(rows).__name__}, not"
            f" {[*shape, table.dim]}; keep leading dimensions (`[..., dim]`)",
        )
        require(rows.dtype == torch.float32, f"forward returned {rows.dtype}; return float32")
        require(bool(rows.isfinite().all()), f"forward of ids {list(shape)} holds NaN or infinity")
        require(
            0 < method.width <= table.dim and not rows[..., method.width :].any(),
            f"`width` is {method.width}, which is not where the zeros of rows begin",
        )
    return "rows [*, dim] in float32 for ids of every shape"


def batches(subject: Subject) -> str:
    """Check that a row depends on its id alone."""
    table, config = subject.planned()
    method = subject.settled(table, config)
    everything = all_rows(method)
    order = torch.randperm(table.ids, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for ids in (*order.split(7), order[:6].view(2, 3), order[:1].repeat(4), order):
            apart = (method(ids) - everything[ids]).abs().max()
            require(
                float(apart) <= 1e-5 * float(everything.abs().max()),
                f"ids {ids.flatten().tolist()[:4]}... give other rows in a batch than among all"
                f" ids (by {float(apart):.2g}); a row may depend on its id alone",
            )
    return "rows do not depend on the batch"


def reset(subject: Subject) -> str:
    """Check that the seed alone decides the initial rows."""
    table, config = subject.planned()
    method = subject.fresh(table, config, seed=3)
    first = all_rows(method)
    require(
        torch.equal(first, all_rows(subject.fresh(table, config, seed=3))),
        "two resets with the same seed give different rows; draw from `generator` alone",
    )
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.add_(1.0)
    method.reset(torch.Generator().manual_seed(3))
    require(
        torch.equal(first, all_rows(method)),
        "after training, reset does not bring the initial rows back; it must set every parameter",
    )
    if subject.kind.phases and "teacher" not in subject.kind.needs:
        require(
            not torch.equal(first, all_rows(subject.fresh(table, config, seed=4))),
            "resets with different seeds give the same rows; draw from `generator`",
        )
    return "the seed decides the initial rows"


def round_trip(subject: Subject) -> str:
    """Check that rows from the stored file equal those of `forward`."""
    for users, items, dim in _SHAPES:
        table, config = subject.planned(users, items, dim)
        method = subject.settled(table, config, seed=5)
        expected = all_rows(method)
        stored = safetensors.torch.load(safetensors.torch.save(packed_arrays(method)))
        ids = torch.arange(table.ids)
        rows = subject.kind.rows(stored, table, config, ids)
        require(
            torch.equal(rows, expected),
            "rows from the packed state differ from forward"
            f" (in {int((rows != expected).sum())} of {rows.numel()} entries); pack everything that"
            " a row needs, and use neither table.seed nor table.counts nor the budget to rebuild"
            " it",
        )
        deployed = subject.kind.restore(stored, table.bare(), config)
        require(
            not any(parameter.requires_grad for parameter in deployed.parameters()),
            "unpack returns a method that still asks for gradients; end with requires_grad_(False)",
        )
    return "rows from the stored file equal forward, bit by bit"


def state_dict(subject: Subject) -> str:
    """Check that `state_dict` holds the whole state, so that a run can be resumed."""
    table, config = subject.planned()
    method = subject.settled(table, config, seed=6)
    other = subject.fresh(table, config, seed=7)
    if subject.kind.phases and not subject.kind.phases[-1].until_budget:
        other.begin(subject.kind.phases[-1], Progress(0, 100, 0, 10), LR)
    other.load_state_dict({name: tensor.clone() for name, tensor in method.state_dict().items()})
    require(
        torch.equal(all_rows(other), all_rows(method)),
        "a method with another's state_dict has other rows, so an interrupted run could not go on;"
        " keep what changes in parameters and buffers (`register_buffer`)",
    )
    return "state_dict holds the whole state"


def unrounded(method: Method) -> Method:
    """The method without the rounding of its values, which may set the lengths of rows."""
    method.round_no_more()
    return method


def scale(subject: Subject) -> str:
    """Check that the entries of initial rows have mean 0 and standard deviation `table.std`."""
    if "teacher" in subject.kind.needs:
        return "it starts from a trained table"
    found = []
    for std in (0.1, 0.02):
        table, config = subject.planned(500, 501, 32, std)
        entries = torch.cat(
            [all_rows(unrounded(subject.fresh(table, config, seed))).flatten() for seed in range(8)]
        )
        entries = entries[entries != 0].double()
        require(len(entries) > 0, "all rows start at zero; nothing could be learned")
        spread, mean = float(entries.std()), float(entries.mean())
        require(
            abs(spread / std - 1) <= SCALE_TOLERANCE,
            f"entries start with a standard deviation of {spread:.4f}; scale `reset` so that it is"
            f" table.std = {std}, as for every method: the scale decides small-budget results",
        )
        require(
            abs(mean) <= SCALE_TOLERANCE * std,
            f"entries start with a mean of {mean:.4f}; centre them (standard deviation {std})",
        )
        found.append(f"{spread:.4f} for {std}")
    return f"initial standard deviation {', '.join(found)}"
