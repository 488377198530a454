"""Rounding rows to few levels: uniform or normal, with a scale a row or a scale for all.

Levels and scales are those that `bench.method.storage` describes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor

from bench.compiled import available
from bench.method.precision import NORMAL, Storage

STEPS = 16  # scales of rows are powers of 2^(1/16): off by 2.2 % at most
_PIECE = 4096  # rows that are fitted together, at least
_BLOCK = 2**15  # rows whose lengths are worked out together
_OCTAVES = (-120, 120)  # scales that float32 holds with room for products


@cache
def _levels(bits: int) -> tuple[Tensor, tuple[float, ...], tuple[float, ...]]:
    """All levels, rising; borders between the positive ones; by how much each exceeds the last.

    The positive levels are sums of these steps in float32, which is how `_nearest` makes them.
    """
    half = torch.tensor(NORMAL[bits])
    steps = torch.cat((half[:1], half.diff()))
    sums = [steps[0]]
    for step in steps[1:]:
        sums.append(sums[-1] + step)
    half = torch.stack(sums)
    borders = (half[1:] + half[:-1]) / 2
    return torch.cat((-half.flip(0), half)), tuple(borders.tolist()), tuple(steps.tolist())


def _nearest(values: Tensor, bits: int) -> Tensor:
    """The normal level next to each value.

    Comparisons into floats vectorise; a binary search costs ten times as much.
    """
    _, borders, steps = _levels(bits)
    size, found = values.abs(), torch.full_like(values, steps[0])
    beyond = torch.empty_like(values)
    for border, step in zip(borders, steps[1:], strict=True):
        found.add_(torch.gt(size, border, out=beyond), alpha=step)
    return found.copysign_(values)


def grid(power: Tensor) -> Tensor:
    """2^(power / 16): float32, any shape.

    Worked out in float64: float32's `exp2` differs by a bit between kinds of processors, and the
    rows of a file must not.
    """
    return torch.exp2(power.double() / STEPS).float()


def _on_grid(scale: Tensor) -> Tensor:
    """The nearest power of 2^(1/16); 0 stays 0."""
    low, high = (STEPS * octave for octave in _OCTAVES)
    power = (scale.log2() * STEPS).round().clamp(low, high)
    return torch.where(scale > 0, grid(power), torch.zeros_like(scale))


def _safe(scale: Tensor) -> Tensor:
    """A scale that values may be divided by."""
    return torch.where(scale > 0, scale, torch.ones_like(scale))


def _most(storage: Storage) -> int:
    """The largest whole number of uniform levels."""
    return int(2 ** (storage.bits - 1) - 1)


def fit(
    rows: Tensor, storage: Storage, scale: Tensor | None, kept: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Each value in units of its scale (a whole number, or a normal level), and the scale.

    On a processor many rows with scales of their own are fitted in pieces, which stay in the cache
    and need a tenth of the memory.

    Args:
        rows: float32 [n, k].
        storage: below 16 bits.
        scale: [1 or n, 1], to be used as it is; None: one for each row, on the grid of bytes.
        kept: bool [n, k], the entries that are stored; the others are 0 and have no part in the
            scale. None: all.

    Returns:
        float32 [n, k], and float32 [n, 1] or `scale`.
    """
    pieces = len(rows) // _PIECE
    if scale is not None or pieces < 2 or rows.device.type != "cpu":
        return _fit_all(rows, storage, scale, kept)
    units, found = torch.empty_like(rows), []
    # Pieces of equal size: none has one row, which would be summed in another order.
    stays = [None] * pieces if kept is None else kept.tensor_split(pieces)
    pairs = zip(rows.tensor_split(pieces), units.tensor_split(pieces), stays, strict=True)
    for part, into, stay in pairs:
        fitted, own = _fit_all(part, storage, None, stay)
        into.copy_(fitted)
        found.append(own)
    return units, torch.cat(found)


def _fit_all(
    rows: Tensor, storage: Storage, scale: Tensor | None, kept: Tensor | None
) -> tuple[Tensor, Tensor]:
    """As `fit`, all rows together."""
    if storage.levels == "uniform":
        most = _most(storage)
        if kept is not None:
            rows = rows * kept
        if scale is None:
            scale = _on_grid(rows.abs().amax(1, keepdim=True) / most)
        return (rows / _safe(scale)).round_().clamp_(-most, most), scale
    if rows.device.type == "cpu" and rows.dtype == torch.float32 and rows.numel() and available():
        return _fit_by_loops(rows, storage.bits, scale, kept)
    if scale is not None:
        units = _nearest(rows / _safe(scale), storage.bits)
        return (units if kept is None else units.mul_(kept)), scale
    if kept is not None:
        rows = rows * kept
    first, *others = (
        _match(rows, trial, storage.bits, kept) for trial in _trials(rows, storage.bits, kept)
    )
    units, factor, kept = first
    for more_units, more_factor, more_kept in others:
        better = more_kept > kept
        units = torch.where(better, more_units, units)
        factor, kept = torch.where(better, more_factor, factor), torch.maximum(more_kept, kept)
    return units, _on_grid(factor)


