"""Files and folders as `bench export` writes them, of methods that nothing was trained for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.budget import Budget
from bench.check.subject import Subject
from bench.errors import Infeasible, SpecError
from bench.export.names import names_file
from bench.method import Method
from bench.method.file import read_file, write_file
from bench.method.search_space import Choice

COSINE = {"name": "mf", "config": {"similarity": "cosine", "lengths": 0.1}}


SHARES = (0.05, 0.1, 0.15, 0.3, 0.6, 1.0, 2.0, 4.0, 8.0)


def made(
    kind: type[Method],
    users: int = 61,
    items: int = 41,
    dim: int = 13,
    shares: Sequence[float] = SHARES,
    **knobs: Any,
) -> Method:
    """A method with these knobs under the smallest of several budgets that it can have.

    Args:
        kind: the method.
        users, items, dim: of the table.
        shares: the budgets, as shares of the full table.
        knobs: of the method.

    Raises:
        Infeasible: it has no size.
    """
    subject = Subject(kind)
    config, last = kind.Config.model_validate(knobs), Infeasible(1, "bytes")
    for share in shares:
        table = subject.table(users, items, dim, Budget(int(share * (users + items) * dim * 4)))
        try:
            return subject.settled(table, kind.plan(table, config))
        except Infeasible as error:
            last = error
    raise last


def settings(kind: type[Method], whole: bool) -> Iterator[dict[str, Any]]:
    """The defaults, precisions, and each knob at the ends of what it may be tuned to.

    Args:
        kind: the method.
        whole: all pairs of bits and scales; else each of the bits with one of the scales.
    """
    yield {}
    if not kind.Config.own_precision:
        yield {"bits": 16, "scale": "row"}
        scales = ("row", "item", "side")
        for number, bits in enumerate((8, 6, 4, 3, 2, 1)):
            for scale in scales if whole else scales[number % 3 :][:1]:
                yield {"bits": bits, "scale": scale}
        yield {"bits": 2, "levels": "uniform"}
        yield from ({"bits": 4, "scale": scale, "scale_bits": 4} for scale in ("row", "item"))
    for knob, space in kind.space.items():
        ends = space.values if isinstance(space, Choice) else (space.low, space.high)
        for value in ends:
            if value is not None:
                yield {knob: value}


def makeable(kind: type[Method], whole: bool) -> Iterator[tuple[dict[str, Any], Method]]:
    """Those of the `settings` that the method has a size for."""
    for knobs in settings(kind, whole):
        try:
            yield knobs, made(kind, **knobs)
        except (Infeasible, SpecError, ValueError):
            continue


def content(method: Method, backbone: dict[str, Any] | None = None) -> bytes:
    """The file of a method."""
    method.table = replace(method.table, backbone=backbone or COSINE)
    return write_file(method)


@torch.no_grad()
def rows_of(method: Method) -> np.ndarray:
    """Rows of all ids as the program reads them back from the arrays of the file."""
    _, back = read_file(type(method), write_file(method))
    return back(torch.arange(method.table.ids)).numpy()


def write(folder: Path, method: Method, **options: Any) -> Path:
    """The file of a method in a folder, with ids u0, u1, ... and i0, i1, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "embeddings.safetensors").write_bytes(content(method, **options))
    users, items = method.table.users, method.table.items
    names = names_file([f"u{n}" for n in range(users)], [f"i{n}" for n in range(items)])
    (folder / "ids.safetensors").write_bytes(names)
    return folder
