"""A split that other processes get is the split that was sent."""

from dataclasses import fields, replace

import numpy as np
import pytest

from bench.data import CSR, Interactions
from bench.data.transfer import pack_split, unpack_split


def part(*wanted):
    users, items = np.array(wanted, dtype=np.int64).reshape(-1, 2).T
    return CSR.from_pairs(users, items, 3)[0]


SPLIT = Interactions(
    name="toy",
    split="toy-v10-s0",
    title="Toy",
    note="invented",
    users=3,
    items=5,
    train=part((0, 1), (0, 4), (2, 0)),
    valid=part((0, 2)),
    test=part((2, 3), (2, 4)),
    repairs={"test: duplicate pairs dropped": 2},
    temporal=True,
)


@pytest.mark.parametrize("sent", [SPLIT, SPLIT.blind(), replace(SPLIT, temporal=False)])
def test_every_field_arrives_but_the_files(sent):
    found = unpack_split(pack_split(replace(sent, files=("train.txt",))))
    assert found.files == ()
    for field in fields(Interactions):
        one, other = getattr(sent, field.name), getattr(found, field.name)
        if isinstance(one, CSR):
            assert one.indptr.tolist() == other.indptr.tolist()
            assert one.indices.tolist() == other.indices.tolist()
        else:
            assert one == other, field.name
