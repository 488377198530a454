"""How values are stored: in how many bits, at which levels, with which scales.

Every float array that a method packs goes through here, so that a method has value precision
without a line of code. The same rounding is applied to rows while training (straight-through, see
`bench.method.straight_through`), so that validation judges what the file will hold.

Levels:
    uniform  q s with whole q in -Q..Q, Q = 2^(bits-1) - 1; s is the largest magnitude over Q;
    normal   g c[q] with the Lloyd-Max levels c of N(0, 1) (Max, IRE Trans. Inf. Theory 1960), for
             1 to 4 bits; g is the least-squares factor of a row, for the better of two choices of
             codes, and the root mean square of a side.
Scales, which are s or g:
    row      one a row (of a pruned table: for the entries that are kept), rounded to a power of
             two with steps of 2^(1/16), and stored in 8 bits; or in 4, with steps so wide that the
             scales of all rows but the most extreme fit;
    item     as `row` for items; a user's row has length 1, because its length changes no ranking
             of a backbone that scores by products (where the method says which rows are users').
             Where rows are summed over a graph it does (`Method.with_user_lengths`);
    side     one float32 for all rows, or one for users and one for items.

In the file an array `x` of n values becomes
    x.codes  uint8 [ceil(n bits / 8)]: codes of `bits` bits each in row-major order, the least
             significant bit first, without padding between rows. A uniform code is q + 2^(bits-1),
             a normal code is the place of the level, counted from the lowest;
    x.scale  row: uint8 [rows + 2]: int16 k0, little-endian, then a byte t for each row: the scale
             is 2^((k0 + t) / 16), or 0 where t is 0. side: float32 [1 or 2].
             In 4 bits: uint8 [ceil(rows / 2) + 3]: k0, a byte d, then t as codes of 4 bits: the
             scale is 2^((k0 + d t) / 16), or 0 where t is 0.
Arrays of 16 bits are float16 and have no scales.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, prod

import torch
from torch import Tensor

from bench.method.bits import pack_bits, unpack_bits
from bench.method.precision import Storage
from bench.method.rounding import codes_of, fit, lengths, lengths_of, side_scale, values
from bench.method.scales import pack_scales, scales_size, unpack_scales
from bench.method.size import ArrayKind, Arrays


class NotFinite(ValueError):
    """Values to be stored are not finite."""


# Whole arrays -------------------------------------------------------------------------------------


def sides(rows: int, users: int | None) -> tuple[slice, ...]:
    """Ranges of rows that have a scale of their own under `side`."""
    return (slice(0, rows),) if users is None else (slice(0, users), slice(users, rows))


def _scaled(
    array: Tensor, storage: Storage, users: int | None, kept: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Values in units of a scale [n, k], the scale of each row [n, 1], what is stored of scales."""
    rows = array.reshape(len(array), prod(array.shape[1:]))
    if rows.numel() and not bool(torch.stack(rows.aminmax()).isfinite().all()):
        raise NotFinite("holds values that are not finite; training has diverged: lower lr")
    if storage.scale == "side" or array.dim() == 1:
        if array.dim() == 1:
            rows, users = array.reshape(1, -1), None
        scale = torch.cat([side_scale(rows[part], storage) for part in sides(len(rows), users)])
        each = scale
        if users is not None:
            each = torch.cat(
                [scale[i].expand(n, 1) for i, n in enumerate((users, len(rows) - users))]
            )
        units, _ = fit(rows, storage, each)
        return units, each, scale.view(-1)
    units, scale = fit(rows, storage, None, kept)
    first_own = unscaled(storage, users)
    stored, each = pack_scales(scale[first_own:, 0], storage.scale_bits)
    if first_own:
        each = torch.cat((_inverse(lengths_of(units[:first_own])), each))
    return units, each, stored


def unscaled(storage: Storage, users: int | None) -> int:
    """How many rows, the first ones, have a length of 1 and no scale in the file."""
    return users or 0 if storage.scale == "item" else 0


def _inverse(norm: Tensor) -> Tensor:
    """The scale that gives each row length 1, [n, 1]; 0 for a row of zeros."""
    return torch.where(norm > 0, 1 / norm.clamp(min=1e-30), torch.zeros_like(norm))


