"""What methods say that they made of their budget."""

from __future__ import annotations

import pytest
import torch

from bench.method import Budget, Table
from bench.method.registry import find_methods

METHODS = find_methods()
GOWALLA = (29_858, 40_981)


def said(name, share, **knobs):
    """The words of a method that is planned for a share of Gowalla's full table."""
    table = Table(*GOWALLA, 64, Budget(int(share * sum(GOWALLA) * 64 * 4)))
    kind = METHODS[name]
    with torch.device("meta"):
        return kind(table, kind.plan(table, kind.Config(**knobs))).outcome()


@pytest.mark.parametrize(
    ("name", "knobs", "words"),
    [
        ("hashing", {"hashes": 1, "rows": 3000}, "3,000 rows, own rows for 0% of the ids, 1 hash"),
        (
            "hashing",
            {"hashes": 2, "head": 0.98, "rows": 3000},
            "3,000 rows, own rows for 4% of the ids, 2 hashes",
        ),
        ("qr", {}, "3,374 quotient rows and 42 remainder rows"),
        ("ttrec", {"rank_imbalance": 0.0}, "ranks 35 and 35, 64 columns"),
        ("dims", {}, "3 columns of 32 bits"),
        ("dims", {"bits": 4}, "23 columns of 4 bits"),
    ],
)
def test_words(name, knobs, words):
    assert said(name, 0.05, **knobs) == words


def test_pruned_tables_say_what_is_left():
    table = Table(6, 4, 5)
    cerp = METHODS["cerp"](table, METHODS["cerp"].Config(buckets=4, kept=10))
    pep = METHODS["pep"](table, METHODS["pep"].Config(kept=10))
    for method in (cerp, pep):
        method.mask.zero_()
        method.mask.view(-1)[:10] = True
    assert cerp.outcome() == "4 buckets for 10 ids, 75% pruned"  # 4 + 4 rows of 5
    assert pep.outcome() == "20.0% of 5 columns kept"
