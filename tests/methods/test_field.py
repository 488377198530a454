"""Mixed dimension, ROBE, DHE, OptEmbed, MPE and CAFE: hand-computed cases and trivial limits."""

from __future__ import annotations

import math

import pytest
import torch
from bench.methods.dhe import PRIME, VALUES, coefficients
from bench.methods.mixed import MixedDimension
from bench.methods.mpe import BITS, TEMPERATURE, rounded
from support.methods import make, rows

from bench.budget import Budget
from bench.method import Progress, Table
from bench.method.size import size_of

# Mixed dimension


def test_rare_items_have_the_first_columns_only():
    table = Table(5, 1000, 8)
    method = make("mixed", table, width=8, sizes=(100, 900), widths=(8, 2))
    found = rows(method)
    assert size_of(method.arrays(table, method.config)).values == 5 * 8 + 100 * 8 + 900 * 2
    assert bool((found[:105] != 0).all())
    assert bool((found[105:, :2] != 0).all())
    assert not bool(found[105:, 2:].any())


def test_rows_of_shuffled_ids_are_in_their_places():
    method = make("mixed", Table(3, 6, 4), width=4, sizes=(2, 4), widths=(4, 1))
    ids = torch.tensor([[8, 0, 4], [3, 8, 2]])
    with torch.no_grad():
        assert torch.equal(method(ids), rows(method)[ids])


def test_buckets_have_equal_interactions():
    assert MixedDimension.sizes(torch.tensor([6, 3, 2, 1]), 2) == (1, 3)
    assert MixedDimension.sizes(torch.tensor([1, 1, 1, 1]), 4) == (1, 1, 1, 1)


def test_widths_follow_frequency_and_fill_the_budget():
    counts = torch.tensor([9] * 20 + [64] * 4 + [1] * 36)
    table = Table(20, 40, 16, Budget(2600), counts=counts)
    config = MixedDimension.plan(table, MixedDimension.Config(alpha=0.5, buckets=2))
    assert config.sizes == (2, 38)  # 128 of 292 interactions; with a third item more than half
    assert config.widths[0] >= config.widths[1]
    size = MixedDimension.file_size(table, config).bytes
    assert 2600 - 4 * 38 < size <= 2600  # no bucket can have one more column


# ROBE


def test_chunks_by_hand():
    method = make("robe", Table(3, 2, 4), blocks=1, chunk=2, joint=True)
    method.hash.copy_(torch.tensor([30, 5, 1], dtype=torch.int32))
    # (30 i + 5 t + 1) mod 63 begins chunk t of row i: 64 values hold 63 chunks of two.
    expected = [[1, 2, 6, 7], [31, 32, 36, 37], [61, 62, 3, 4], [28, 29, 33, 34], [58, 59, 0, 1]]
    assert method.cells(torch.arange(5)).tolist() == expected
    assert torch.equal(rows(method), method.stored.detach().view(-1)[torch.tensor(expected)])


def test_users_and_items_have_a_part_each():
    method = make("robe", Table(40, 60, 8), blocks=5)
    cells = method.cells(torch.arange(100))
    assert int(cells[:40].max()) < 128 <= int(cells[40:].min())  # 2 of 5 blocks of 64


# DHE


def test_hash_values_by_the_formula():
    method = make("dhe", Table(4, 3, 8), hashes=4, hidden=4)
    factors, shifts = coefficients(int(method.seed), 4)
    expected = [
        [
            2 * ((a * i + c) % PRIME % VALUES) / (VALUES - 1) - 1
            for a, c in zip(factors.tolist(), shifts.tolist(), strict=True)
        ]
        for i in range(7)
    ]
    assert torch.allclose(method.encoded(torch.arange(7)), torch.tensor(expected), atol=1e-6)


def test_the_file_has_one_number_for_all_hash_functions():
    method = make("dhe", Table(4, 3, 8), hashes=32, hidden=4, layers=1)
    arrays = method.arrays(method.table, method.config)
    numbers = {name: shape for name, (dtype, shape) in arrays.items() if dtype == torch.float32}
    assert sum(math.prod(shape) for shape in numbers.values()) == 32 * 4 + 4 + 4 * 8 + 8
    assert method.pack()["seed"].shape == (1,)


# OptEmbed


@pytest.mark.parametrize(("norm", "slope"), [(0.35, 2 - 4 * 0.1), (0.75, 0.4), (3.0, 0.0)])
def test_slope_of_the_step(norm, slope):
    method = make("optembed", Table(1, 1, 1), kept=2)
    method.searching = True
    with torch.no_grad():
        method.thresholds.fill_(0.25)
        method.stored.weight.fill_(norm)
    method(torch.tensor([0])).sum().backward()
    # The row is norm x step(norm - t): d/dt = -norm x slope.
    assert method.thresholds.grad[0] == pytest.approx(-norm * slope, rel=1e-5)