def rounded(
    array: Tensor, storage: Storage, users: int | None = None, kept: Tensor | None = None
) -> Tensor:
    """What the file gives back for an array, of the array's shape.

    Args:
        array: float32 [n, ...], or [n] values without rows.
        storage: how it is stored.
        users: how many of the first rows are users'; None where there are no sides.
        kept: bool [n, k], the entries of a pruned table [n, k] that are stored, each row with a
            scale of its own; the others are 0. None: all.

    Raises:
        NotFinite: a value is not a number.
    """
    if storage.bits == 16:
        return array.half().float()
    units, each, _ = _scaled(array, storage, users, kept)
    return units.mul_(each).reshape(array.shape)


def encode(
    name: str,
    array: Tensor,
    storage: Storage,
    users: int | None = None,
    kept: Tensor | None = None,
) -> dict[str, Tensor]:
    """The arrays of the file for one float32 array; arguments as of `rounded`.

    Raises:
        NotFinite: a value is not a number.
    """
    if storage.bits == 16:
        if not bool(array.half().isfinite().all()):
            raise NotFinite(f"{name}: values are too large for float16, or not finite")
        return {name: array.half()}
    try:
        units, _, scale = _scaled(array, storage, users, kept)
    except NotFinite as error:
        raise NotFinite(f"{name}: {error}") from None
    codes = codes_of(units if kept is None else units[kept], storage)
    stream = torch.from_numpy(pack_bits(codes.cpu().numpy().ravel(), storage.bits))
    return {f"{name}.codes": stream.to(array.device), f"{name}.scale": scale}


def decode(
    name: str,
    stored: Mapping[str, Tensor],
    shape: tuple[int, ...],
    storage: Storage,
    users: int | None = None,
    kept: Tensor | None = None,
) -> Tensor:
    """The float32 array of that shape that `encode` has stored.

    With `kept`, bool [n, k], where the file has a scale a row: the values that are kept, [*].
    """
    if storage.bits == 16:
        return stored[name].float()
    stream, scale = stored[f"{name}.codes"], stored[f"{name}.scale"]
    rows = 1 if len(shape) == 1 else shape[0]
    width = shape[0] if len(shape) == 1 else prod(shape[1:])
    codes = torch.from_numpy(unpack_bits(stream.cpu().numpy(), storage.bits, rows * width))
    codes = codes.to(stream.device).reshape(rows, width)
    if kept is not None and scale.dtype == torch.uint8:
        return _decode_kept(codes.view(-1), scale, storage, users, kept)
    if scale.dtype == torch.uint8:
        first_own = unscaled(storage, users)
        each = unpack_scales(scale, rows - first_own, storage.scale_bits)
        if first_own:
            each = torch.cat((_inverse(lengths(codes[:first_own], storage)), each))
    elif len(scale) == 2 and users is not None:
        each = torch.cat([scale[i].expand(n, 1) for i, n in enumerate((users, rows - users))])
    else:
        each = scale.view(1, 1)
    return values(codes, each, storage).reshape(shape)


def _decode_kept(
    codes: Tensor, scale: Tensor, storage: Storage, users: int | None, kept: Tensor
) -> Tensor:
    """The kept values of a pruned table with a scale a row: uint8 [*] -> float32 [*]."""
    units = torch.zeros(kept.shape, device=codes.device)
    units[kept] = values(codes, torch.ones((), device=codes.device), storage)
    first_own = unscaled(storage, users)
    each = unpack_scales(scale, len(kept) - first_own, storage.scale_bits)
    if first_own:
        each = torch.cat((_inverse(lengths_of(units[:first_own])), each))
    return (units * each)[kept]


def kinds(name: str, storage: Storage) -> dict[str, ArrayKind]:
    """What each of the arrays that `encode` returns holds."""
    if storage.bits == 16:
        return {name: "values"}
    return {f"{name}.codes": "codes", f"{name}.scale": "scales"}


def encoded(
    name: str,
    shape: tuple[int, ...],
    storage: Storage,
    users: int | None = None,
    rows: int | None = None,
) -> Arrays:
    """Dtypes and shapes of what `encode` returns for an array of that shape.

    `rows`: of the pruned table whose kept values the array has; None for other arrays.
    """
    if storage.bits == 16:
        return {name: (torch.float16, shape)}
    codes = (torch.uint8, (ceil(prod(shape) * storage.bits / 8),))
    if storage.scale == "side" or (len(shape) == 1 and rows is None):
        sides = 1 if users is None or len(shape) == 1 else 2
        return {f"{name}.codes": codes, f"{name}.scale": (torch.float32, (sides,))}
    size = scales_size((rows or shape[0]) - unscaled(storage, users), storage.scale_bits)
    return {f"{name}.codes": codes, f"{name}.scale": (torch.uint8, (size,))}
