"""What the numbers of users and items stand for in the files."""

from __future__ import annotations

import pytest
from support.data import TEST, TRAIN, alone_fixture, pairs, write  # noqa: F401

from bench.data import load, load_labels

pytestmark = pytest.mark.usefixtures("alone")


def table(rows):
    return "user,item\n" + "".join(f"{user},{item}\n" for user, item in rows)


@pytest.mark.parametrize(
    ("user", "item"),
    [("u{}", "片{}"), ("{}", "{}"), ("0{}", "x y{}")],
    ids=["text", "numbers", "zeros in front"],
)
def test_labels_are_those_of_the_file(tmp_path, user, item):
    rows = {(user.format(u), item.format((3 * u + k) % 11)) for u in range(20) for k in range(8)}
    write(tmp_path, ratings_csv=table(sorted(rows)))
    data, users, items = load_labels(tmp_path / "ratings.csv")
    assert data.fingerprint == load(tmp_path / "ratings.csv").fingerprint
    names = users.texts(), items.texts()
    assert list(map(len, names)) == [data.users, data.items]
    found = {
        (names[0][u], names[1][i])
        for part in (data.train, data.valid, data.test)
        for u, i in pairs(part)
    }
    assert found == rows


def test_numbers_of_lightgcn_text_are_their_own_labels(tmp_path):
    data, users, items = load_labels(write(tmp_path, train_txt=TRAIN, test_txt=TEST))
    assert users.texts() == [str(n) for n in range(data.users)]
    assert items.texts() == [str(n) for n in range(data.items)]
