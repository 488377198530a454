"""How users and items divide the rows of a table."""

import pytest
import torch

from bench.method import Table
from bench.method.registry import get_method
from bench.method.user_share import divide


@pytest.mark.parametrize(
    ("rows", "share", "expected"),
    [
        (50, None, (30, 20)),  # 60 : 40
        (50, 0.5, (25, 25)),
        (90, 0.5, (50, 40)),  # no item needs a second row: the rest is users'
        (90, 0.9, (60, 30)),  # and no user
        (100, None, (60, 40)),
        (2, 0.1, (1, 1)),
        (2, 0.9, (1, 1)),
    ],
)
def test_rows_are_divided_by_share_and_nobody_has_more_than_one(rows, share, expected):
    assert divide(rows, share, (60, 40)) == expected


def test_a_hashed_side_with_a_row_for_each_id_shares_none():
    kind = get_method("hashing")
    table = Table(60, 40, 4)
    method = kind(table, kind.Config(hashes=1, head=0.5, users=0.8, rows=80))
    slots = method.slots(torch.arange(100)).flatten()
    assert slots[:60].tolist() == list(range(60))
    # Items have 20 rows: the first ten own one each, the others share the rest.
    assert slots[60:70].tolist() == list(range(60, 70))
    assert set(slots[70:].tolist()) <= set(range(70, 80))
    assert method(torch.arange(100)).shape == (100, 4)
