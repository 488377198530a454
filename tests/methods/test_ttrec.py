"""TT-Rec: rows by hand, parameter counts, and that full rank can be any table."""

from __future__ import annotations

import pytest
import torch

from bench.budget import Budget
from bench.errors import Infeasible
from bench.method import Method, Table
from bench.method.registry import get_method

KIND = get_method("ttrec")
GOWALLA = Table(29_858, 40_981, 64)


def with_cores(table: Table, p, q, cores) -> Method:
    """A train of given cores [p1,q1,R1], [p2,R1,q2,R2], [p3,R2,q3]."""
    ranks = cores[0].shape[2], cores[2].shape[1]

    class Given(KIND):
        @staticmethod
        def factors(table, width, last=None):
            return p, q

    method = Given(table, KIND.Config(rank1=ranks[0], rank2=ranks[1]))
    with torch.no_grad():
        for parameter, core in zip((method.core1, method.core2, method.core3), cores, strict=True):
            stored = core if core is cores[0] else core.transpose(1, 2)
            assert parameter.shape == stored.shape
            parameter.copy_(stored)
    return method


@torch.no_grad()
def rows(method: Method, ids=None) -> torch.Tensor:
    return method(torch.arange(method.table.ids) if ids is None else ids)


EXAMPLE = [[1, 2, 3, 4], [0, 1, 1, 0], [4, 6, 2, 4], [1, 1, 0, 2]]


@pytest.mark.parametrize("where", ["last", "first", "middle"])
def test_rows_of_the_two_core_example(where):
    """Two cores of the example, and a third of ones in each of the three places."""
    g1 = torch.tensor([[[1.0, 0], [0, 1]], [[1, 1], [2, 0]]])  # [i1, j1, r]
    g2 = torch.tensor([[[1.0, 2], [3, 4]], [[0, 1], [1, 0]]])  # [i2, r, j2]
    if where == "last":
        p, q, cores = (2, 2, 1), (2, 2, 1), (g1, g2[..., None], torch.ones(1, 1, 1))
    elif where == "first":
        p, q, cores = (1, 2, 2), (1, 2, 2), (torch.ones(1, 1, 1), g1[:, None], g2)
    else:
        p, q, cores = (2, 1, 2), (2, 1, 2), (g1, torch.eye(2)[None, :, None], g2)
    method = with_cores(Table(2, 2, 4), p, q, cores)
    assert rows(method).tolist() == EXAMPLE
    assert [rows(method, torch.tensor(i)).tolist() for i in range(4)] == EXAMPLE


def test_rows_equal_the_sum_over_ranks():
    table, p, q = Table(20, 15, 12), (2, 4, 5), (2, 2, 3)
    generator = torch.Generator().manual_seed(0)
    one = torch.randn(2, 2, 3, generator=generator)
    two = torch.randn(4, 3, 2, 4, generator=generator)
    three = torch.randn(5, 4, 3, generator=generator)
    whole = torch.einsum("aiR,bRjS,cSk->abcijk", one, two, three).reshape(40, 12)
    method = with_cores(table, p, q, (one, two, three))
    assert torch.allclose(rows(method), whole[:35], atol=1e-5)  # ids beyond N do not exist
    ids = torch.tensor([[34, 0], [7, 7]])
    assert torch.allclose(rows(method, ids), whole[ids], atol=1e-5)


def count(p, q, rank1: int, rank2: int) -> int:
    method = with_cores(
        Table(1, p[0] * p[1] * p[2] - 1, q[0] * q[1] * q[2]),
        p,
        q,
        (
            torch.zeros(p[0], q[0], rank1),
            torch.zeros(p[1], rank1, q[1], rank2),
            torch.zeros(p[2], rank2, q[2]),
        ),
    )
    return sum(tensor.numel() for tensor in method.pack().values())


def test_parameter_counts():
    assert count((200, 220, 250), (4, 4, 4), 32, 32) == 958_720
    assert count((41, 42, 42), (4, 4, 4), 35, 35) == 217_420


