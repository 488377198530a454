"""Sums of table rows, 16 columns at a time, as vector instructions.

numba's own loops over 16 columns become scalar instructions, which take five times as long. These
functions give LLVM the vectors themselves; on a processor with shorter vectors LLVM divides them.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 16  # columns: 64 bytes, a line of the cache
_TOGETHER = 4  # rows that are added to each other before the sum, so that it waits less often
_VECTOR = ir.VectorType(ir.FloatType(), LANES)
_INT64 = ir.IntType(64)


def _function(definition: Any) -> Any:
    """A function that compiled code can call, from one that gives its types and its code."""
    return intrinsic(definition)


@_function
def sum_rows(
    typing: Any,
    out: Any,
    out_at: Any,
    base: Any,
    base_at: Any,
    weight: Any,
    table: Any,
    columns: Any,
    start: Any,
    stop: Any,
    scale: Any,
) -> Any:
    """out[out_at:] = weight base[base_at:] + scale x the sum of the rows columns[start:stop].

    Args:
        typing: numba's.
        out: float32 array, contiguous; 16 values from `out_at` on are written.
        out_at: counted in values, for an array of any shape.
        base: likewise, read; may be `out`.
        base_at: likewise.
        weight: of `base`.
        table: float32 [n, 16], contiguous; its rows are summed.
        columns: integers.
        start: first of the columns.
        stop: end of the columns.
        scale: of the sum.
    """
    signature = types.void(
        out,
        types.int64,
        base,
        types.int64,
        types.float32,
        table,
        columns,
        types.int64,
        types.int64,
        types.float32,
    )

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        target, source, rows = (_data(context, builder, signature, args, at) for at in (0, 2, 5))
        column = _reader(context, builder, signature, args, 6)
        total = cgutils.alloca_once_value(builder, ir.Constant(_VECTOR, None))

        def add(place: Any, count: int) -> None:
            parts = []
            for k in range(count):
                number = column(builder.add(place, _INT64(k)))
                parts.append(_load(builder, rows, builder.mul(number, _INT64(LANES))))
            while len(parts) > 1:
                parts = [builder.fadd(a, b) for a, b in zip(parts[::2], parts[1::2], strict=True)]
            builder.store(builder.fadd(builder.load(total), parts[0]), total)

        place = cgutils.alloca_once_value(builder, args[7])
        for count in (_TOGETHER, 1):
            _loop(builder, place, args[8], count, add)
        kept = builder.fmul(_all(builder, args[4]), _load(builder, source, args[3]))
        added = builder.fmul(_all(builder, args[9]), builder.load(total))
        builder.store(builder.fadd(kept, added), _at(builder, target, args[1]), align=4)
        return context.get_dummy_value()

    return signature, generate


@_function
def add_to_rows(
    typing: Any,
    out: Any,
    columns: Any,
    start: Any,
    stop: Any,
    scale: Any,
    table: Any,
    table_at: Any,
) -> Any:
    """Add scale[i] table[table_at:] to each row i of `out` among `columns[start:stop]`.

    Args:
        typing: numba's.
        out: float32 [n, 16], contiguous; changed.
        columns: integers.
        start: first of the columns.
        stop: end of the columns.
        scale: float32 [n].
        table: float32 array, contiguous; 16 values from `table_at` on are read.
        table_at: counted in values, for an array of any shape.
    """
    signature = types.void(out, columns, types.int64, types.int64, scale, table, types.int64)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        target, factors, source = (_data(context, builder, signature, args, at) for at in (0, 4, 5))
        column = _reader(context, builder, signature, args, 1)
        term = _load(builder, source, args[6])

        def add(place: Any, count: int) -> None:
            number = column(place)
            pointer = _at(builder, target, builder.mul(number, _INT64(LANES)))
            factor = _all(builder, builder.load(builder.gep(factors, [number])))
            total = builder.fadd(builder.load(pointer, align=4), builder.fmul(factor, term))
            builder.store(total, pointer, align=4)

        place = cgutils.alloca_once_value(builder, args[2])
        _loop(builder, place, args[3], 1, add)
        return context.get_dummy_value()

    return signature, generate


@_function
def add_row(typing: Any, out: Any, out_at: Any, row: Any, row_at: Any, weight: Any) -> Any:
    """Add weight row[row_at:] to out[out_at:].

    Args:
        typing: numba's.
        out: float32 array, contiguous; 16 values from `out_at` on are changed.
        out_at: counted in values, for an array of any shape.
        row: likewise, read.
        row_at: likewise.
        weight: factor of what is added.
    """
    signature = types.void(out, types.int64, row, types.int64, types.float32)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        target, source = (_data(context, builder, signature, args, at) for at in (0, 2))
        pointer = _at(builder, target, args[1])
        term = builder.fmul(_all(builder, args[4]), _load(builder, source, args[3]))
        builder.store(builder.fadd(builder.load(pointer, align=4), term), pointer, align=4)
        return context.get_dummy_value()

    return signature, generate


def _data(context: Any, builder: Any, signature: Any, args: Any, number: int) -> Any:
    """Pointer to the values of the array that is an argument."""
    return context.make_array(signature.args[number])(context, builder, args[number]).data


def _reader(context: Any, builder: Any, signature: Any, args: Any, number: int) -> Any:
    """A function that reads an integer of the array that is an argument."""
    pointer, kind = _data(context, builder, signature, args, number), signature.args[number].dtype

    def read(place: Any) -> Any:
        value = builder.load(builder.gep(pointer, [place]))
        return context.cast(builder, value, kind, types.int64)

    return read


def _loop(builder: Any, place: Any, stop: Any, count: int, body: Any) -> None:
    """Call `body` for `count` places at a time while so many are left."""
    check, work, done = (builder.append_basic_block() for _ in range(3))
    builder.branch(check)
    builder.position_at_end(check)
    after = builder.add(builder.load(place), _INT64(count))
    builder.cbranch(builder.icmp_signed("<=", after, stop), work, done)
    builder.position_at_end(work)
    body(builder.load(place), count)
    builder.store(after, place)
    builder.branch(check)
    builder.position_at_end(done)


def _at(builder: Any, pointer: Any, offset: Any) -> Any:
    return builder.bitcast(builder.gep(pointer, [offset]), _VECTOR.as_pointer())


def _load(builder: Any, pointer: Any, offset: Any) -> Any:
    return builder.load(_at(builder, pointer, offset), align=4)


def _all(builder: Any, value: Any) -> Any:
    """A vector whose lanes all are the value."""
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.IntType(32)(0))
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), LANES), None)
    return builder.shuffle_vector(first, undefined, lanes)
