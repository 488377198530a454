"""Methods in the limits where they are a full table: the same rows, and the same training.

Indices and rows in these limits are tested method by method; here the two are trained side by
side, by the optimiser that runs use, on the same random losses.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bench.budget import Budget
from bench.check.subject import Subject
from bench.engine.adam import Adam
from bench.method import Infeasible, Method, Pairs, Phase, Progress, Table
from bench.method.identity import rounds
from bench.method.registry import find_methods, get_method

USERS, ITEMS, DIM = 7, 5, 4
N = USERS + ITEMS
TABLE = Table(USERS, ITEMS, DIM, Budget(10_000))
SEARCH, RETRAIN = Phase("search", until_budget=True), Phase("retrain")
START = Progress(0, 100, 0, 10)
LR = 0.05


def make(name: str, **knobs) -> Method:
    kind = get_method(name)
    method = kind(TABLE, kind.Config(**knobs))
    method.reset(torch.Generator().manual_seed(0))
    return method


def full(rows: Tensor) -> Method:
    """A full table of the given rows."""
    method = make("full")
    fill(method.stored.weight, rows)
    return method


def fill(parameter: Tensor, values: Tensor | float) -> None:
    with torch.no_grad():
        parameter.copy_(torch.as_tensor(values, dtype=torch.float32))


def rows(method: Method) -> Tensor:
    with torch.no_grad():
        return method(torch.arange(N))


def trained(method: Method, lr: float = LR, frozen: tuple[Tensor, ...] = ()) -> Tensor:
    """Rows after 60 steps of a random quadratic loss on random ids, some of them repeated."""
    for parameter in frozen:
        parameter.requires_grad_(False)
    groups = [
        {**group, "params": [p for p in group["params"] if p.requires_grad]}
        for group in method.groups(lr)
    ]
    tables = [table for table in method.tables() if table.weight.requires_grad]
    optimizer = Adam(groups, tables)
    generator = torch.Generator().manual_seed(1)
    for _ in range(60):
        ids = torch.randint(N, (6,), generator=generator)
        wanted = torch.randn(6, DIM, generator=generator)
        (method(ids) - wanted).square().sum().backward()
        optimizer.step()
    optimizer.close()
    return rows(method)


def assert_trains_as(method: Method, other: Method, other_lr: float = LR, frozen=()) -> None:
    assert torch.allclose(rows(method), rows(other), atol=1e-6)
    before = rows(method)
    got, wanted = trained(method, frozen=frozen), trained(other, other_lr)
    assert not torch.allclose(wanted, before, atol=0.1)  # it has moved
    assert torch.allclose(got, wanted, atol=1e-5)


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize(("combine", "constant"), [("mult", 1.0), ("add", 0.0)])
def test_qr_with_a_constant_quotient_is_a_full_table(combine, constant, joint):
    """c = N: one row of Q, which is held constant, and a row of R for each id."""
    method = make("qr", divisor=N, combine=combine, joint=joint)
    assert len(method.quotient.weight) == (1 if joint else 2)
    fill(method.quotient.weight, torch.full_like(method.quotient.weight, constant))
    assert_trains_as(method, full(rows(method)), frozen=(method.quotient.weight,))


@pytest.mark.parametrize("joint", [True, False])
def test_qr_with_a_constant_remainder_is_a_full_table(joint):
    """c = 1, the mirror image."""
    method = make("qr", divisor=1, joint=joint)
    fill(method.remainder.weight, torch.ones_like(method.remainder.weight))
    assert_trains_as(method, full(rows(method)), frozen=(method.remainder.weight,))


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("head", [0.0, 0.5])
def test_hashing_into_as_many_rows_as_ids_without_collision_is_a_full_table(joint, head):
    """Each id has a row of its own: a = 1, and c = 0 where there is no head."""
    method = make("hashing", hashes=1, rows=N, joint=joint, head=head)
    method.functions.zero_()
    slots = method.slots(torch.arange(N)).flatten()
    assert sorted(slots.tolist()) == list(range(N))
    assert_trains_as(method, full(method.stored.weight.detach()[slots]))


def test_pep_at_all_of_the_table_is_a_full_table():
    kind = get_method("pep")
    table = Table(USERS, ITEMS, DIM, Budget(N * DIM, "values"))
    method = kind(table, kind.plan(table, kind.Config()))
    method.reset(torch.Generator().manual_seed(0))
    method.begin(SEARCH, START, LR)
    assert method.live() <= method.target()  # the search is over before it begins
    method.finish(SEARCH)
    method.reset(torch.Generator().manual_seed(0))
    method.begin(RETRAIN, START, LR)
    assert_trains_as(method, full(rows(method)))


@pytest.mark.parametrize("buckets", [N, N + 3])
@pytest.mark.parametrize("joint", [True, False])
def test_cerp_with_a_bucket_for_each_id_moves_as_a_full_table_at_twice_the_rate(buckets, joint):
    """With b >= N each id has a row of P and of Q to itself, whose gradients are equal."""
    kept = get_method("cerp").shape(TABLE, make("cerp", buckets=buckets, kept=1).config)[0] * DIM
    method = make("cerp", buckets=buckets, kept=kept, joint=joint)
    assert bool(method.mask.all())
    assert_trains_as(method, full(rows(method)), other_lr=2 * LR)


@pytest.mark.parametrize("buckets", [N, N + 3])
def test_cerp_whose_second_table_is_constant_is_a_full_table_plus_a_shared_row(buckets):
    method = make("cerp", buckets=buckets, kept=1)
    shared = torch.tensor([1.0, -2.0, 0.5, 3.0])
    fill(method.stored.weight[buckets:], shared.expand(len(method.stored.weight) - buckets, DIM))
    method.mask.fill_(True)
    own = method.stored.weight.detach()[:N]
    assert torch.equal(rows(method), own + shared)
    # Pruned away it is a constant of zero, and what is left trains as a full table does.
    method.mask[buckets:] = False
    method.begin(RETRAIN, START, LR)
    assert torch.equal(rows(method), own)
    assert_trains_as(method, full(own))


# TT-Rec ------------------------------------------------------------------------------------------


def train_of(rank1: int, rank2: int, wanted: Tensor) -> float:
    """Relative error of a tensor train fitted to a table by its gradients, best of three starts."""
    kind = get_method("ttrec")
    table = Table(12, 15, 8)
    errors = []
    for seed in range(3):
        method = kind(table, kind.Config(rank1=rank1, rank2=rank2)).double()
        method.reset(torch.Generator().manual_seed(seed))
        parameters = list(method.parameters())
        search = torch.optim.LBFGS(
            parameters, max_iter=1500, history_size=30, line_search_fn="strong_wolfe",
            tolerance_grad=1e-10, tolerance_change=1e-14,
        )  # fmt: skip

        def closure(search=search, method=method):
            search.zero_grad()
            loss = (method(torch.arange(table.ids)) - wanted).square().sum()
            loss.backward()
            return loss

        search.step(closure)
        errors.append(float((closure().detach() / wanted.square().sum()).sqrt()))
    return min(errors)


@pytest.fixture(scope="module")
def wanted() -> Tensor:
    """A random table of 27 ids, as many as the factors address."""
    assert get_method("ttrec").factors(Table(12, 15, 8), 8) == ((3, 3, 3), (2, 2, 2))
    return torch.randn(27, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def test_ttrec_at_full_rank_is_fitted_to_any_table(wanted):
    assert train_of(6, 6, wanted) < 1e-3


@pytest.mark.parametrize(("rank1", "rank2"), [(2, 2), (3, 5), (6, 4)])
def test_ttrec_below_full_rank_is_fitted_to_the_error_floor(wanted, rank1, rank2):
    """Oseledets (SIAM 2011): the best error lies between the larger tail of the singular values
    of the two unfoldings and the root of the sum of both squared tails.
    """
    tensor = wanted.view(3, 3, 3, 2, 2, 2).permute(0, 3, 1, 4, 2, 5)  # i1 j1 i2 j2 i3 j3
    norm = float(wanted.norm())
    tails = [
        float(torch.linalg.svdvals(tensor.reshape(shape))[rank:].norm()) / norm
        for shape, rank in (((6, 36), rank1), ((36, 6), rank2))
    ]
    error = train_of(rank1, rank2, wanted)
    assert max(tails) - 1e-6 <= error <= (tails[0] ** 2 + tails[1] ** 2) ** 0.5 + 1e-6
    assert error > 0.05  # there is a floor


# The start ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "std"), [(0.5, 0.1), (0.2, 0.01), (0.1, 0.1), (0.05, 0.01), (0.02, 0.1)]
)
def test_composed_rows_start_at_the_same_scale_under_every_budget(share, std):
    """Of all methods, at all budgets of a board; a dense table of 3,000 ids."""
    users, items, dim = 1200, 1800, 64
    budget = Budget(int(share * (users + items) * dim * 4))
    counts = torch.arange(users + items, 0, -1)
    each = (torch.arange(users).unsqueeze(1) * 7 + torch.arange(10) * 131) % items
    pairs = Pairs(torch.arange(users + 1) * 10, each.sort(1).values.flatten(), items)
    found = {}
    for name, kind in find_methods().items():
        given = {"interactions": pairs} if "interactions" in kind.needs else {}
        table = Table(users, items, dim, budget, std=std, counts=counts, **given)
        try:
            config = kind.plan(table, kind.Config())
        except Infeasible:
            continue
        if "teacher" in kind.needs:
            continue  # rows start from the teacher's
        method = kind(table, config)
        method.reset(torch.Generator().manual_seed(0))
        method.round_no_more()  # rounding may set the lengths of rows
        with torch.no_grad():
            composed = method(torch.arange(table.ids))
        # Columns that a method leaves out hold zeros, in all rows alike.
        used = composed[:, composed.any(0)]
        found[name] = float(used.std()), float(used.mean())
    assert {"full", "hashing", "pep", "ttrec"} <= set(found)
    for name, (scale, mean) in found.items():
        assert scale == pytest.approx(std, rel=0.1), name
        assert abs(mean) < 0.1 * std, name


# Budgets -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "share", "accounting"),
    [
        (name, share, accounting)
        for name, kind in find_methods().items()
        for share in (0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
        for accounting in Subject(kind).accountings
        if kind.budgeted
    ],
)
def test_no_method_exceeds_any_budget_of_the_complete_gowalla(name, share, accounting):
    """Sizes known before training; that the packed state has them is a check of every method."""
    kind = get_method(name)
    full_values = (29_858 + 40_981) * 64
    cap = int(share * full_values * (4 if accounting == "bytes" else 1))
    table = Table(29_858, 40_981, 64, Budget(cap, accounting), wide=True)
    try:
        size = kind.file_size(table, kind.plan(table, kind.Config()))
    except Infeasible as error:
        assert error.minimum > cap
        return
    used = size.bytes if accounting == "bytes" else size.values
    assert used <= cap
    assert (
        rounds(kind) or size.values * 4 < size.bytes
    )  # positions and the container are counted, too
    # Whole rows or columns of a coarse method leave something over; nobody leaves half, but a
    # method that has no more columns than its teacher.
    assert used > 0.5 * cap or ("teacher" in kind.needs and share > 0.1)