def test_factors_cover_all_ids_and_the_dimension_exactly():
    assert KIND.factors(GOWALLA, 64) == ((41, 42, 42), (4, 4, 4))
    assert KIND.factors(GOWALLA, 64, 1) == ((41, 42, 42), (16, 4, 1))
    assert KIND.factors(GOWALLA, 64, 3) == ((41, 42, 42), (8, 4, 2))
    for ids in (2, 3, 9, 51, 64, 65, 1000, 2001):
        for dim in (1, 7, 8, 12, 64, 100, 128):
            p, q = KIND.factors(Table(1, ids - 1, 128), dim)
            assert p[0] * p[1] * p[2] >= ids
            assert q[0] * q[1] * q[2] == dim
            assert sorted(p) == list(p)


@pytest.mark.parametrize("share", [0.5, 0.2, 0.1, 0.05, 0.02, 0.01])
def test_ranks_use_the_budget(share):
    cap = int(share * GOWALLA.ids * 64)
    table = Table(GOWALLA.users, GOWALLA.items, 64, Budget(cap, "values"))
    config = KIND.plan(table, KIND.Config())
    assert 0.985 * cap <= KIND.file_size(table, config).values <= cap
    assert min(config.rank1, config.rank2) >= (1 - config.rank_imbalance) * max(
        config.rank1, config.rank2
    )


def test_least_size_is_rank_one():
    table = Table(GOWALLA.users, GOWALLA.items, 64, Budget(499, "values"))
    with pytest.raises(Infeasible) as caught:
        KIND.plan(table, KIND.Config())
    assert caught.value.minimum == (41 + 42 + 42) * 4


def test_full_rank_can_be_any_table():
    """By two singular value decompositions (Oseledets, SIAM 2011), at the ranks that cap a plan."""
    table, p, q = Table(10, 14, 8), (2, 3, 4), (2, 2, 2)
    wanted = torch.randn(24, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    tensor = wanted.view(2, 3, 4, 2, 2, 2).permute(0, 3, 1, 4, 2, 5)  # i1 j1 i2 j2 i3 j3
    u, s, v = torch.linalg.svd(tensor.reshape(4, 48), full_matrices=False)
    one, rest = u.reshape(2, 2, 4), (s[:, None] * v).reshape(4 * 6, 8)
    u, s, v = torch.linalg.svd(rest, full_matrices=False)
    two, three = u.reshape(4, 3, 2, 8).permute(1, 0, 2, 3), (s[:, None] * v).reshape(8, 4, 2)
    method = with_cores(table, p, q, (one.float(), two.float(), three.permute(1, 0, 2).float()))
    assert torch.allclose(rows(method), wanted.float(), atol=1e-5)


def test_unit_rows_have_the_direction_of_the_product_and_length_one():
    table = Table(3, 4, 8, Budget(60, "values"), seed=3)
    plain = KIND(table, KIND.plan(table, KIND.Config()))
    unit = KIND(table, KIND.plan(table, KIND.Config(unit_rows=True)))
    for method in (plain, unit):
        method.reset(torch.Generator().manual_seed(3))
    wanted = rows(plain) / rows(plain).norm(dim=1, keepdim=True)
    torch.testing.assert_close(rows(unit), wanted)
    with torch.no_grad():
        unit.core1.zero_()
    assert not rows(unit).any()  # and not NaN
    assert "unit_rows" not in KIND.Config().record()  # records from before it keep their ids


def test_outer_cores_can_have_a_lower_rate():
    table = Table(30, 20, 8, Budget(900, "values"))
    for outer, wanted in ((None, [0.5, 0.5, 0.5]), (0.1, [0.05, 0.5, 0.05])):
        method = KIND(table, KIND.plan(table, KIND.Config(outer_rate=outer)))
        rates = {id(one): group["lr"] for group in method.groups(0.5) for one in group["params"]}
        found = [rates[id(core)] for core in (method.core1, method.core2, method.core3)]
        assert found == pytest.approx(wanted)
    assert "outer_rate" not in KIND.Config().record()  # records from before it keep their ids
