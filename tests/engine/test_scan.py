"""The compiled search of a ranking equals the plain way, whatever is in the scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.parts import random_parts

from bench.engine import evaluate, scan
from bench.engine.evaluate import Evaluator, Vectors
from bench.engine.scan import Scan


def drawn(kind: str, users: int, items: int, dim: int) -> Vectors:
    generator = torch.Generator().manual_seed(users + items + dim)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    people, things = normal(users, dim), normal(items, dim)
    if kind == "whole":  # many exact ties
        people, things = people.round(), things.round()
    elif kind == "shared":  # hashed items
        things = things[torch.randint(items // 40 + 1, (items,), generator=generator)]
    elif kind == "near":  # ties but for the last bits
        things = things[:1] + normal(items, dim) * 1e-7
    elif kind == "dead":
        people[::3], things[::2] = 0.0, 0.0
    elif kind == "popular":
        things *= torch.arange(items, 0, -1).unsqueeze(1) / items
        people = people.abs()
    return Vectors(people, things)


@pytest.mark.parametrize("kind", ["normal", "whole", "shared", "near", "dead", "popular"])
@pytest.mark.parametrize(
    ("items", "dim"), [(7, 3), (60, 5), (511, 8), (700, 64), (1500, 1), (5000, 9), (9000, 70)]
)
def test_equals_the_plain_way(kind, items, dim, monkeypatch):
    users = 37
    train, valid, test = random_parts(users, items, seed=items, most=40)
    vectors = drawn(kind, users, items, dim)
    evaluators = [Evaluator(test, [train, valid], items, block=block) for block in (8, 128)]
    found = [evaluator(vectors) for evaluator in evaluators]
    counted = [evaluator.metrics(vectors) for evaluator in evaluators]
    monkeypatch.setattr(evaluate, "available", lambda: False)
    plain = Evaluator(test, [train, valid], items)(vectors)
    for one in found:
        assert one.top.tolist() == plain.top.tolist()
        assert one.metrics == plain.metrics
    assert counted == [plain.metrics, plain.metrics]


@pytest.mark.parametrize("often", [1, 3])
def test_a_sample_that_misleads_is_noticed(often, monkeypatch):
    """A bound that is too high leaves rows with too few entries; they are ranked plainly."""
    items = 6000
    train, valid, test = random_parts(30, items, seed=1, most=40)
    vectors = drawn("normal", 30, items, 16)
    expected = Evaluator(test, [train, valid], items)(vectors)
    monkeypatch.setattr(scan, "_hardly_reached", lambda mean: often)
    order = torch.arange(items)
    rows = Scan(vectors.users, vectors.items[order], 50, 30)(
        torch.arange(30), np.empty(0, np.int32), np.zeros(31, np.int64)
    )
    assert (rows[:, 0] < 0).any()
    found = Evaluator(test, [train, valid], items)(vectors)
    assert found.top.tolist() == expected.top.tolist()


def test_nearly_all_rows_of_ordinary_scores_are_found():
    vectors = drawn("normal", 200, 6000, 16)
    rows = Scan(vectors.users, vectors.items, 50, 200)(
        torch.arange(200), np.empty(0, np.int32), np.zeros(201, np.int64)
    )
    assert (rows[:, 0] < 0).sum() < 10


def test_a_bound_rises_after_the_sample_and_at_four_times_as_many_items():
    edges = [1024 * n for n in range(1, 41)]
    ranks = scan._ranks(edges, 50)
    assert [edge for edge, rank in zip(edges, ranks, strict=True) if rank] == [1024, 4096, 16384]
    assert ranks[0] < ranks[3] < ranks[15] < 50
    assert scan._ranks([400], 50) == [0]
