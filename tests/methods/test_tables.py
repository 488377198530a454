"""Hashing, quotient-remainder, fewer dimensions: hand-computed cases and trivial limits."""

from __future__ import annotations

from math import ceil

import pytest
import torch
from support.methods import make, rows

from bench.budget import Budget
from bench.errors import Infeasible
from bench.method import Table, least_prime
from bench.method.registry import get_method

GOWALLA = (29_858, 40_981)  # N = 70,839


def fill(parameter: torch.Tensor, values) -> None:
    with torch.no_grad():
        parameter.copy_(torch.as_tensor(values, dtype=torch.float32))


def planned(name: str, budget: Budget, shape=GOWALLA, dim=64, **knobs):
    kind = get_method(name)
    return kind.plan(Table(*shape, dim, budget), kind.Config(**knobs))


def test_full_table_is_an_embedding():
    method = make("full", Table(3, 2, 4))
    assert torch.equal(rows(method), method.stored.weight.detach())
    assert method.file_size(method.table, method.config).values == 20


# Hashing: ((a i + c) mod p) mod M with the least prime p from the number of ids that share rows on


def test_hash_functions_by_hand():
    method = make("hashing", Table(6, 4, 2), rows=4, hashes=2, joint=True)
    # Ten ids: p = 11. a = 1 + 2 mod 10 = 3, c = 1; and a = 1 + 19 mod 10 = 10 = -1 mod 11, c = 16.
    method.functions.copy_(torch.tensor([[2, 1], [19, 16]]))
    slots = method.slots(torch.arange(10))
    # 1, 4, 7, 10, 13 - 11 = 2, 5, 8, 0, 3, 6
    assert slots[:, 0].tolist() == [1, 0, 3, 2, 2, 1, 0, 0, 3, 2]
    # 16 - 11 = 5, 4, 3, 2, 1, 0, 10, 9, 8, 7
    assert slots[:, 1].tolist() == [1, 0, 3, 2, 1, 0, 2, 1, 0, 3]


def test_ids_with_a_row_of_their_own_are_not_counted():
    method = make("hashing", Table(6, 4, 2), rows=5, hashes=1, joint=True, head=0.4)
    # Ids 0 and 1 own rows 0 and 1. Eight others share three: p = 11, a = 3, c = 1, from id 2 on.
    method.functions.copy_(torch.tensor([[2, 1]]))
    slots = method.slots(torch.arange(10)).flatten().tolist()
    assert slots == [0, 1, *(2 + h % 3 for h in (1, 4, 7, 10, 2, 5, 8, 0))]


def test_sides_have_primes_of_their_own():
    method = make("hashing", Table(6, 4, 2), rows=5, hashes=1)
    # Users: three rows, p = 7, a = 1 + 8 mod 6 = 3, c = 9 mod 7 = 2: 2, 5, 1, 4, 0, 3.
    # Items: two rows, p = 5, a = 1 + 8 mod 4 = 1, c = 9 mod 5 = 4: 4, 0, 1, 2.
    method.functions.copy_(torch.tensor([[8, 9]]))
    slots = method.slots(torch.arange(10)).flatten().tolist()
    assert slots == [2, 2, 1, 1, 0, 0, *(3 + h % 2 for h in (4, 0, 1, 2))]


def test_large_coefficients_do_not_overflow():
    method = make("hashing", Table(*GOWALLA, 1), rows=1009, hashes=1, joint=True)
    a, c = 2**31 - 2, 2**31 - 3
    method.functions.copy_(torch.tensor([[a, c]]))
    last, p = sum(GOWALLA) - 1, least_prime(sum(GOWALLA))
    assert int(method.slots(torch.tensor(last))) == ((1 + a % (p - 1)) * last + c) % p % 1009


