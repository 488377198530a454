"""Which tables of a model are those of users and items."""

from __future__ import annotations

import pytest
from torch import nn

from bench.errors import BenchError
from bench.recbole.tables import Pair, find_pairs


def model(users: int, items: int, **tables: tuple[int, int]) -> nn.Module:
    found = nn.Module()
    found.n_users, found.n_items = users, items
    for name, (rows, columns) in tables.items():
        found.add_module(name, nn.Embedding(rows, columns))
    return found


def test_tables_with_one_column_are_biases():
    tables = {"user_bias": (5, 1), "user_embedding": (5, 8), "item_embedding": (7, 8)}
    assert find_pairs(model(5, 7, **tables)) == [Pair("user_embedding", "item_embedding", 8)]
    assert find_pairs(model(5, 7, item_bias=(7, 1), **tables)) == find_pairs(model(5, 7, **tables))
    with pytest.raises(BenchError, match="and has none"):
        find_pairs(model(5, 7, user_bias=(5, 1), item_bias=(7, 1)))


def test_names_decide_where_there_are_as_many_users_as_items():
    tables = {"Item_table": (5, 8), "a_user_table": (5, 8)}
    assert find_pairs(model(5, 5, **tables)) == [Pair("a_user_table", "Item_table", 8)]
    with pytest.raises(BenchError, match=r"and has user_table \(8\)"):
        find_pairs(model(5, 5, user_table=(5, 8), other=(5, 8)))


def test_names_do_not_decide_where_the_rows_do():
    tables = {"item_of_user": (5, 8), "things": (7, 8), "others": (6, 8)}
    assert find_pairs(model(5, 7, **tables)) == [Pair("item_of_user", "things", 8)]
