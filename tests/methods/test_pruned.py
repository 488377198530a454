"""PEP and CERP: thresholds, masks and index maps by hand, and their trivial limits."""

from __future__ import annotations

from math import ceil

import pytest
import torch

from bench.budget import Budget
from bench.engine.adam import Adam
from bench.errors import Infeasible, Unreachable
from bench.method import Method, Phase, Progress, Table
from bench.method.registry import get_method

SEARCH, RETRAIN = Phase("search", until_budget=True), Phase("retrain")
START = Progress(0, 1000, 0, 10)
GOWALLA = Table(29_858, 40_981, 64)


def make(name: str, table: Table, **knobs) -> Method:
    kind = get_method(name)
    method = kind(table, kind.Config(**knobs))
    method.reset(torch.Generator().manual_seed(0))
    return method


def fill(parameter: torch.Tensor, values) -> None:
    with torch.no_grad():
        parameter.copy_(torch.as_tensor(values, dtype=torch.float32))


def rows(method: Method) -> torch.Tensor:
    with torch.no_grad():
        return method(torch.arange(method.table.ids))


@pytest.fixture
def searching():
    """PEP with V = [.8, -.6, .3] in row 0, in its search, with thresholds of sigmoid(0) = .5."""
    method = make("pep", Table(1, 1, 3), kept=2)
    method.begin(SEARCH, START, 1e-6)  # weights that hardly move: thresholds need no gain
    fill(method.stored.weight, [[0.8, -0.6, 0.3], [0.1, 0.2, 0.4]])
    fill(method.thresholds, torch.zeros(2, 3))
    return method


def test_soft_threshold_by_hand(searching):
    expected = torch.tensor([[0.3, -0.1, 0], [0, 0, 0]])
    assert torch.allclose(rows(searching), expected, atol=1e-7)
    assert searching.live() == 2
    fill(searching.thresholds, torch.full((2, 3), -2.0))  # sigmoid(-2) = .1192
    expected = torch.tensor([[0.6808, -0.4808, 0.1808], [0, 0.0808, 0.2808]])
    assert torch.allclose(rows(searching), expected, atol=1e-4)
    assert searching.live() == 5


def test_gradients_of_the_soft_threshold(searching):
    searching(torch.tensor([0])).sum().backward()
    assert searching.stored.weight.grad[0].tolist() == [1, 1, 0]
    assert searching.thresholds.grad[0].tolist() == pytest.approx([-0.25, 0.25, 0])


def test_cut_keeps_exactly_the_largest_margins(searching):
    searching.finish(SEARCH)
    assert searching.mask.tolist() == [[True, True, False], [False] * 3]
    # Margins, not magnitudes: a high threshold prunes a large value.
    fill(searching.thresholds, [[3.0, 0, -9], [0, 0, -9]])
    searching.finish(SEARCH)
    assert searching.mask.tolist() == [[False, False, True], [False, False, True]]


def test_a_search_with_the_gain_of_the_paper_fails_where_it_ends_above_the_budget():
    method = make("pep", Table(1, 1, 3), kept=2, gain=1.0)
    method.begin(SEARCH, START, 1.0)  # weights that may grow to 1,000 ask for a large gain
    assert method.gain == 1
    fill(method.stored.weight, [[0.8, -0.6, 0.3], [0.1, 0.2, 0.7]])
    fill(method.thresholds, torch.zeros(2, 3))
    with pytest.raises(Unreachable, match=r"gain = 1 .* below 0.5 and keep 3 .* holds 2"):
        method.finish(SEARCH)


def test_equal_margins_are_cut_by_index(searching):
    fill(searching.stored.weight, torch.full((2, 3), 0.7))
    searching.finish(SEARCH)
    assert searching.mask.flatten().tolist() == [True, True, False, False, False, False]


def test_retraining_starts_from_the_initial_values_under_the_mask(searching):
    searching.finish(SEARCH)
    searching.reset(torch.Generator().manual_seed(0))
    initial = make("pep", Table(1, 1, 3), kept=2).stored.weight.detach()
    searching.begin(RETRAIN, START, 1e-3)
    assert torch.equal(rows(searching), initial * searching.mask)