@pytest.mark.parametrize("knobs", [{}, {"joint": True}, {"head": 0.3}, {"head": 0.9, "users": 0.6}])
def test_rows_are_shared_by_equal_numbers_of_ids(knobs):
    """A prime far above the ids leaves up to 95 % of the rows unused, by luck of the seed."""
    method = make("hashing", Table(5_000, 4_000, 1), rows=2_500, hashes=1, **knobs)
    for seed in range(20):
        method.reset(torch.Generator().manual_seed(seed))
        slots = method.slots(torch.arange(9_000)).flatten()
        for first, head, shared, p in method._sides:
            load = torch.bincount(slots, minlength=2_500)[first + head :][:shared]
            assert load.max() <= -(-p // shared)
            assert load.min() >= p // shared - (p - int(load.sum()))


def test_rows_of_several_hashes_are_summed():
    method = make("hashing", Table(6, 4, 2), rows=4, hashes=2, joint=True)
    method.functions.copy_(torch.tensor([[2, 1], [0, 2]]))  # a = 3, c = 1; a = 1, c = 2
    fill(method.stored.weight, [[1, 10], [2, 20], [3, 30], [4, 40]])
    with torch.no_grad():
        # id 2: slots 7 mod 4 = 3 and 4 mod 4 = 0; id 1: 0 and 3.
        assert method(torch.tensor([2, 1])).tolist() == [[5, 50], [5, 50]]
        assert method(torch.tensor(0)).tolist() == [2 + 3, 20 + 30]


@pytest.mark.parametrize("joint", [True, False])
def test_hash_without_collision_is_a_full_table(joint):
    method = make("hashing", Table(6, 4, 3), rows=10, hashes=1, joint=joint)
    method.functions.copy_(torch.tensor([[0, 0]]))  # a = 1, c = 0
    assert torch.equal(rows(method), method.stored.weight.detach())


def test_hashes_are_drawn_and_stored():
    one, two = make("hashing", Table(30, 30, 2), rows=8), make("hashing", Table(30, 30, 2), rows=8)
    assert torch.equal(one.functions, two.functions)
    two.reset(torch.Generator().manual_seed(1))
    assert not torch.equal(one.functions, two.functions)
    assert "functions" in one.pack()


@pytest.mark.parametrize("hashes", [1, 4])
def test_own_and_shared_rows_start_with_the_deviation_of_the_table(hashes):
    """A sum of the same row would start with a larger one than a sum of several."""
    method = make(
        "hashing", Table(900, 700, 16, std=0.1), rows=800, hashes=hashes, head=0.5, joint=True
    )
    found, (own, _) = rows(method), method.heads()
    assert own == 400
    assert float(found[:own].std()) == pytest.approx(0.1, rel=0.03)
    assert float(found[own:].std()) == pytest.approx(0.1, rel=0.03)


def test_hashing_uses_every_row_the_budget_holds():
    assert planned("hashing", Budget(64 * 500 + 63, "values")).rows == 500
    assert planned("hashing", Budget(10**9)).rows == sum(GOWALLA)  # more would be a waste


def test_users_and_items_share_no_row_unless_joint():
    table = Table(60, 40, 2)
    apart, joint = (make("hashing", table, rows=20, joint=joint) for joint in (False, True))
    users, items = torch.arange(60), torch.arange(60, 100)
    assert set(apart.slots(users).flatten().tolist()) <= set(range(12))  # 60 % of the rows
    assert set(apart.slots(items).flatten().tolist()) <= set(range(12, 20))
    assert int(apart.slots(users).max()) > 8  # and they are used
    assert set(joint.slots(users).flatten().tolist()) & set(joint.slots(items).flatten().tolist())


def test_very_few_rows_still_leave_one_to_each_side():
    for users, items in ((99, 1), (1, 99), (50, 50)):
        method = make("hashing", Table(users, items, 2), rows=2)
        assert set(method.slots(torch.arange(users)).flatten().tolist()) == {0}
        assert set(method.slots(torch.arange(users, 100)).flatten().tolist()) == {1}


# Quotient-remainder


def test_qr_indices_and_both_ways_to_combine():
    for combine, expected in (("mult", [10, -3]), ("add", [7, 2]), ("signed", [10, -3])):
        method = make("qr", Table(6, 4, 2), divisor=3, combine=combine, joint=True)
        assert method.quotient.weight.shape == (4, 2)
        assert method.remainder.weight.shape == (3, 2)
        fill(method.quotient.weight[1], [2, 3])
        fill(method.remainder.weight[2], [5, -1])
        with torch.no_grad():
            assert method(torch.tensor(5)).tolist() == expected


def test_qr_pairs_are_those_of_the_example_and_distinct():
    method = make("qr", Table(6, 4, 1), divisor=3, combine="add", joint=True)
    fill(method.quotient.weight, [[0], [10], [20], [30]])
    fill(method.remainder.weight, [[0], [1], [2]])
    assert rows(method).flatten().tolist() == [0, 1, 2, 10, 11, 12, 20, 21, 22, 30]


@pytest.mark.parametrize(
    ("budget_rows", "divisor", "used"),
    [(5000, 15, 4738), (1000, 77, 997), (600, 162, 600), (535, 241, 535), (533, 253, 533)],
)
def test_qr_takes_the_smallest_divisor_that_fits(budget_rows, divisor, used):
    config = planned("qr", Budget(budget_rows * 64, "values"), joint=True)
    assert config.divisor == divisor
    assert ceil(sum(GOWALLA) / divisor) + divisor == used


def test_qr_of_users_and_items_apart():
    # Users 0..5 with c = 4: Q rows 0, 1; items 6..9: Q row 2. R rows 0-3 and 4-7.
    method = make("qr", Table(6, 4, 1), divisor=4, combine="add")
    fill(method.quotient.weight, [[0], [10], [20]])
    fill(method.remainder.weight, [[0], [1], [2], [3], [100], [101], [102], [103]])
    assert rows(method).flatten().tolist() == [0, 1, 2, 3, 10, 11, 120, 121, 122, 123]


def test_qr_of_users_and_items_apart_with_a_divisor_each():
    # Users 0..5 with c = 4: Q rows 0, 1, R rows 0-3; items 6..9 with c = 3: Q 2, 3, R 4-6.
    method = make("qr", Table(6, 4, 1), divisor=4, item_divisor=3, combine="add")
    assert method.quotient.weight.shape == (4, 1)
    fill(method.quotient.weight, [[0], [10], [20], [30]])
    fill(method.remainder.weight, [[0], [1], [2], [3], [100], [101], [102]])
    assert rows(method).flatten().tolist() == [0, 1, 2, 3, 10, 11, 120, 121, 122, 130]


def test_qr_divides_the_large_table_between_users_and_items_in_proportion():
    # 600 users, 400 items, 900 rows: 896 of R as 538 : 358, and two of Q for each side.
    budget = Budget(900 * 64, "values")
    config = planned("qr", budget, shape=(600, 400), root="large")
    assert (config.divisor, config.item_divisor) == (538, 358)
    # As many as there are ids, and a row of Q: nobody shares, nothing is unused.
    config = planned("qr", Budget(1002 * 64, "values"), shape=(600, 400), root="large")
    assert (config.divisor, config.item_divisor) == (600, 400)
    # Half of R's rows are users', a third would be their part by number.
    config = planned("qr", budget, shape=(300, 600), root="large", users=0.5)
    assert (config.divisor, config.item_divisor) == (300, 597)
    # A small divisor is that of both sides: as many ids share a row of Q there and here.
    small = planned("qr", budget, shape=(600, 400), root="small")
    assert (small.divisor, small.item_divisor) == (2, None)


def test_qr_that_starts_by_signs_has_the_common_scale_in_every_column():
    method = make("qr", Table(6000, 4000, 4, std=0.01), divisor=5900, combine="signed")
    method.reset(torch.Generator().manual_seed(0))
    assert set(method.quotient.weight.detach().flatten().tolist()) == {-1.0, 1.0}
    with torch.no_grad():
        columns = method(torch.arange(5900)).std(0)  # all of them behind one row of Q
    assert columns.tolist() == pytest.approx([0.01] * 4, rel=0.05)


def test_qr_shares_one_pair_of_tables_where_two_do_not_fit():
    # Two pairs need 2 (sqrt(29858) + sqrt(40981)) = 751 rows or so.
    apart = planned("qr", Budget(760 * 64, "values"))
    assert not apart.joint
    assert planned("qr", Budget(700 * 64, "values")).joint
    used = sum(ceil(n / apart.divisor) + apart.divisor for n in GOWALLA)
    assert used <= 760


def test_qr_needs_two_square_roots_of_rows():
    with pytest.raises(Infeasible) as caught:
        planned("qr", Budget(532 * 64, "values"))
    assert caught.value.minimum == 533 * 64


@pytest.mark.parametrize("joint", [True, False])
def test_qr_with_divisor_one_and_a_constant_remainder_is_a_full_table(joint):
    for combine, constant in (("mult", 1.0), ("add", 0.0)):
        method = make("qr", Table(6, 4, 3), divisor=1, combine=combine, joint=joint)
        fill(method.remainder.weight, torch.full_like(method.remainder.weight, constant))
        assert torch.equal(rows(method), method.quotient.weight.detach())


def test_qr_is_unique_for_every_id_of_gowalla():
    ids = torch.arange(sum(GOWALLA))
    for divisor in (15, 253, 1000):
        pairs = torch.div(ids, divisor, rounding_mode="floor") * divisor + ids % divisor
        assert torch.equal(pairs, ids)
        assert int(torch.div(ids[-1], divisor, rounding_mode="floor")) < ceil(len(ids) / divisor)


# Fewer dimensions


def test_fewer_dimensions_leave_the_rest_zero():
    config = planned("dims", Budget(45, "values"), (6, 4), 8)
    assert config.width == 4
    method = make("dims", Table(6, 4, 8), width=4)
    assert torch.equal(rows(method)[:, :4], method.stored.weight.detach())
    assert bool((rows(method)[:, 4:] == 0).all())


def test_fewer_dimensions_at_all_dimensions_is_a_full_table():
    method = make("dims", Table(6, 4, 8), width=8)
    assert torch.equal(rows(method), method.stored.weight.detach())
    with pytest.raises(Infeasible) as caught:
        planned("dims", Budget(9, "values"), (6, 4), 8)
    assert caught.value.minimum == 10
