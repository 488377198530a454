"""CCE, GraphHash and LERG: hand-computed cases, and clusters that can be seen in the data."""

from __future__ import annotations

import json

import pytest
import torch
from support.methods import make, rows

from bench.method import Budget, Pairs, Progress, Table
from bench.method.registry import get_method


def two_groups(users: int = 8, items: int = 12) -> Table:
    """Users with even numbers have all items with even numbers, and odd ones the odd ones."""
    starts = torch.arange(users + 1) * (items // 2)
    each = torch.arange(items // 2) * 2
    pairs = Pairs(starts, torch.cat([each + user % 2 for user in range(users)]), items)
    return Table(users, items, 4, interactions=pairs)


# CCE


def test_a_clustering_by_hand():
    # Users 0, .2, 1, 1.2 in two rows, the item in one.
    method = make("cce", Table(4, 1, 1), rows=3)
    with torch.no_grad():
        method.map.copy_(torch.tensor([[0, 0, 1, 1, 2]]))
        second = method.second(torch.arange(5))[0]
        method.stored.weight.zero_()
        method.stored.weight[:3, 0] = torch.tensor([0.1, 1.1, 5.0])
        # Two users share a row of T1 whatever is drawn: it gives both the same part.
        before = rows(method).clone()
    assert before[:, 0].tolist() == pytest.approx([0.1, 0.1, 1.1, 1.1, 5.0])
    assert set(second[:4].tolist()) <= {0, 1}
    method.cluster(torch.Generator().manual_seed(0))
    assert method.map[0, 0] == method.map[0, 1] != method.map[0, 2] == method.map[0, 3]
    assert rows(method)[:, 0].tolist() == pytest.approx([0.1, 0.1, 1.1, 1.1, 5.0])


def test_the_second_table_has_hash_rows_of_each_side():
    # Users: five in three rows, p = 5. Items: four in two rows, p = 5. One function for each chunk.
    method = make("cce", Table(5, 4, 2), rows=5, chunks=2, user_share=0.6)
    method.functions.copy_(torch.tensor([[1, 3], [4, 7]]))  # a, c: 2, 3 and 1, 2
    users = [[h % 3 for h in hashes] for hashes in ((3, 0, 2, 4, 1), (2, 3, 4, 0, 1))]
    items = [[3 + h % 2 for h in hashes] for hashes in ((3, 0, 2, 4), (2, 3, 4, 0))]
    found = method.second(torch.arange(9)).tolist()
    assert found == [one + other for one, other in zip(users, items, strict=True)]


def test_what_is_left_is_the_mean_of_a_row_of_the_second_table():
    method = make("cce", Table(4, 1, 1), rows=5)
    points = torch.tensor([0.0, 0.2, 1.0, 1.2, 7.0])
    with torch.no_grad():
        # Every id has a row of the first table: nothing is left for the second.
        method.map.copy_(torch.arange(5).view(1, 5))
        method.stored.weight.zero_()
        method.stored.weight[:5, 0] = points
    method.cluster(torch.Generator().manual_seed(0))
    assert rows(method)[:, 0].tolist() == pytest.approx(points.tolist())
    assert not bool(method.stored.weight[5:].any())


def test_clusterings_are_spread_over_the_first_two_thirds_of_the_epochs():
    method, phase = make("cce", Table(9, 9, 4), rows=4, clusterings=2), get_method("cce").phases[0]
    seen = []
    method.cluster = lambda generator: seen.append(method.epoch)  # type: ignore[method-assign]
    for epoch in range(12):
        for step in range(2):
            method.advance(phase, Progress(2 * epoch + step, 24, epoch, 12))
    assert seen == [4, 8]


def test_chunks_have_maps_of_their_own():
    method = make("cce", Table(6, 9, 4), rows=4, chunks=2)
    packed = method.pack()
    # Users have one or two of four rows, items the others: 2 x 6 and 2 x 9 codes.
    assert packed["stored.weight"].shape == (2 * 2 * 4, 2)
    back = type(method).unpack(packed, method.table.bare(), method.config)
    assert torch.equal(rows(back), rows(method))


# GraphHash


def test_neighbours_in_the_graph_share_a_row():
    method = make("graphhash", two_groups(), rows=4, head=0.0)
    found = rows(method)
    users, items = found[:8], found[8:]
    for side in (users, items):
        assert torch.equal(side[::2], side[:1].expand(len(side) // 2, -1))
        assert torch.equal(side[1::2], side[1:2].expand(len(side) // 2, -1))
        assert not torch.equal(side[0], side[1])


def test_the_map_of_rare_ids_takes_a_bit_for_two_rows():
    # Each side has 8 rows: a row for each user; 6 items have their own, the others share two.
    method = make("graphhash", two_groups(), rows=16, head=0.75, user_share=0.5)
    assert method.heads() == (8, 6)
    assert method.shared() == [(8, 0, 1), (6, 6, 2)]
    packed = method.pack()
    assert len(packed["user_map"]) == 0 and len(packed["item_map"]) == 1
    found = rows(method)[8:]
    assert len(found[:6].unique(dim=0)) == 6
    assert len(found[6:].unique(dim=0)) == 2
    assert "functions" not in packed


# LERG


def test_rows_are_a_cluster_and_a_hash_row():
    method = make("lerg", two_groups(), words=2, weight=0.75)
    with torch.no_grad():
        method.map.copy_(torch.arange(20) % 2)
        method.functions.copy_(torch.tensor([[0, 1]]))  # a = 1, c = 1; p = 23
        method.stored.weight.copy_(torch.tensor([[4.0, 0, 0, 0], [0, 8.0, 0, 0]]))
    # h(i) = (i + 1) mod 2: the other row.
    assert rows(method)[:2].tolist() == [[3, 2, 0, 0], [1, 6, 0, 0]]


def test_users_and_items_of_a_group_are_in_one_cluster():
    method = make("lerg", two_groups(), words=2)
    assert method.map.tolist() in ([0, 1] * 10, [1, 0] * 10)


def test_methods_that_cluster_are_the_same_for_the_same_seed():
    for name, knobs in (("graphhash", {"rows": 8}), ("lerg", {"words": 5})):
        one, other = (make(name, two_groups(), **knobs) for _ in range(2))
        assert torch.equal(rows(one), rows(other))


@pytest.mark.parametrize("name", ["cce", "graphhash", "lerg", "optembed"])
def test_a_published_form_is_the_same_when_it_is_read_back(name):
    kind = get_method(name)
    config = kind.plan(Table(60, 40, 16, Budget(5000)), kind.Config(**kind.published))
    again = kind.Config.model_validate(json.loads(json.dumps(config.record())))
    assert again == config