def test_pruned_entries_stay_zero_through_adam_with_momentum():
    method = make("pep", Table(20, 20, 8), kept=100)
    method.begin(SEARCH, START, 1e-3)
    method.finish(SEARCH)
    method.reset(torch.Generator().manual_seed(0))
    method.begin(RETRAIN, START, 1e-3)
    mask = method.mask.clone()
    assert int(mask.sum()) == 100
    optimizer = Adam(method.groups(0.05), method.tables())
    generator = torch.Generator().manual_seed(1)
    for _ in range(100):
        ids = torch.randint(40, (6,), generator=generator)
        (method(ids) * torch.randn(6, 8, generator=generator)).sum().backward()
        optimizer.step()
    optimizer.close()
    assert torch.equal(method.mask, mask)
    assert bool((rows(method)[~mask] == 0).all())
    assert bool((method.stored.weight.detach()[~mask] == 0).all())
    assert bool((rows(method)[mask] != 0).all())


def test_thresholds_cross_the_weights_within_the_search():
    """Without any data gradient, coupled decay alone has to prune to the budget in time."""
    method = make("pep", Table(50, 50, 8), kept=160)
    steps = 400
    method.begin(SEARCH, Progress(0, steps, 0, 10), 1e-3)
    assert method.live() > 700
    groups = list(method.groups(0.0))
    optimizer = Adam(groups, method.tables())
    lives = []
    for _ in range(steps):
        (method(torch.arange(100)).sum() * 0).backward()
        optimizer.step()
        lives.append(method.live())
    optimizer.close()
    assert lives == sorted(lives, reverse=True)
    assert lives[-1] <= method.target() == 160
    assert lives[steps // 4] > 160


def test_a_search_that_keeps_all_entries_begins_with_thresholds_although_one_entry_is_zero():
    method = make("pep", Table(1, 1, 3), kept=6)
    fill(method.stored.weight, [[0.8, -0.6, 0.0], [0.1, 0.2, 0.4]])
    method.begin(SEARCH, START, 0.01)
    assert method.thresholds.isfinite().all()
    assert 0 < method.rate < 1
    assert torch.allclose(rows(method), method.stored.weight)
    method.finish(SEARCH)
    assert method.mask.all()


def test_thresholds_are_trained_in_the_search_only():
    method = make("pep", Table(5, 5, 4), kept=20)
    method.begin(SEARCH, START, 1e-3)
    decays = [group.get("weight_decay", 0) for group in method.groups(1e-3)]
    assert decays == [0, 1e-5]
    method.begin(RETRAIN, START, 1e-3)
    assert len(list(method.groups(1e-3))) == 1


def test_pep_that_keeps_everything_is_a_full_table():
    table = Table(6, 4, 8, Budget(80, "values"))
    kind = get_method("pep")
    config = kind.plan(table, kind.Config())
    assert config.kept == 80
    method = make("pep", table, kept=80)
    method.begin(SEARCH, START, 1e-3)
    method.finish(SEARCH)
    method.reset(torch.Generator().manual_seed(0))
    method.begin(RETRAIN, START, 1e-3)
    assert bool(method.mask.all())
    assert torch.equal(rows(method), method.stored.weight.detach())


# CERP


def index_pairs(table: Table, buckets: int, **knobs) -> list[tuple[int, int]]:
    """(p, q) of every id, read off rows: P[p] = p and Q[q] = 1000 q."""
    method = make("cerp", Table(table.users, table.items, 1), buckets=buckets, kept=1, **knobs)
    count = len(method.stored.weight)
    fill(method.stored.weight[:buckets, 0], torch.arange(buckets))
    fill(method.stored.weight[buckets:, 0], 1000 * torch.arange(count - buckets))
    return [(int(v) % 1000, int(v) // 1000) for v in rows(method).flatten()]


def test_index_maps_by_hand():
    pairs = [(0, 0), (1, 0), (2, 0), (3, 1), (0, 1), (1, 1), (2, 2), (3, 2), (0, 2), (1, 3)]
    assert index_pairs(Table(6, 4, 1), 4) == pairs
    three = index_pairs(Table(6, 4, 1), 3)
    assert len(set(three)) == 8
    assert three[0] == three[3] == (0, 0)
    assert three[4] == three[7] == (1, 1)


def test_rows_of_q_that_no_id_refers_to_do_not_exist():
    kind = get_method("cerp")
    shape = kind.shape(Table(6, 4, 2), kind.Config(buckets=6, kept=1))
    assert shape == (6 + 5, 2)
    assert kind.shape(GOWALLA, kind.Config(buckets=5000, kept=1)) == (5000 + 4723, 64)
    assert kind.shape(GOWALLA, kind.Config(buckets=1000, kept=1)) == (1000 + 998, 64)


@pytest.mark.parametrize("buckets", [2, 3, 4, 5, 8, 9, 12, 50])
@pytest.mark.parametrize("ids", [10, 50, 65])
def test_pairs_are_unique_if_and_only_if_blocks_are_no_longer_than_buckets(ids, buckets):
    if buckets > ids:
        return
    pairs = index_pairs(Table(ids - 3, 3, 1), buckets)
    assert (len(set(pairs)) == ids) == (ceil(ids / buckets) <= buckets)


@pytest.mark.parametrize(("buckets", "distinct"), [(267, 70_839), (266, 70_574), (100, 10_000)])
def test_distinct_pairs_on_gowalla(buckets, distinct):
    method = make("cerp", Table(GOWALLA.users, GOWALLA.items, 1), buckets=buckets, kept=1)
    ids = torch.arange(GOWALLA.ids)
    [(_, block, _)] = type(method).layout(method.table, method.config)
    pairs = (ids % buckets) * 10_000 + torch.div(ids, block, rounding_mode="floor")
    assert len(pairs.unique()) == distinct


def test_users_and_items_apart_share_nothing():
    method = make("cerp", Table(12, 8, 1), buckets=10, kept=1, joint=False)
    count = len(method.stored.weight)
    fill(method.stored.weight[:, 0], 2.0 ** torch.arange(count))
    masks = [int(v) for v in rows(method).flatten()]
    used = [{bit for bit in range(count) if mask >> bit & 1} for mask in masks]
    assert all(len(pair) == 2 for pair in used)
    assert not set().union(*used[:12]) & set().union(*used[12:])
    assert set().union(*used) == set(range(count))


def test_rows_are_sums_of_what_is_kept():
    method = make("cerp", Table(6, 4, 2), buckets=4, kept=16)
    fill(method.stored.weight, torch.zeros(8, 2))
    fill(method.stored.weight[0], [0.5, 0.7])  # P[0]
    fill(method.stored.weight[4 + 1], [-0.2, 0.1])  # Q[1]
    method.mask[0, 1] = False
    assert rows(method)[4].tolist() == pytest.approx([0.3, 0.1])


def test_regulariser_by_hand():
    """A mean over entries, where the paper's code sums: a third of its value for three."""
    method = make("cerp", Table(6, 4, 3), buckets=4, kept=12)
    composed = torch.tensor([[0.01, -0.02, 0.0]])
    assert method.penalty(composed, START) == 0.0  # outside the search
    method.begin(SEARCH, START, 1e-3)
    for epoch, gamma in ((0, 1.0), (1, 0.5), (3, 0.125)):
        value = float(method.penalty(composed, Progress(epoch * 100, 1000, epoch, 10)))
        assert value == pytest.approx(-1.50937 / 3 * gamma, abs=1e-5)
    method.begin(RETRAIN, START, 1e-3)
    assert method.penalty(composed, START) == 0.0


def test_regulariser_can_be_switched_off():
    method = make("cerp", Table(6, 4, 3), buckets=4, kept=12, gamma=0.0)
    method.begin(SEARCH, START, 1e-3)
    assert method.penalty(torch.ones(1, 3), START) == 0.0


def test_cut_is_joint_over_both_tables():
    method = make("cerp", Table(6, 4, 2), buckets=4, kept=8)
    method.begin(SEARCH, START, 1e-3)
    method.finish(SEARCH)
    assert int(method.mask.sum()) == 8
    size = method.stored.weight.detach().abs()
    assert float(size[method.mask].min()) >= float(size[~method.mask].max())


@pytest.mark.parametrize(
    ("kept", "share", "users", "items"),
    [
        (6, None, 1, 5),  # the largest of all
        (6, 0.5, 3, 3),
        (11, 0.9, 8, 3),  # users have eight entries in all, the rest is items'
    ],
)
def test_users_and_items_keep_the_largest_of_their_share(kept, share, users, items):
    method = make("magnitude", Table(4, 6, 2), kept=kept, kept_users=share)
    method.begin(method.phases[0], START, 1e-3)
    size = torch.tensor([25, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 8, 15, 16, 17, 18, 19, 20])
    fill(method.stored.weight, size.view(10, 2).float())
    method.finish(method.phases[0])
    assert int(method.mask[:4].sum()) == users
    assert int(method.mask[4:].sum()) == items
    for side in (slice(None, 4), slice(4, None)):
        mask, own = method.mask[side], size.view(10, 2)[side]
        assert not bool((~mask).any()) or own[mask].min() > own[~mask].max()


def test_users_of_cerp_have_the_first_rows_unless_they_are_shared():
    # Ten buckets, 6 : 4; pairs of ids share a row of Q, which makes 6 and 4 rows more.
    apart = make("cerp", Table(12, 8, 1), buckets=10, kept=8, joint=False, kept_users=0.25)
    assert apart.first_rows == 12
    apart.begin(SEARCH, START, 1e-3)
    apart.finish(SEARCH)
    assert int(apart.mask[:12].sum()) == 2
    assert int(apart.mask[12:].sum()) == 6
    shared = make("cerp", Table(12, 8, 1), buckets=10, kept=8, joint=True, kept_users=0.25)
    assert shared.first_rows is None


def test_given_buckets_decide_the_sparsity():
    kind = get_method("cerp")
    table = Table(GOWALLA.users, GOWALLA.items, 128, Budget(128_000, "values"))
    config = kind.plan(table, kind.Config(buckets=1000))
    assert config.kept == 128_000  # of 2 x 1000 x 128, less two rows that do not exist


@pytest.mark.parametrize("share", [0.001, 0.002, 0.01, 0.05, 0.2, 0.5])
def test_plan_fills_the_budget_at_the_wanted_sparsity(share):
    kind = get_method("cerp")
    budget = Budget(int(share * GOWALLA.ids * 64 * 4))
    table = Table(GOWALLA.users, GOWALLA.items, 64, budget)
    config = kind.plan(table, kind.Config())
    size = kind.file_size(table, config)
    assert size.within(budget)
    assert size.bytes > budget.cap - 16
    shape = kind.shape(table, config)
    entries = shape[0] * shape[1]
    if config.buckets > ceil(GOWALLA.ids**0.5):
        assert 0.5 <= config.kept / entries < 0.58  # one bucket more may add many rows of Q
    else:  # fewer buckets would make ids share both rows
        assert config.kept / entries < 0.5


def test_cerp_minimum_is_that_of_the_fewest_buckets():
    kind = get_method("cerp")
    table = Table(GOWALLA.users, GOWALLA.items, 64, Budget(100))
    with pytest.raises(Infeasible) as caught:
        kind.plan(table, kind.Config())
    fewest = kind.file_size(table, kind.Config(buckets=267, kept=1)).bytes
    assert caught.value.minimum == fewest


def test_cerp_with_a_bucket_for_each_id_is_a_full_table_plus_shared_rows():
    """b = N: every id has its own row of P and of Q; with Q constant, P is a full table."""
    method = make("cerp", Table(6, 4, 3), buckets=10, kept=60)
    assert method.stored.weight.shape == (20, 3)
    fill(method.stored.weight[10:], torch.full((10, 3), 0.5))
    assert torch.equal(rows(method), method.stored.weight.detach()[:10] + 0.5)
