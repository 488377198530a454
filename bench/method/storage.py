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
    row      one a row, rounded to 2^(t/16) and stored as a byte;
    item     as `row` for items; a user's row has length 1, because its length changes no ranking
             of a backbone that scores by products (where the method says which rows are users');
    side     one float32 for all rows, or one for users and one for items.

In the file an array `x` of n values becomes
    x.codes  uint8 [ceil(n bits / 8)]: codes of `bits` bits each in row-major order, the least
             significant bit first, without padding between rows. A uniform code is q + 2^(bits-1),
             a normal code is the place of the level, counted from the lowest;
    x.scale  row: uint8 [rows + 2]: int16 k0, little-endian, then a byte t for each row: the scale
             is 2^((k0 + t) / 16), or 0 where t is 0. side: float32 [1 or 2].
Arrays of 16 bits are float16 and have no scales.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, prod

import numpy as np
import torch
from torch import Tensor

from bench.method.precision import Storage
from bench.method.rounding import STEPS, grid, lengths, quantise, side_scale, values
from bench.method.size import ArrayKind, Arrays

_WINDOW = 254  # steps between the smallest and the largest scale of an array, 2^15.9


class NotFinite(ValueError):
    """Values to be stored are not finite."""


# Whole arrays -------------------------------------------------------------------------------------


def sides(rows: int, users: int | None) -> tuple[slice, ...]:
    """Ranges of rows that have a scale of their own under `side`."""
    return (slice(0, rows),) if users is None else (slice(0, users), slice(users, rows))


def _window(scale: Tensor) -> tuple[Tensor, int]:
    """Bytes of scales that lie on the grid, and k0. Scales below the window count as 0."""
    power = (scale.log2() * STEPS).round()
    top = power[scale > 0].amax() if bool((scale > 0).any()) else power.new_zeros(())
    first = int(top) - _WINDOW - 1
    places = torch.where(scale > 0, power - first, torch.zeros_like(power)).clamp(min=0)
    return places.to(torch.uint8), first


def _from_window(places: Tensor, first: int) -> Tensor:
    scale = grid(places.float() + first)
    return torch.where(places > 0, scale, torch.zeros_like(scale))


def _scaled(array: Tensor, storage: Storage, users: int | None) -> tuple[Tensor, Tensor, Tensor]:
    """Codes [n, k], the scale of each row [n, 1], and what of the scales is stored."""
    rows = array.reshape(len(array), -1)
    if not bool(rows.isfinite().all()):
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
        codes, _ = quantise(rows, storage, each)
        return codes, each, scale.view(-1)
    codes, scale = quantise(rows, storage)
    first_own = users if storage.scale == "item" and users is not None else 0
    places, first = _window(scale[first_own:, 0])
    head = torch.tensor([first & 255, (first >> 8) & 255], dtype=torch.uint8)
    stored = torch.cat((head.to(places.device), places))
    each = _from_window(places, first).view(-1, 1)
    if first_own:
        each = torch.cat((_lengths(codes[:first_own], storage), each))
    return codes, each, stored


def _lengths(codes: Tensor, storage: Storage) -> Tensor:
    """The scale that gives each row length 1, [n, 1]; 0 for a row of zeros."""
    norm = lengths(codes, storage)
    return torch.where(norm > 0, 1 / norm.clamp(min=1e-30), torch.zeros_like(norm))


def rounded(array: Tensor, storage: Storage, users: int | None = None) -> Tensor:
    """What the file gives back for an array, of the array's shape.

    Args:
        array: float32 [n, ...], or [n] values without rows.
        storage: how it is stored.
        users: how many of the first rows are users'; None where there are no sides.

    Raises:
        NotFinite: a value is not a number.
    """
    if storage.bits == 16:
        return array.half().float()
    codes, each, _ = _scaled(array, storage, users)
    return values(codes, each, storage).reshape(array.shape)


def encode(
    name: str, array: Tensor, storage: Storage, users: int | None = None
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
        codes, _, scale = _scaled(array, storage, users)
    except NotFinite as error:
        raise NotFinite(f"{name}: {error}") from None
    stream = torch.from_numpy(pack_bits(codes.cpu().numpy().ravel(), storage.bits))
    return {f"{name}.codes": stream.to(array.device), f"{name}.scale": scale}


def decode(
    name: str,
    stored: Mapping[str, Tensor],
    shape: tuple[int, ...],
    storage: Storage,
    users: int | None = None,
) -> Tensor:
    """The float32 array of that shape that `encode` has stored."""
    if storage.bits == 16:
        return stored[name].float()
    stream, scale = stored[f"{name}.codes"], stored[f"{name}.scale"]
    rows = 1 if len(shape) == 1 else shape[0]
    count = prod(shape)
    codes = torch.from_numpy(unpack_bits(stream.cpu().numpy(), storage.bits, count))
    codes = codes.to(stream.device).reshape(rows, -1)
    if scale.dtype == torch.uint8:
        first = int(scale[0]) + 256 * int(scale[1])
        first -= 65536 * (first >= 32768)
        each = _from_window(scale[2:], first).view(-1, 1)
        if len(each) < rows:
            each = torch.cat((_lengths(codes[: rows - len(each)], storage), each))
    elif len(scale) == 2 and users is not None:
        each = torch.cat([scale[i].expand(n, 1) for i, n in enumerate((users, rows - users))])
    else:
        each = scale.view(1, 1)
    return values(codes, each, storage).reshape(shape)


def kinds(name: str, storage: Storage) -> dict[str, ArrayKind]:
    """What each of the arrays that `encode` returns holds."""
    if storage.bits == 16:
        return {name: "values"}
    return {f"{name}.codes": "codes", f"{name}.scale": "scales"}


def encoded(
    name: str, shape: tuple[int, ...], storage: Storage, users: int | None = None
) -> Arrays:
    """Dtypes and shapes of what `encode` returns for an array of that shape."""
    if storage.bits == 16:
        return {name: (torch.float16, shape)}
    codes = (torch.uint8, (ceil(prod(shape) * storage.bits / 8),))
    if storage.scale == "side" or len(shape) == 1:
        sides = 1 if users is None or len(shape) == 1 else 2
        return {f"{name}.codes": codes, f"{name}.scale": (torch.float32, (sides,))}
    own = shape[0] - (users or 0) if storage.scale == "item" else shape[0]
    return {f"{name}.codes": codes, f"{name}.scale": (torch.uint8, (own + 2,))}


# Bits ---------------------------------------------------------------------------------------------


def pack_bits(codes: np.ndarray, bits: int) -> np.ndarray:
    """Whole numbers below 2^bits as one stream, least significant bits first: uint8."""
    codes = codes.astype(np.uint8)
    if bits == 8:
        return codes
    if bits == 4:
        if codes.size % 2:
            codes = np.append(codes, np.uint8(0))
        return codes[::2] | (codes[1::2] << 4)
    flags = (codes[:, None] >> np.arange(bits, dtype=np.uint8)) & 1
    return np.packbits(flags.ravel(), bitorder="little")


def unpack_bits(stream: np.ndarray, bits: int, count: int) -> np.ndarray:
    """`count` whole numbers of a stream, int64.

    Raises:
        ValueError: the stream is too short.
    """
    if len(stream) < ceil(count * bits / 8):
        raise ValueError(f"{len(stream)} bytes hold no {count} codes of {bits} bits")
    if bits == 8:
        return stream[:count].astype(np.int64)
    if bits == 4:
        both = np.stack((stream & 15, stream >> 4), 1).ravel()
        return both[:count].astype(np.int64)
    flags = np.unpackbits(stream, count=count * bits, bitorder="little").reshape(count, bits)
    return flags @ (1 << np.arange(bits))