def _fit_by_loops(
    rows: Tensor, bits: int, scale: Tensor | None, kept: Tensor | None
) -> tuple[Tensor, Tensor]:
    """As `_fit_all`, normal levels, float32 on a CPU."""
    from bench.method import rounding_loops

    rows, (_, borders, steps) = rows.contiguous(), _levels(bits)
    levels = np.array(borders, np.float32), np.array(steps, np.float32)
    units = torch.empty_like(rows)
    if scale is None:
        top, shares = _shares(bits)
        factors = rows.new_empty(len(rows), 1)
        tried = np.array(shares, np.float32), np.float32(top)
        found = units.numpy(), factors.view(-1).numpy()
        stays = np.empty((0, 0), np.bool_) if kept is None else kept.contiguous().numpy()
        rounding_loops.fit_rows(rows.numpy(), stays, *tried, *levels, *found)
        return units, _on_grid(factors)
    scales = scale.expand(len(rows), 1)[:, 0].contiguous()
    rounding_loops.round_rows(rows.numpy(), scales.numpy(), *levels, units.numpy())
    return (units if kept is None else units.mul_(kept)), scale


def _match(
    rows: Tensor, trial: Tensor, bits: int, kept: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """The levels next to rows at a scale, their factor of least squared error, and a score.

    The score, float32 [n, 1], is larger where that error is smaller.
    """
    units = _nearest(rows / _safe(trial), bits)
    product, square = (rows * units).sum(1, True), units.square().sum(1, True)
    if kept is not None:
        units = units.mul_(kept)
        square = _safe(units.square().sum(1, True))  # a row may keep nothing
    return units, product / square, product / square.sqrt()


def _trials(rows: Tensor, bits: int, kept: Tensor | None) -> tuple[Tensor, ...]:
    """Scales that the nearest levels of a row are found at: float32 [n, k] -> [n, 1] each.

    The best of two has 30 to 40 % less squared error than the root mean square in rows of 9 to 13
    values of 3 or 4 bits, 10 to 25 % less in rows of 35 to 62, and is near the best of many.
    """
    top, shares = _shares(bits)
    if kept is None:
        spread = rows.square().mean(1, keepdim=True).sqrt()
    else:
        count = kept.sum(1, keepdim=True).clamp(min=1)
        spread = (rows.square().sum(1, keepdim=True) / count).sqrt()
    first = (rows.abs().amax(1, keepdim=True) / top,) if top else ()
    return *first, *(spread * share for share in shares)


def _shares(bits: int) -> tuple[float, tuple[float, ...]]:
    """The level that the largest value gets in the first trial, 0: no such trial; other trials.

    These are shares of the root mean square of a row.
    """
    if bits == 1:
        return 0.0, (1.0,)
    if bits == 2:
        return 0.0, (0.85, 1.15)
    return NORMAL[bits][-1], (0.9,)


def codes_of(units: Tensor, storage: Storage) -> Tensor:
    """Codes of what `fit` gives, in units of the scale: float32 [n, k] -> uint8 [n, k]."""
    if storage.levels == "uniform":
        return (units + (_most(storage) + 1)).to(torch.uint8)
    levels = _levels(storage.bits)[0].to(units.device)
    return torch.bucketize(units, (levels[1:] + levels[:-1]) / 2).to(torch.uint8)


def values(codes: Tensor, scale: Tensor, storage: Storage) -> Tensor:
    """What codes stand for: uint8 [n, k] and float32 [1 or n, 1] -> float32 [n, k]."""
    if storage.levels == "uniform":
        return (codes.to(scale.dtype) - 2 ** (storage.bits - 1)) * scale
    levels = _levels(storage.bits)[0].to(scale.device, scale.dtype)
    return levels[codes.int()] * scale


def lengths(codes: Tensor, storage: Storage) -> Tensor:
    """Lengths of rows in units of their scale: uint8 [n, k] -> float32 [n, 1].

    Squares are rounded to multiples of 2^-32, so that float64 adds them exactly: sums in another
    order, on another machine or in another program, give the same bits.
    """
    places = torch.arange(2**storage.bits, dtype=torch.uint8, device=codes.device)
    one = torch.ones(1, 1, dtype=torch.float64, device=codes.device)
    squares = _squares(values(places, one, storage))
    found = [squares.view(-1)[part.int()].sum(1) for part in codes.split(_BLOCK)]
    return torch.cat(found).sqrt().float().unsqueeze(1)


def lengths_of(units: Tensor) -> Tensor:
    """As `lengths`, of what `fit` gives: float32 [n, k] -> [n, 1]."""
    found = [_squares(part.double()).sum(1) for part in units.split(_BLOCK)]
    return torch.cat(found).sqrt().float().unsqueeze(1)


def _squares(units: Tensor) -> Tensor:
    return (units.square() * 2.0**32).round() / 2.0**32


def as_stored(
    rows: Tensor,
    storage: Storage,
    scale: Tensor | None = None,
    snap: Callable[[Tensor], Tensor] | None = None,
    kept: Tensor | None = None,
) -> Tensor:
    """Rows as they are read back: float32 [n, k] -> [n, k].

    `snap`: from scales on the grid to those that the file holds, where it holds fewer. The rest is
    as of `fit`.
    """
    units, scale = fit(rows, storage, scale, kept)
    return units.mul_(scale if snap is None else snap(scale))


def side_scale(rows: Tensor, storage: Storage) -> Tensor:
    """The scale that all rows share: float32 [n, k] -> [1, 1]; below 16 bits."""
    if storage.levels == "uniform":
        return (rows.abs().amax() if rows.numel() else rows.sum()).view(1, 1) / _most(storage)
    return (rows.square().sum() / max(1, rows.numel())).sqrt().view(1, 1)
