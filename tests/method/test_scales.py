"""Scales of rows in 8 and in 4 bits."""

from __future__ import annotations

import pytest
import torch

from bench.method.rounding import grid
from bench.method.scales import Window, pack_scales, scales_size, unpack_scales


def test_four_bits_by_hand():
    """Powers 0, 12, 28 and a scale of 0: steps of 2, so that 28 is at place 15 and 0 at place 1."""
    scale = grid(torch.tensor([0, 12, 28, 5, 0]))
    scale[4] = 0
    stored, found = pack_scales(scale, 4)
    # k0 = -2, d = 2; places 1, 7, 15, round(7 / 2) = 4 (ties to even) and 0, low half first.
    assert stored.tolist() == [254, 255, 2, 0x71, 0x4F, 0x00]
    assert torch.equal(found.view(-1)[:4], grid(torch.tensor([0, 12, 28, 6])))
    assert found[4] == 0


def test_eight_bits_by_hand():
    scale = grid(torch.tensor([3, -40, 10]))
    stored, found = pack_scales(scale, 8)
    assert stored.tolist() == [11, 255, 248, 205, 255]  # k0 = 10 - 255 = -245
    assert torch.equal(found.view(-1), scale)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 5_000])
def test_the_file_gives_back_what_was_promised(bits, count):
    power = torch.randn(count, generator=torch.Generator().manual_seed(count)) * 20
    scale = grid(power.round())
    stored, found = pack_scales(scale, bits)
    assert stored.dtype == torch.uint8
    assert len(stored) == scales_size(count, bits)
    assert torch.equal(unpack_scales(stored, count, bits), found)
    assert torch.equal(Window.of(scale, bits).snapped(scale), found.view(-1))


def test_four_bits_are_off_by_half_a_step_but_for_the_most_extreme_rows():
    power = (torch.randn(5_000, generator=torch.Generator().manual_seed(0)) * 8).round()
    power[0], power[1] = -800, 800
    _, found = pack_scales(grid(power), 4)
    off = (found.view(-1).log2() * 16 - power).abs()
    step = Window.of(grid(power), 4).step
    assert step <= 4  # two extreme rows do not widen it
    assert (off > step / 2 + 0.01).float().mean() < 0.005
    assert found.max() < grid(torch.tensor(40))


def test_no_step_is_too_wide_for_its_byte():
    stored, found = pack_scales(grid(torch.tensor([-1900, 1900])), 4)
    assert stored[2] == 255
    assert found.isfinite().all()