def test_a_row_below_the_threshold_is_dropped():
    method = make("optembed", Table(1, 1, 2), kept=2)
    method.searching = True
    with torch.no_grad():
        method.thresholds.fill_(0.25)
        method.stored.weight.copy_(torch.tensor([[0.1, -0.1], [0.2, -0.1]]))
    assert rows(method).tolist() == [[0, 0], pytest.approx([0.2, -0.1])]
    assert method.live() == 1


def test_the_cut_keeps_the_largest_rows_of_each_side():
    method = make("optembed", Table(3, 3, 2), kept=4, item_columns=0.5)
    method.searching = True
    with torch.no_grad():
        sizes = torch.tensor([3.0, 1.0, 2.0, 1.0, 5.0, 4.0])
        method.stored.weight.copy_(sizes.view(-1, 1).expand(6, 2))
    method.finish(type(method).phases[0])
    assert method.mask.tolist() == [True, False, True, False, True, True]
    method.begin(type(method).phases[1], Progress(0, 1, 0, 1), 0.1)
    assert rows(method).tolist() == [[3, 3], [0, 0], [2, 2], [0, 0], [5, 0], [4, 0]]


# MPE


def test_expected_bits_by_hand():
    method = make("mpe", Table(1, 1, 4), groups=1, width=4, capacity=8, price=1.0)
    method.searching = True
    with torch.no_grad():
        method.choice.fill_(-1.0)
        for place, value in ((0, 0.0), (2, 0.003), (4, 0.006)):
            method.choice[:, place] = value
    shares = (method.choice / TEMPERATURE).softmax(1)[0, [0, 2, 4]]
    assert shares.tolist() == pytest.approx([0.0900, 0.2447, 0.6652], abs=1e-4)
    penalty = method.penalty(torch.zeros(1), Progress(0, 10, 0, 1))
    assert float(penalty.detach()) == pytest.approx(2 * 3.1503, abs=1e-3)  # two groups
    assert method.favourites() == [4, 4]


def test_what_does_not_fit_is_taken_from_rare_ids():
    # Four ids of 8 values in groups of their own: 8 bytes are 2 bits a value.
    table = Table(2, 2, 8, counts=torch.tensor([8, 1, 9, 2]))
    method = make("mpe", table, groups=2, width=8, capacity=8)
    with torch.no_grad():
        method.choice[:, 3] = 1.0
    assert method.live() == 12
    method.finish(type(method).phases[0])
    assert method.bits.tolist() == [2, 2, 2, 2]
    method.config = method.config.but(capacity=10)
    method.finish(type(method).phases[0])
    assert method.bits.tolist() == [3, 2, 3, 2]


def test_levels_and_their_gradients():
    x = torch.tensor([[0.23, -1.1, 0.04]], requires_grad=True)
    step = torch.tensor([[0.1]], requires_grad=True)
    found = rounded(x, step, torch.tensor([[4]]), torch.zeros(3))
    assert found.tolist()[0] == pytest.approx([0.25, -0.75, 0.05])
    found.sum().backward()
    assert x.grad.tolist() == [[1, 0, 1]]
    # The level less v inside, and the lowest level outside.
    expected = (2.5 - 2.3) - 7.5 + (0.5 - 0.4)
    assert float(step.grad) == pytest.approx(expected, rel=1e-4)


def test_rows_are_rounded_in_units_of_their_group():
    table = Table(2, 2, 4, counts=torch.ones(4))
    method = make("mpe", table, groups=1, width=4, capacity=8)  # four bits a value
    with torch.no_grad():
        method.stored.weight[:2] = torch.tensor([1.0, -1.0, 1.0, -1.0])
        method.stored.weight[2:] = torch.tensor([100.0, -100.0, 100.0, -100.0])
    method.measure()
    assert method.scale.tolist() == [1, 100]
    found = rows(method)
    assert torch.allclose(100 * found[:2], found[2:])
    # The levels next to one standard deviation are 2.5 and 3.5 steps of .3352.
    assert found[0].abs().tolist() == pytest.approx([2.5 * 0.3352] * 4, abs=1e-4)


def test_bits_are_those_of_the_paper():
    assert tuple(range(7)) == BITS


# CAFE


def test_cafe_is_hashing_with_one_hash_and_own_rows():
    table = Table(60, 90, 8)
    cafe = make("cafe", table, rows=60, head=0.5)
    hashing = make("hashing", table, rows=60, head=0.5, hashes=1)
    assert torch.equal(rows(cafe), rows(hashing))
    own = rows(cafe)[: cafe.heads()[0]]
    assert len(own.unique(dim=0)) == len(own)
