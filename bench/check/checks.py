"""Conformance of a method: what a contributor has to get right, tested without their writing tests.

`check_method` runs every check of `CHECKS` on a tiny data set, in a few seconds and without a GPU.
A check that fails says what is wrong and what to do about it.
"""

from __future__ import annotations

import ast
import inspect
import math
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import safetensors.torch
import torch
from pydantic import BaseModel, ValidationError
from torch import Tensor

from bench.backbones.mf import MF
from bench.budget import VALUE_BYTES, Accounting, Budget
from bench.data import CSR, Interactions
from bench.engine.adam import Adam
from bench.engine.evaluate import Evaluator
from bench.engine.loop import Fit
from bench.engine.rank import rank
from bench.engine.settings import Training
from bench.errors import Infeasible
from bench.method import Method, Phase, Progress, Role, Table
from bench.method.size import describe, size_of

SHAPES = ((31, 20, 8), (60, 41, 64), (997, 1004, 64), (300, 213, 12))  # users, items, dim
SHARES = (0.02, 0.05, 0.1, 0.2, 0.5)  # of the full table
ACCOUNTINGS: tuple[Accounting, ...] = get_args(Accounting)
ALLOWED_IMPORTS = ("bench.method", "bench.methods", "torch")  # methods: for variants of one
SCALE_TOLERANCE = 0.1  # of the standard deviation of starting rows
RESERVED = ("popularity",)  # what the engine itself ranks by
_LR = 0.05


@dataclass(frozen=True)
class Check:
    """Outcome of one check: its name, whether it passed, and what was found (or what to do)."""

    name: str
    passed: bool
    detail: str


class _Finding(Exception):
    """A check's finding, in words for the author of the method."""


def check_method(method_class: type[Method]) -> list[Check]:
    """Run all checks on a method, in the order of `CHECKS`.

    A check that raises counts as failed; the others run nevertheless.
    """
    subject = _Subject(method_class)
    return [_outcome(name, check, subject) for name, check in CHECKS.items()]


def _outcome(name: str, check: Callable[[_Subject], str], subject: _Subject) -> Check:
    try:
        return Check(name, True, check(subject))
    except _Finding as failure:
        return Check(name, False, str(failure))
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(where.filename).name}:{where.lineno}"
        return Check(name, False, f"raised {type(error).__name__} at {place}: {error}")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise _Finding(message)


class _Subject:
    """A method with what several checks need of it."""

    def __init__(self, kind: type[Method]) -> None:
        self.kind = kind

    def table(
        self,
        users: int = 60,
        items: int = 41,
        dim: int = 16,
        budget: Budget | None = None,
        std: float = 0.1,
    ) -> Table:
        counts = torch.arange(users + items).remainder(17).square() + 1  # uneven, as in real data
        return Table(
            users, items, dim, budget if self.kind.budgeted else None, std=std, counts=counts
        )

    def planned(
        self, users: int = 60, items: int = 41, dim: int = 16, std: float = 0.1
    ) -> tuple[Table, Any]:
        """Make a table and a configuration, for the least of several budgets that has a plan."""
        for share in (0.3, 0.6, 1.0, 2.0, 4.0):
            cap = int(share * (users + items) * dim * VALUE_BYTES)
            table = self.table(users, items, dim, Budget(cap), std)
            try:
                return table, self.kind.plan(table, self.kind.Config())
            except Infeasible:
                continue
        raise _Finding("plan finds no size even within four times the full table; see `largest`")

    def fresh(self, table: Table, config: Any, seed: int = 0) -> Method:
        method = self.kind(table, config)
        method.reset(torch.Generator().manual_seed(seed))
        return method

    def settled(self, table: Table, config: Any, seed: int = 0) -> Method:
        """Make a method that has gone through all of its phases without a training step."""
        method = self.fresh(table, config, seed)
        for phase in self.kind.phases:
            if phase.rewind:
                method.reset(torch.Generator().manual_seed(seed))
            method.begin(phase, Progress(0, 100, 0, 10), _LR)
            method.finish(phase)
        return method

    @cached_property
    def trained(self) -> _Trained:
        """Train on a tiny data set, through all phases."""
        data = tiny_data()
        table, config = self.planned(data.users, data.items)
        method = _recording(self.kind)(table, config)
        backbone = MF(data, table.dim, MF.Config())
        training = Training(lr=_LR, batch=64, epochs=12, search_epochs=6, patience=12)
        state = Fit(method, backbone, data, training, seed=0).run()
        return _Trained(data, table, config, method, backbone, state.history)


