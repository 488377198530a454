"""Full ranking: golden cases, and a naive sort as reference."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.parts import matrix, random_parts

from bench.backbones.mf import MF
from bench.check import tiny_data
from bench.data import CSR, Interactions
from bench.engine.evaluate import KS, Evaluator, Vectors, breakdown, ranking_metrics
from bench.engine.loop import Fit
from bench.engine.rank import rank
from bench.engine.settings import Training
from bench.engine.topk import GROUP, rough_products, top_columns, top_products
from bench.errors import BenchError
from bench.method import Table
from bench.method.registry import get_method


def fixed(table: torch.Tensor):
    """Scores [users, items] as the evaluator asks for them."""

    def scores(users, order, out):
        out[:, : len(order)] = table[users][:, order]
        return out

    return scores


def naive(table, part: CSR, seen: list[CSR], order: torch.Tensor):
    """Recall, NDCG and top items of each user by sorting everything, one user at a time."""
    place = {int(item): position for position, item in enumerate(order)}
    metrics: dict[str, list[float]] = {f"{m}@{k}": [] for k in KS for m in ("recall", "ndcg")}
    tops = {}
    for user in range(len(part.indptr) - 1):
        wanted = set(part.row(user).tolist())
        if not wanted:
            continue
        scores = table[user].double().clone()
        for csr in seen:
            scores[csr.row(user).astype(np.int64)] = -math.inf
        ranked = sorted(range(len(scores)), key=lambda i: (-float(scores[i]), place[i]))
        tops[user] = [item if scores[item] > -math.inf else -1 for item in ranked[:50]]
        for k in KS:
            hits = [rank + 1 for rank, item in enumerate(ranked[:k]) if item in wanted]
            ideal = sum(1 / math.log2(r + 1) for r in range(1, min(k, len(wanted)) + 1))
            metrics[f"recall@{k}"].append(len(hits) / len(wanted))
            metrics[f"ndcg@{k}"].append(sum(1 / math.log2(r + 1) for r in hits) / ideal)
    return metrics, tops


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
@pytest.mark.parametrize(
    ("users", "items", "levels"),
    [(23, 200, 4), (9, 40, 3), (12, 50, 2), (70, 333, 10**6), (5, 7000, 40), (4, 64, 1)],
)
def test_equals_a_naive_sort_with_exact_ties(users, items, levels, block):
    train, valid, test = random_parts(users, items, seed=items)
    generator = torch.Generator().manual_seed(items)
    table = torch.randint(levels, (users, items), generator=generator).float()
    evaluator = Evaluator(test, [train, valid], items, block=block)
    result = evaluator(fixed(table))
    metrics, tops = naive(table, test, [train, valid], evaluator.order)
    assert result.users.tolist() == list(tops)
    assert result.top.tolist() == list(tops.values())
    assert set(result.per_user) == set(metrics)
    for name, values in metrics.items():
        np.testing.assert_allclose(result.per_user[name], values, rtol=0, atol=1e-7)
        assert result.metrics[name] == pytest.approx(np.mean(values), abs=1e-12)


def test_metrics_are_identical_for_every_block_size():
    train, valid, test = random_parts(70, 333, seed=1)
    table = torch.randn(70, 333, generator=torch.Generator().manual_seed(1)).mul(3).round()
    results = [
        Evaluator(test, [train, valid], 333, block=block)(fixed(table)).metrics
        for block in (0, 1, 7, 64, 1000)
    ]
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize(
    ("hits", "wanted", "name", "value"),
    [
        ([1, 0, 1, 0, 0], 2, "ndcg@5", (1 + 1 / 2) / (1 + 1 / math.log2(3))),
        ([1, 0, 1, 0, 0], 2, "recall@5", 1.0),
        ([1, 1, 1, 1, 1], 7, "ndcg@5", 1.0),
        ([1, 1, 1, 1, 1], 7, "recall@5", 5 / 7),
        ([0, 0, 0, 0, 0, 1], 1, "recall@5", 0.0),
        ([0, 0, 0, 0, 0, 1], 1, "ndcg@10", 1 / math.log2(7)),
        ([0] * 19 + [1], 3, "recall@20", 1 / 3),
        ([0] * 50, 3, "ndcg@50", 0.0),
    ],
)
def test_golden_metrics(hits, wanted, name, value):
    metrics = ranking_metrics(torch.tensor([hits], dtype=torch.bool), torch.tensor([wanted]))
    assert float(metrics[name]) == pytest.approx(value, abs=1e-12)


def test_ndcg_of_the_worked_example():
    metrics = ranking_metrics(torch.tensor([[True, False, True]]), torch.tensor([2]))
    assert float(metrics["ndcg@5"]) == pytest.approx(0.91972, abs=1e-5)


def test_training_and_validation_items_are_no_candidates():
    items = 60
    train, valid, test = matrix([[0, 1]]), matrix([[2]]), matrix([[3]])
    table = -torch.arange(items).float().unsqueeze(0)  # item 0 best, then 1, 2, 3
    masked = Evaluator(test, [train, valid], items)(fixed(table))
    assert masked.top[0, :3].tolist() == [3, 4, 5]
    assert masked.metrics["ndcg@5"] == 1.0
    assert not set(masked.top[0]) & {0, 1, 2}
    validation = Evaluator(valid, [train], items)(fixed(table))
    assert validation.top[0, :2].tolist() == [2, 3]


def test_a_user_with_only_the_wanted_item_left_finds_it():
    items = 20
    train, test = matrix([list(range(1, items))]), matrix([[0]])
    table = torch.arange(items).float().unsqueeze(0)
    result = Evaluator(test, [train], items)(fixed(table))
    assert result.top[0, 0] == 0
    assert result.metrics["recall@5"] == 1.0


def test_users_without_test_items_are_left_out_of_the_mean():
    test = matrix([[5], [], [6], []])
    table = torch.zeros(4, 60)
    table[0, 5] = 1.0
    table[2] = torch.arange(60).neg().float()  # item 6 is seventh
    result = Evaluator(test, [matrix([[], [], [], []])], 60)(fixed(table))
    assert result.users.tolist() == [0, 2]
    assert result.metrics["recall@5"] == 0.5
    assert result.metrics["recall@10"] == 1.0


def test_ties_do_not_rank_by_id():
    test = matrix([[0]])
    result = Evaluator(test, [matrix([[]])], 500)(fixed(torch.zeros(1, 500)))
    evaluator = Evaluator(test, [], 500)
    assert result.top[0].tolist() == evaluator.order[:50].tolist()
    assert result.top[0].tolist() != sorted(result.top[0].tolist())


def test_limit_takes_the_same_users_every_time():
    train, valid, _ = random_parts(40, 60, seed=2)
    chosen = [Evaluator(valid, [train], 60, limit=10).users.tolist() for _ in range(2)]
    assert chosen[0] == chosen[1] == sorted(chosen[0])
    assert len(chosen[0]) == 10
    assert set(chosen[0]) <= set(np.flatnonzero(valid.degrees()).tolist())
    assert len(Evaluator(valid, [train], 60, limit=10**6).users) == (valid.degrees() > 0).sum()


@pytest.mark.parametrize("width", [64, 128, 6464, 12_800])
@pytest.mark.parametrize("levels", [1, 2, 60, 10**7])
def test_top_columns_equal_a_stable_sort(width, levels):
    generator = torch.Generator().manual_seed(width + levels)
    scores = torch.randint(levels, (6, width), generator=generator).float()
    scores[0, width // 2 :] = -torch.inf
    scores[1] = -torch.inf
    before = scores.clone()
    for count in (1, 20, 50):
        expected = scores.argsort(dim=1, descending=True, stable=True)[:, :count]
        assert torch.equal(top_columns(scores, count), expected)
    assert torch.equal(scores, before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_top_columns_of_rows_that_are_mostly_ties(dtype):
    """Dead rows, dead items and ties far to the right, among ordinary rows."""
    width = 12_800
    generator = torch.Generator().manual_seed(7)
    scores = torch.randn(9, width, generator=generator, dtype=dtype)
    scores[1] = 0.0
    scores[2, torch.rand(width, generator=generator) < 0.99] = 0.0  # 64 above, fewer than ...
    scores[3, torch.rand(width, generator=generator) < 0.997] = 0.0  # ... and more than 50 wanted
    scores[4] = -1.0
    scores[4, width // 2 :: 3] = 0.0
    scores[5] = torch.where(torch.arange(width) % 2 == 0, 0.0, -0.0)  # equal numbers
    scores[6, 100:] = -torch.inf
    scores[7] = scores[8] = -torch.inf
    scores[8, [5, 4000, 9000]] = torch.tensor([1.0, 2.0, 1.0], dtype=dtype)
    for count in (1, 20, 50):
        expected = scores.argsort(dim=1, descending=True, stable=True)[:, :count]
        assert torch.equal(top_columns(scores, count), expected)


def by_hand(users, items, masked, count):
    """The best columns of every row by the products that decide, and a stable sort."""
    exact = torch.stack([(user.double() * items).sum(1) for user in users]).float()
    exact[masked] = -torch.inf
    return exact.argsort(dim=1, descending=True, stable=True)[:, :count]


def rounded(users, items, masked):
    """Rough products as a processor with bfloat16 makes them, on any processor."""
    rough = users.bfloat16().float() @ items.bfloat16().float().T
    rough[masked] = -torch.inf
    return rough


@pytest.mark.parametrize("width", [64, GROUP * 2, 6464, 12_800])
@pytest.mark.parametrize("dim", [1, 3, 64, 128])
def test_top_products_equal_a_stable_sort_of_exact_ones(width, dim):
    generator = torch.Generator().manual_seed(width + dim)
    users, items = (
        torch.randn(9, dim, generator=generator),
        torch.randn(width, dim, generator=generator),
    )
    users[1] *= 1e-3
    items[: width // 2] *= torch.rand(width // 2, 1, generator=generator) * 3
    masked = torch.rand(9, width, generator=generator) < 0.05
    rough = rounded(users, items, masked)
    expected = by_hand(users, items, masked, 50)
    if dim >= 64 and width > 64:  # or else the case is too easy to tell anything
        assert not torch.equal(rough.argsort(dim=1, descending=True)[:, :50], expected)
    before, longest = rough.clone(), items.norm(dim=1).max()
    assert torch.equal(top_products(rough, users, items, longest, 50), expected)
    assert torch.equal(rough, before)


def test_rough_products_are_as_near_as_the_search_takes_them_to_be():
    generator = torch.Generator().manual_seed(3)
    users, items = (
        torch.randn(64, 200, generator=generator),
        torch.randn(500, 200, generator=generator),
    )
    out = torch.empty(64, 500)
    precision = torch.get_float32_matmul_precision()
    rough_products(users, items.T.contiguous(), out)
    assert torch.get_float32_matmul_precision() == precision
    off = (out.double() - users.double() @ items.double().T).abs()
    most = users.norm(dim=1).unsqueeze(1) * items.norm(dim=1)
    assert float((off / most).max()) < 2**-8


@pytest.mark.parametrize("width", [64, 12_800])
def test_top_products_of_rows_that_are_mostly_ties(width):
    """Users and items without an entry, items that share a row, all items nearly alike."""
    generator = torch.Generator().manual_seed(8)
    users = torch.randint(-3, 4, (8, 16), generator=generator).float()
    shared = torch.randint(-3, 4, (40, 16), generator=generator).float()
    items = shared[torch.randint(40, (width,), generator=generator)]
    items[: width // 2] = 0.0
    users[2] = 0.0
    users[3] = torch.where(torch.arange(16) == 5, 1.0, 0.0)
    masked = torch.zeros(8, width, dtype=torch.bool)
    masked[4, 30:] = True  # fewer candidates than are wanted
    masked[5, :-1] = True
    masked[6] = True
    rough = rounded(users, items, masked)
    found = top_products(rough, users, items, items.norm(dim=1).max(), 50)
    assert torch.equal(found, by_hand(users, items, masked, 50))
    alike = torch.ones(width, 16) + torch.arange(width).unsqueeze(1) * 2.0**-20
    none = torch.zeros(8, width, dtype=torch.bool)
    users = torch.ones(8, 16)
    found = top_products(rounded(users, alike, none), users, alike, alike.norm(dim=1).max(), 50)
    assert torch.equal(found, torch.arange(width - 1, width - 51, -1).expand(8, 50))


def test_vectors_rank_as_their_scores():
    users, items = 40, 3000
    train, valid, test = random_parts(users, items, seed=12)
    generator = torch.Generator().manual_seed(12)
    people = torch.randint(-9, 10, (users, 8), generator=generator).float()
    things = torch.randint(-9, 10, (items, 8), generator=generator).float()
    people[5] = 0.0
    for block in (1, 7, 64):
        evaluator = Evaluator(test, [train, valid], items, block=block)
        result = evaluator(Vectors(people, things))
        expected = evaluator(fixed(people @ things.T))
        assert result.top.tolist() == expected.top.tolist()
        assert result.metrics == expected.metrics


def test_hashed_items_rank_as_by_a_naive_sort():
    users, items, rows = 40, 3000, 150
    train, valid, test = random_parts(users, items, seed=11)
    generator = torch.Generator().manual_seed(11)
    table = torch.randn(users, rows, generator=generator)
    table[3] = 0.0  # a user whose row was pruned away
    table = table[:, torch.randint(rows, (items,), generator=generator)]
    evaluator = Evaluator(test, [train, valid], items)
    _, tops = naive(table, test, [train, valid], evaluator.order)
    assert evaluator(fixed(table)).top.tolist() == list(tops.values())


def test_a_part_without_interactions_is_refused_with_a_reason():
    with pytest.raises(BenchError, match="no interactions"):
        Evaluator(matrix([[], []]), [matrix([[1], [2]])], 5)


def data_of(train: CSR, valid: CSR, test: CSR, items: int) -> Interactions:
    users = len(train.indptr) - 1
    return Interactions("x", "x", "X", "", users, items, train=train, valid=valid, test=test)


def test_breakdown_by_popularity_adds_up():
    items = 90
    train, valid, test = random_parts(50, items, seed=5)
    table = torch.randn(50, items, generator=torch.Generator().manual_seed(5))
    result = Evaluator(test, [train, valid], items)(fixed(table))
    groups = breakdown(result, data_of(train, valid, test, items))
    assert groups["item_total"].sum() == test.nnz
    hits = (result.per_user["recall@20"].astype(np.float64) * test.degrees()[result.users]).sum()
    assert groups["item_hits"].sum() == pytest.approx(hits)
    assert (groups["item_hits"] <= groups["item_total"]).all()
    assert set(groups["activity"]) <= set(range(5))
    assert groups["users"].tolist() == result.users.tolist()
    np.testing.assert_array_equal(groups["recall@20"], result.per_user["recall@20"])


def test_breakdown_of_a_case_worked_by_hand():
    # Items 0..4 with 1, 1, 2, 2, 4 training interactions: tenths 1, 2, 4, 6, 10.
    train = matrix([[0, 2, 4], [1, 2, 4], [3, 4], [3, 4]])
    test = matrix([[1, 3], [0], [], [2]])
    data = data_of(train, CSR.empty(4), test, 5)
    table = torch.zeros(4, 5)
    table[0] = torch.tensor([0, 5, 0, 1, 0.0])
    result = Evaluator(test, [train], 5)(fixed(table))
    groups = breakdown(result, data)
    # Ends of the items' shares of training: .1, .2, .4, .6, 1 -> quintiles 0, 1, 2, 3, 4.
    assert groups["item_total"].tolist() == [1, 1, 1, 1, 0]
    assert groups["item_hits"].tolist() == [1, 1, 1, 1, 0]  # fewer items than 20: all are shown


def test_activity_is_the_fifth_of_the_ranked_users_by_their_training_interactions():
    """A user at an edge belongs above it; users without a test item do not move the edges."""
    counts = [1, 2, 3, 4, 5, 6, 1, 1, 1, 1]
    train = matrix([list(range(count)) for count in counts])
    test = matrix([[10]] * 6 + [[]] * 4)
    data = data_of(train, CSR.empty(10), test, 11)
    result = Evaluator(test, [train], 11)(fixed(torch.zeros(10, 11)))
    groups = breakdown(result, data)  # edges 2, 3, 4, 5
    assert groups["users"].tolist() == list(range(6))
    assert groups["activity"].tolist() == [0, 1, 2, 3, 4, 4]


def test_a_column_of_few_rows_counts():
    """Columns are left out only where they are zero in the rows of all ids."""
    users, items = 8, 60
    train, test = matrix([[1]] * users), matrix([[2]] * users)
    rows = torch.zeros(users + items, 4)
    rows[:, 0] = torch.rand(users + items, generator=torch.Generator().manual_seed(4))
    last = users - 1
    rows[last, 2] = rows[users + 50, 2] = 9.0
    data = data_of(train, CSR.empty(users), test, items)
    backbone = MF(data, 4, MF.Config(similarity="dot"))
    top = rank(backbone, rows, Evaluator(test, [train], items)).top
    assert top[last, 0] == 50
    assert set(top[:last, 0].tolist()) == {int(rows[users:, 0].argmax())} != {50}


def test_the_right_ranking_of_known_data_is_learned():
    data = replace(tiny_data(), name="known")
    table = Table(data.users, data.items, 16)
    method = get_method("full")(table, get_method("full").Config())
    backbone = MF(data, 16, MF.Config())
    training = Training(lr=0.05, batch=64, epochs=25, patience=25)
    untrained = Evaluator(data.test, [data.train, data.valid], data.items)
    method.reset(torch.Generator().manual_seed(0))
    everyone = torch.arange(table.ids)
    with torch.no_grad():
        before = rank(backbone, method(everyone), untrained).metrics["recall@5"]
    Fit(method, backbone, data, training, seed=0).run()
    with torch.no_grad():
        after = rank(backbone, method(everyone), untrained).metrics["recall@5"]
    assert before < 0.5
    assert after > 0.9


def test_items_that_a_user_has_seen_fill_no_list():
    # Two of five items are unseen: the other places of the list are empty, not seen items.
    train, test = matrix([[0, 1, 2]]), matrix([[3]])
    result = Evaluator(test, [train], 5)(fixed(torch.zeros(1, 5)))
    assert sorted(result.top[0, :2].tolist()) == [3, 4]
    assert result.top[0, 2:].tolist() == [-1] * 3
    groups = breakdown(result, data_of(train, CSR.empty(1), test, 5))
    assert groups["item_hits"].sum() == 1
