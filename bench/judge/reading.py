"""Reading the file of a method: its rows, its size and its speed, from its content alone."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from math import prod

from torch import Tensor

from bench.budget import VALUE_BYTES
from bench.engine.deploy import BrokenContract, look_up, lookup_speed
from bench.judge.model import Reading, Refused, Submission
from bench.method import Method
from bench.method.file import Packed, read_file
from bench.method.header import BadFile, read_header
from bench.method.identity import source_hash
from bench.method.size import DTYPES, ArrayKind
from bench.records import schema


def read(handed: Submission, methods: Mapping[str, type[Method]], device: str) -> Reading:
    """Read the file of a run.

    Args:
        handed: in by training.
        methods: all known methods.
        device: where rows are looked up.

    Raises:
        Refused: the file, or what it gives, is not accepted.
    """
    try:
        return _read(handed, methods, device)
    except Exception as error:
        raise refusal(error) from error


def refusal(error: Exception) -> Refused:
    """An error of a method's code, or about its file, for another process."""
    return Refused(type(error).__name__, str(error), traceback.format_exc())


def _read(handed: Submission, methods: Mapping[str, type[Method]], device: str) -> Reading:
    spec, kind = handed.spec, methods[handed.spec.method.name]
    if source_hash(kind) != spec.method.source:
        raise BrokenContract(
            f"the file of {kind.name} has changed since the run was planned; run it again"
        )
    header = read_header(handed.content)
    said = header.config, header.table.users, header.table.items, header.table.dim
    if dict(said[0]) != spec.method.config or header.table.backbone != spec.backbone.model_dump():
        raise BadFile(f"the header of the file of {kind.name} has other knobs than the run")
    budget = spec.budget.budget() if spec.budget else None
    packed, method = read_file(kind, handed.content, budget)
    method = method.to(device)
    rows = look_up(method, header.table, device)
    speed = lookup_speed(method, header.table)
    size = size_record(packed, header.table.ids, header.table.dim)
    return Reading(rows, size, speed, " ".join(str(method.outcome()).split())[:200])


def size_record(packed: Packed, ids: int, dim: int) -> schema.Size:
    """The size of a file beside that of the full table of `ids` x `dim` float32."""
    return schema.Size(
        values=packed.values,
        bytes=packed.bytes,
        file_bytes=packed.bytes,
        backbone_values=0,  # said, not left to the default: records have what was set
        full_values=ids * dim,
        full_bytes=ids * dim * VALUE_BYTES,
        arrays={
            name: _array_record(array, packed.kinds[name])
            for name, array in sorted(packed.arrays.items())
        },
    )


def _array_record(tensor: Tensor, kind: ArrayKind) -> schema.PackedArray:
    code, width = DTYPES[tensor.dtype]
    shape = tuple(tensor.shape)
    return schema.PackedArray(dtype=code, shape=shape, bytes=prod(shape) * width, kind=kind)