@dataclass(frozen=True)
class _Trained:
    data: Interactions
    table: Table
    config: Any
    method: Method
    backbone: MF
    history: list[dict[str, Any]]


def _recording(kind: type[Method]) -> type[Method]:
    """Make the method keep what it packs and looks up when its last phase begins."""

    class Recording(kind):  # type: ignore[misc, valid-type]
        def begin(self, phase: Phase, progress: Progress, lr: float) -> None:
            super().begin(phase, progress, lr)
            with torch.no_grad():
                packed = {name: tensor.clone() for name, tensor in self.pack().items()}
                self.begun = (packed, _all_rows(self))

    # Initial weights depend on the name of the class.
    Recording.__name__, Recording.__qualname__ = kind.__name__, kind.__qualname__
    return Recording


def tiny_data() -> Interactions:
    """48 users and 40 items in four blocks; every user likes items of the own block alone."""
    blocks, users, items = 4, 48, 40
    width = items // blocks
    parts: dict[str, list[tuple[int, int]]] = {"train": [], "valid": [], "test": []}
    for user in range(users):
        for step in range(width - 2):  # two items of each block are nobody's
            part = "valid" if step == 0 else "test" if step == 1 else "train"
            item = (user % blocks) * width + (user // blocks + step) % width
            parts[part].append((user, item))

    def matrix(pairs: list[tuple[int, int]]) -> CSR:
        array = np.array(pairs)
        return CSR.from_pairs(array[:, 0], array[:, 1], users)[0]

    train, valid, test = (matrix(parts[name]) for name in ("train", "valid", "test"))
    return Interactions(
        "tiny", "tiny-check", "Tiny", "", users, items, train=train, valid=valid, test=test
    )


@torch.no_grad()
def _all_rows(method: Method) -> Tensor:
    return method(torch.arange(method.table.ids))


# The checks --------------------------------------------------------------------------------------


def _identity(subject: _Subject) -> str:
    kind = subject.kind
    for attribute in ("name", "title"):
        value = getattr(kind, attribute, None)
        _require(
            isinstance(value, str) and bool(value),
            f"the class has no `{attribute}`; set it to a short text",
        )
    _require(
        re.fullmatch(r"[a-z][a-z0-9_-]*", kind.name) is not None,
        f"name {kind.name!r} is typed on the command line and names a folder: use small letters,"
        " digits, - and _",
    )
    _require(kind.name not in RESERVED, f"name {kind.name!r} is the engine's own; choose another")
    _require(
        isinstance(kind.revision, int) and kind.revision >= 1,
        f"revision is {kind.revision!r}; use a whole number from 1",
    )
    _require(
        kind.role in get_args(Role),
        f"role is {kind.role!r}; use one of {', '.join(get_args(Role))}",
    )
    names = [phase.name for phase in kind.phases]
    _require(
        isinstance(kind.phases, tuple) and len(set(names)) == len(names),
        f"phases must be a tuple of phases with different names, not {names}",
    )
    _require(
        not names or not kind.phases[-1].until_budget or kind.role == "ablation",
        "the last phase is a search: no epoch of a search is selected by validation, so add a"
        ' phase such as Phase("retrain")',
    )
    return f"{kind.name}, revision {kind.revision}, phases {', '.join(names) or 'none'}"


def _config(subject: _Subject) -> str:
    kind = subject.kind
    _require(
        issubclass(kind.Config, Method.Config),
        "Config must be a subclass of Method.Config, which rejects unknown keys",
    )
    try:
        default = kind.Config()
    except ValidationError as error:
        raise _Finding(
            f"Config() must work, give every knob a default: {error.error_count()} errors"
        ) from error
    _require(
        not _accepts(kind.Config, {"no_such_knob_": 1}),
        "Config accepts an unknown key; do not change `extra` in model_config",
    )
    for knob in kind.Config.model_fields:
        wrong = 1 if isinstance(getattr(default, knob), str) else "mistyped"
        _require(
            not _accepts(kind.Config, {knob: wrong}),
            f"Config accepts {knob} = {wrong!r}; annotate the knob with its exact type and leave"
            " `strict` in model_config",
        )
        try:
            setattr(default, knob, getattr(default, knob))
        except ValidationError:
            continue
        raise _Finding(f"Config.{knob} can be assigned to; leave `frozen` in model_config")
    _, config = subject.planned()
    stored = config.model_dump(mode="json", exclude_none=True)
    try:
        again = kind.Config.model_validate(stored)
    except ValidationError as error:
        raise _Finding(
            f"the planned Config {stored} cannot be read back from a record: use int, float, bool"
            f" and str knobs ({error.error_count()} errors)"
        ) from error
    _require(again == config, f"the planned Config {stored} reads back as {again}")
    return f"{len(stored)} knobs; unknown and mistyped keys are refused"


def _accepts(config: type[BaseModel], values: dict[str, Any]) -> bool:
    try:
        config.model_validate(values)
    except ValidationError:
        return False
    return True


def _imports(subject: _Subject) -> str:
    path = Path(inspect.getfile(subject.kind))
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            _require(not node.level, f"{path.name}:{node.lineno}: write imports in full")
            names = [node.module or ""]
        else:
            continue
        for name in names:
            _require(
                name.partition(".")[0] in sys.stdlib_module_names
                or any(name == ok or name.startswith(f"{ok}.") for ok in ALLOWED_IMPORTS),
                f"{path.name}:{node.lineno} imports {name}; a method may use"
                f" {', '.join(ALLOWED_IMPORTS)} and the standard library",
            )
            found.add(name)
    return f"{path.name} imports {', '.join(sorted(found))}"


def _cases(subject: _Subject) -> Iterator[tuple[Table, str]]:
    """Yield tables of several shapes, each with several budgets under both accountings."""
    for users, items, dim in SHAPES:
        full = (users + items) * dim
        for accounting in ACCOUNTINGS if subject.kind.budgeted else ACCOUNTINGS[:1]:
            unit = VALUE_BYTES if accounting == "bytes" else 1
            for share in SHARES if subject.kind.budgeted else SHARES[:1]:
                budget = Budget(int(share * full * unit), accounting)
                label = f"{users} + {items} ids, dim {dim}"
                if subject.kind.budgeted:
                    label += f", budget {budget.cap:,} {accounting}"
                yield subject.table(users, items, dim, budget), label


def _plan(subject: _Subject) -> str:
    kind, fits, gaps = subject.kind, 0, 0
    for table, label in _cases(subject):
        try:
            config = kind.plan(table, kind.Config())
        except Infeasible:
            gaps += 1
            continue
        _require(
            isinstance(config, kind.Config), f"{label}: plan returned {config!r}, not a Config"
        )
        if table.budget is not None:
            size = size_of(kind.arrays(table, config))
            _require(
                size.within(table.budget),
                f"{label}: plan chose {config}, which needs {size.of(table.budget):,}; choose the"
                " largest knob that fits with `cls.solve` or `bench.method.size.largest`",
            )
        again = kind.plan(table, config)
        _require(
            again == config,
            f"{label}: planning the planned {config} again gives {again}; keep knobs that are set",
        )
        fits += 1
    _require(fits > 0, "plan says Infeasible for every shape and budget from 2 to 50 %")
    return f"{fits} plans within their budgets, {gaps} infeasible"


def _minimum(subject: _Subject) -> str:
    kind = subject.kind
    if not kind.budgeted:
        return "no budget binds it"
    checked = 0
    for table, label in _cases(subject):
        for cap in (table.cap.cap, 1):
            tight = Budget(cap, table.cap.accounting)
            try:
                kind.plan(subject.table(table.users, table.items, table.dim, tight), kind.Config())
                continue
            except Infeasible as error:
                least = error.minimum
                _require(
                    error.unit == tight.accounting,
                    f"{label}: Infeasible counts {error.unit!r}; pass the budget's accounting",
                )
            _require(
                least > cap,
                f"{label}: Infeasible at {cap:,} with a minimum of {least:,}, which would fit",
            )
            enough = Budget(least, tight.accounting)
            try:
                kind.plan(subject.table(table.users, table.items, table.dim, enough), kind.Config())
            except Infeasible as error:
                raise _Finding(
                    f"{label}: the minimum was said to be {least:,}, but with just that plan asks"
                    f" for {error.minimum:,}; report the size of the smallest knob"
                ) from error
            under = Budget(least - 1, tight.accounting)
            try:
                kind.plan(subject.table(table.users, table.items, table.dim, under), kind.Config())
            except Infeasible:
                checked += 1
                continue
            raise _Finding(
                f"{label}: the minimum was said to be {least:,}, but plan also manages with one"
                " less; report the size of the smallest knob"
            )
    return f"{checked} minima are exact"


def _packed_size(subject: _Subject) -> str:
    checked = 0
    for table, label in _cases(subject):
        try:
            config = subject.kind.plan(table, subject.kind.Config())
        except Infeasible:
            continue
        if table.ids * table.dim > 50_000 and checked % 3:
            checked += 1  # large tables take their time: every third budget
            continue
        promised = subject.kind.arrays(table, config)
        packed = _stored(subject.settled(table, config))
        found = describe(packed)
        _require(
            found == dict(promised),
            f"{label}: `arrays` promises {_show(promised)}, `pack` returns {_show(found)}; they"
            " must agree after all phases",
        )
        measured, computed = len(safetensors.torch.save(packed)), size_of(promised).bytes
        _require(
            measured == computed,
            f"{label}: the stored file has {measured:,} bytes, {computed:,} were planned",
        )
        checked += 1
    return f"{checked} packed states have exactly the planned arrays and bytes"


def _show(arrays: Any) -> str:
    return ", ".join(
        f"{name} {str(dtype).removeprefix('torch.')}{list(shape)}"
        for name, (dtype, shape) in sorted(arrays.items())
    )


def _stored(method: Method) -> dict[str, Tensor]:
    return {name: tensor.contiguous() for name, tensor in method.pack().items()}


def _pack(subject: _Subject) -> str:
    packed = subject.settled(*subject.planned()).pack()
    _require(bool(packed), "pack returned nothing; it must hold all that inference needs")
    spans: list[tuple[int, int, str]] = []
    for name, tensor in packed.items():
        _require(isinstance(name, str), f"packed key {name!r} is not a text")
        _require(
            type(tensor) is Tensor and not tensor.requires_grad,
            f"packed array {name!r} is a {type(tensor).__name__} that"
            f" {'needs gradients' if getattr(tensor, 'requires_grad', False) else 'is no tensor'};"
            " return plain tensors (`.detach()`)",
        )
        _require(
            tensor.layout == torch.strided and tensor.is_contiguous(),
            f"packed array {name!r} is not contiguous; call `.contiguous()`",
        )
        start = tensor.data_ptr()
        if tensor.numel():
            spans.append((start, start + tensor.numel() * tensor.element_size(), name))
    describe(packed)  # names a type that may not be stored, and those that may
    spans.sort()
    for (_, end, one), (start, _, other) in pairwise(spans):
        _require(
            start >= end,
            f"packed arrays {one!r} and {other!r} share memory; store it once",
        )
    return f"{len(packed)} plain arrays: {_show(describe(packed))}"


def _forward(subject: _Subject) -> str:
    table, config = subject.planned()
    method = subject.fresh(table, config)
    for shape in ((), (1,), (5,), (3, 2), (table.ids,)):
        ids = torch.arange(math.prod(shape)).reshape(shape)
        rows = method(ids)
        _require(
            isinstance(rows, Tensor) and rows.shape == (*shape, table.dim),
            f"forward of ids {list(shape)} returned"
            f" {list(rows.shape) if isinstance(rows, Tensor) else type(rows).__name__}, not"
            f" {[*shape, table.dim]}; keep leading dimensions (`[..., dim]`)",
        )
        _require(rows.dtype == torch.float32, f"forward returned {rows.dtype}; return float32")
        _require(bool(rows.isfinite().all()), f"forward of ids {list(shape)} holds NaN or infinity")
        _require(
            0 < method.width <= table.dim and not rows[..., method.width :].any(),
            f"`width` is {method.width}, which is not where the zeros of rows begin",
        )
    return "rows [*, dim] in float32 for ids of every shape"


def _batches(subject: _Subject) -> str:
    table, config = subject.planned()
    method = subject.settled(table, config)
    everything = _all_rows(method)
    order = torch.randperm(table.ids, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for ids in (*order.split(7), order[:6].view(2, 3), order[:1].repeat(4), order):
            apart = (method(ids) - everything[ids]).abs().max()
            _require(
                float(apart) <= 1e-5 * float(everything.abs().max()),
                f"ids {ids.flatten().tolist()[:4]}... give other rows in a batch than among all"
                f" ids (by {float(apart):.2g}); a row may depend on its id alone",
            )
    return "rows do not depend on the batch"


def _reset(subject: _Subject) -> str:
    table, config = subject.planned()
    method = subject.fresh(table, config, seed=3)
    first = _all_rows(method)
    _require(
        torch.equal(first, _all_rows(subject.fresh(table, config, seed=3))),
        "two resets with the same seed give different rows; draw from `generator` alone",
    )
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.add_(1.0)
    method.reset(torch.Generator().manual_seed(3))
    _require(
        torch.equal(first, _all_rows(method)),
        "after training, reset does not bring the initial rows back; it must set every parameter",
    )
    if subject.kind.phases:
        _require(
            not torch.equal(first, _all_rows(subject.fresh(table, config, seed=4))),
            "resets with different seeds give the same rows; draw from `generator`",
        )
    return "the seed decides the initial rows"


def _round_trip(subject: _Subject) -> str:
    for users, items, dim in SHAPES[:2]:
        table, config = subject.planned(users, items, dim)
        method = subject.settled(table, config, seed=5)
        expected = _all_rows(method)
        stored = safetensors.torch.load(safetensors.torch.save(_stored(method)))
        ids = torch.arange(table.ids)
        rows = subject.kind.rows(stored, table, config, ids)
        _require(
            torch.equal(rows, expected),
            "rows from the packed state differ from forward"
            f" (in {int((rows != expected).sum())} of {rows.numel()} entries); pack everything that"
            " a row needs, and use neither table.seed nor table.counts nor the budget to rebuild"
            " it",
        )
        deployed = subject.kind.unpack(stored, table.bare(), config)
        _require(
            not any(parameter.requires_grad for parameter in deployed.parameters()),
            "unpack returns a method that still asks for gradients; end with requires_grad_(False)",
        )
    return "rows from the stored file equal forward, bit by bit"


def _state_dict(subject: _Subject) -> str:
    table, config = subject.planned()
    method = subject.settled(table, config, seed=6)
    other = subject.fresh(table, config, seed=7)
    if subject.kind.phases and not subject.kind.phases[-1].until_budget:
        other.begin(subject.kind.phases[-1], Progress(0, 100, 0, 10), _LR)
    other.load_state_dict({name: tensor.clone() for name, tensor in method.state_dict().items()})
    _require(
        torch.equal(_all_rows(other), _all_rows(method)),
        "a method with another's state_dict has other rows, so an interrupted run could not go on;"
        " keep what changes in parameters and buffers (`register_buffer`)",
    )
    return "state_dict holds the whole state"


def _scale(subject: _Subject) -> str:
    found = []
    for std in (0.1, 0.02):
        table, config = subject.planned(500, 501, 32, std)
        entries = torch.cat(
            [_all_rows(subject.fresh(table, config, seed)).flatten() for seed in range(8)]
        )
        entries = entries[entries != 0].double()
        _require(len(entries) > 0, "all rows start at zero; nothing could be learned")
        spread, mean = float(entries.std()), float(entries.mean())
        _require(
            abs(spread / std - 1) <= SCALE_TOLERANCE,
            f"entries start with a standard deviation of {spread:.4f}; scale `reset` so that it is"
            f" table.std = {std}, as for every method: the scale decides small-budget results",
        )
        _require(
            abs(mean) <= SCALE_TOLERANCE * std,
            f"entries start with a mean of {mean:.4f}; centre them (standard deviation {std})",
        )
        found.append(f"{spread:.4f} for {std}")
    return f"initial standard deviation {', '.join(found)}"


def _begun(subject: _Subject) -> tuple[Method, list[Tensor]]:
    """Make a method in its first phase; also returns what it trains there."""
    table, config = subject.planned()
    method = subject.fresh(table, config)
    method.begin(subject.kind.phases[0], Progress(0, 100, 0, 10), _LR)
    groups = list(method.groups(_LR))
    return method, [parameter for group in groups for parameter in group["params"]]


def _gradients(subject: _Subject) -> str:
    if not subject.kind.phases:
        return "it learns nothing"
    method, trained = _begun(subject)
    rows = method(torch.arange(method.table.ids))
    weights = torch.randn(rows.shape, generator=torch.Generator().manual_seed(8))
    _require(rows.requires_grad, "rows carry no gradient; do not detach or look up under no_grad")
    (rows * weights).sum().backward()
    names = {id(parameter): name for name, parameter in method.named_parameters()}
    _require(bool(trained), "groups yields no parameter; nothing would be trained")
    for parameter in trained:
        _require(
            id(parameter) in names, "groups yields a tensor that is no parameter of the method"
        )
        _require(
            parameter.grad is not None and bool((parameter.grad != 0).any()),
            f"parameter {names[id(parameter)]} gets no gradient from the rows of all ids; use it in"
            " forward, or leave it out of groups",
        )
    left_out = {
        names[id(parameter)]
        for parameter in method.parameters()
        if parameter.grad is not None and all(parameter is not other for other in trained)
    }
    _require(not left_out, f"rows depend on {', '.join(sorted(left_out))}, which groups leaves out")
    return f"{len(trained)} parameters get gradients"


def _optimiser(subject: _Subject) -> str:
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
        _require(
            apart <= 1e-4,
            f"{name} depends (by {apart:.2g} after 25 steps) on whether untouched rows are updated"
            " at once or when they are read; read a `Rows` by calling it with ids, never through"
            " `.weight`, while it trains",
        )
    return "postponed updates of untouched rows change nothing"


def _penalty(subject: _Subject) -> str:
    table, config = subject.planned()
    method = subject.fresh(table, config)
    for phase in subject.kind.phases:
        method.begin(phase, Progress(0, 100, 0, 10), _LR)
        rows = method(torch.arange(table.ids))
        for step in (0, 99):
            value = method.penalty(rows.detach(), Progress(step, 100, step // 10, 10))
            _require(
                isinstance(value, (int, float)) or (isinstance(value, Tensor) and not value.dim()),
                f"penalty in phase {phase.name} is {_kind(value)}; return a float or a 0-d tensor",
            )
            _require(
                math.isfinite(float(value)),
                f"penalty in phase {phase.name} is {float(value)} at step {step}",
            )
    return "a finite scalar"


def _kind(value: object) -> str:
    shape = f" of shape {list(value.shape)}" if isinstance(value, Tensor) else ""
    return type(value).__name__ + shape


def _loss(subject: _Subject) -> str:
    if not subject.kind.phases:
        return "it learns nothing"
    phases = subject.kind.phases
    start = max(number for number, phase in enumerate(phases) if phase.rewind or not number)
    names = [phase.name for phase in phases[start:]]  # since the weights were last set back
    losses = [entry["loss"] for entry in subject.trained.history if entry["phase"] in names]
    _require(
        losses[-1] < 0.97 * losses[0],
        f"the loss goes from {losses[0]:.4f} to {losses[-1]:.4f} in {len(losses)} epochs of"
        f" {', '.join(names)} on data that any table can learn; look at groups, begin and forward",
    )
    return f"loss {losses[0]:.3f} to {losses[-1]:.3f} in {len(losses)} epochs"


def _whole_run(subject: _Subject) -> str:
    run = subject.trained
    packed = _stored(run.method)
    content = safetensors.torch.save(packed)
    if run.table.budget is not None:
        _require(
            len(content) <= run.table.budget.cap,
            f"after training, the stored file has {len(content):,} bytes, more than the budget of"
            f" {run.table.budget.cap:,}; a search must cut to the planned size in `finish`",
        )
    expected = subject.kind.arrays(run.table, run.config)
    _require(
        describe(packed) == dict(expected),
        f"after training, `pack` returns {_show(describe(packed))}; planned were {_show(expected)}",
    )
    ids = torch.arange(run.table.ids)
    rows = subject.kind.rows(safetensors.torch.load(content), run.table, run.config, ids)
    _require(bool(rows.isfinite().all()), "trained rows hold NaN or infinity")
    _require(
        torch.equal(rows, _all_rows(run.method)),
        "after training, rows from the stored file differ from forward; pack all that training"
        " changed",
    )
    result = rank(run.backbone, rows, Evaluator(run.data.test, [run.data.train], run.data.items))
    _require(
        all(math.isfinite(value) for value in result.metrics.values()),
        f"metrics are not finite: {result.metrics}",
    )
    return f"{len(content):,} bytes, recall@5 {result.metrics['recall@5']:.3f}"


def _mask(subject: _Subject) -> str:
    if not any(phase.until_budget for phase in subject.kind.phases):
        return "nothing is pruned"
    method = subject.trained.method
    before, rows = cast(tuple[dict[str, Tensor], Tensor], method.begun)
    after = method.pack()
    moved = [
        name
        for name, tensor in before.items()
        if not tensor.dtype.is_floating_point and not torch.equal(tensor, after[name])
    ]
    _require(
        not moved,
        f"retraining changed {', '.join(moved)}; what a search decided stays as it is",
    )
    revived = int(((rows == 0) & (_all_rows(method) != 0)).sum())
    _require(
        revived == 0,
        f"{revived} entries that were pruned are no longer 0 after retraining; apply the mask in"
        " forward",
    )
    return f"{int((rows == 0).sum())} pruned entries of rows stay 0"


CHECKS: dict[str, Callable[[_Subject], str]] = {
    "identity": _identity,
    "config": _config,
    "imports": _imports,
    "plan": _plan,
    "minimum": _minimum,
    "packed size": _packed_size,
    "pack": _pack,
    "forward": _forward,
    "batches": _batches,
    "reset": _reset,
    "round trip": _round_trip,
    "state dict": _state_dict,
    "initial scale": _scale,
    "gradients": _gradients,
    "optimiser": _optimiser,
    "penalty": _penalty,
    "loss": _loss,
    "whole run": _whole_run,
    "mask": _mask,
}
