"""K-means, lengths in a byte, streams of codes, and fewer columns for a trained table."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.method import (
    directions,
    k_means,
    nearest,
    pack_codes,
    pack_lengths,
    project,
    unpack_codes,
    unpack_lengths,
)
from bench.method.clusters import _about_nearest


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_two_pairs_have_two_centres():
    points = torch.tensor([[0.0], [0.2], [1.0], [1.2]])
    centres, codes = k_means(points, 2, seeded())
    assert centres.sort(0).values.flatten().tolist() == pytest.approx([0.1, 1.1])
    assert codes[0] == codes[1] != codes[2] == codes[3]


def test_nearest_is_what_all_distances_say_and_ties_go_to_the_first():
    points, centres = torch.randn(300, 5, generator=seeded()), torch.randn(40, 5)
    codes, apart = nearest(points, centres)
    every = torch.cdist(points, centres).square()
    assert torch.equal(codes, every.argmin(1))
    assert torch.allclose(apart, every.amin(1), atol=1e-4)
    assert nearest(torch.zeros(1, 2), torch.tensor([[0.0, 1.0], [1.0, 0.0]]))[0].tolist() == [0]


def test_k_means_repeats_itself_and_beats_drawn_centres():
    points = torch.randn(500, 4, generator=seeded(1))
    centres, codes = k_means(points, 16, seeded(2))
    again, same = k_means(points, 16, seeded(2))
    assert torch.equal(centres, again) and torch.equal(codes, same)
    drawn = nearest(points, points[torch.randperm(500, generator=seeded(2))[:16]])[1].sum()
    assert nearest(points, centres)[1].sum() < 0.8 * drawn
    assert codes.unique().numel() == 16


def test_equal_points_leave_centres_empty_without_harm():
    centres, codes = k_means(torch.ones(50, 3), 4, seeded())
    assert bool(centres.isfinite().all())
    assert torch.equal(centres[codes], torch.ones(50, 3))


def test_no_more_points_than_centres_are_the_centres():
    points = torch.randn(3, 2, generator=seeded())
    centres, codes = k_means(points, 8, seeded())
    assert torch.equal(centres[codes], points)


def test_lengths_are_off_by_half_a_step_at_most():
    lengths = torch.rand(1001, generator=seeded()) * 30 + 0.2
    stored, middle = pack_lengths(lengths)
    assert stored.dtype == torch.uint8 and middle.shape == (1,)
    ratio = unpack_lengths(stored, middle) / lengths
    assert float(ratio.log2().abs().max()) <= 1 / 32 + 1e-5
    assert unpack_lengths(*pack_lengths(torch.tensor([1.0, 2.0, 4.0]))).tolist() == [1.0, 2.0, 4.0]
    zero = pack_lengths(torch.tensor([0.0, 3.0, 3.0]))
    assert unpack_lengths(*zero)[0] == 3 / 256


@pytest.mark.parametrize("bits", [1, 3, 4, 6, 8])
def test_codes_come_back_and_take_their_bits(bits):
    codes = torch.randint(2**bits, (7, 5), generator=seeded()).to(torch.uint8)
    stream = pack_codes(codes, bits)
    assert stream.dtype == torch.uint8 and stream.shape == (-(-35 * bits // 8),)
    assert torch.equal(unpack_codes(stream, bits, (7, 5)), codes)
    assert pack_codes(codes.to("meta"), bits).shape == stream.shape


@pytest.mark.parametrize("width", [1, 3, 6])
def test_fewer_columns_have_the_least_error_of_the_product(width):
    """Eckart and Young: what is left is the sum of the singular values that were cut."""
    table = torch.randn(50, 6, generator=seeded(3))
    users, items = directions(table[:30]).double(), table[30:].double()
    size = np.linalg.svd((users @ items.T).numpy(), compute_uv=False)
    for generator in (None, seeded(4)):
        rows = project(table, 30, width, generator, 1.0).double()
        left = (users @ items.T - rows[:30] @ rows[30:].T).square().sum()
        assert float(left) == pytest.approx(float((size[width:] ** 2).sum()), rel=1e-3, abs=1e-8)


def test_all_columns_are_only_rotated_and_lengths_stay():
    table = torch.randn(50, 6, generator=seeded(3))
    for power in (0.0, 0.5, 1.0):
        rows = project(table, 30, 6, seeded(5), power)
        expected = directions(table[:30]) @ table[30:].T
        assert torch.allclose(rows[:30] @ rows[30:].T, expected, atol=1e-4)
        assert not torch.allclose(rows[30:], table[30:], atol=0.1)
        assert torch.allclose(rows[30:].norm(dim=1), table[30:].norm(dim=1), rtol=1e-4)


def test_principal_columns_come_first_and_missing_ones_are_zero():
    table = torch.randn(9, 8, generator=seeded(3))
    rows = project(table, 5, 6, None)  # four items: four columns hold all products
    assert not rows[:, 4:].any()
    assert torch.allclose(rows[:5] @ rows[5:].T, directions(table[:5]) @ table[5:].T, atol=1e-4)


def test_k_means_on_a_sample_is_nearly_as_near_and_leaves_no_point_out():
    points = torch.randn(4000, 5, generator=seeded(1))
    exact, sampled = (k_means(points, 32, seeded(2), sample) for sample in (None, 2000))
    assert torch.equal(sampled[1], nearest(points, sampled[0])[0])
    apart = [float((points - centres[codes]).square().sum()) for centres, codes in (exact, sampled)]
    assert apart[1] < 1.05 * apart[0]
    few = k_means(points, 32, seeded(2), 64)
    assert float((points - few[0][few[1]]).square().sum()) > apart[1]


def test_the_fast_assignment_differs_by_nearly_equal_distances_only():
    points, centres = torch.randn(3000, 7, generator=seeded()), torch.randn(200, 7)
    exact, apart = nearest(points, centres)
    about, near = _about_nearest(points, centres)
    assert (exact == about).float().mean() > 0.99
    chosen = (points - centres[about]).square().sum(1)
    assert torch.allclose(chosen, apart, rtol=1e-2, atol=1e-3)
    assert torch.allclose(near, apart, atol=1e-2)
