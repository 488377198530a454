"""Labels that do not meet: a board on items that were never trained is worth nothing."""

import pytest
from support.data import alone_fixture, cards_fixture, fingerprint, write  # noqa: F401

from bench.data import load
from bench.errors import DataError

pytestmark = pytest.mark.usefixtures("alone")


def table(pairs, header="user,item"):
    return header + "\n" + "".join(f"{user},{item}\n" for user, item in pairs)


APART = {
    "12 and 12.0": (["10", "11", "12"], ["10.0", "11.0"], "item '10.0'", "has '10'"),
    "12.0 and 12": (["10.0", "11.0", "12.0"], ["11", "12"], "item '11'", "has '11.0'"),
    "leading zeros": (["0010", "0011", "0012"], ["10", "12"], "item '10'", "has '0010'"),
    "zeros in test": (["10", "11", "12"], ["0010", "0012"], "item '0010'", "has '10'"),
    "case": (["Ab", "Cd", "Ef"], ["ab", "ef"], "item 'ab'", "has 'Ab'"),
    "capitals": (["ab", "cd", "ef"], ["AB", "EF"], "item 'AB'", "has 'ab'"),
    "no-break space": (["a", "b", "c"], ["a\u00a0", "c\u00a0"], r"item 'a\xa0'", "has 'a'"),
    "mark of zero width": (["a", "b", "c"], ["\u200ba", "c"], r"item '\u200ba'", None),
    "both": (["A1", "A2", "A3"], ["a1 ", "a2\u00a0"], "item 'a1'", "has 'A1'"),
    "something else": (["a", "b", "c"], ["x", "y", "c"], "item 'x'", None),
}


@pytest.mark.parametrize("name", APART)
def test_items_that_do_not_meet_are_named_in_both_spellings(tmp_path, name):
    train, test, here, there = APART[name]
    write(
        tmp_path,
        train_csv=table([(user, item) for user in "uv" for item in train]),
        test_csv=table([("u", item) for item in test]),
    )
    if name == "mark of zero width":
        # One of two is not most: it is counted, and both spellings are named.
        data = load(write(tmp_path, train_csv=table([("u", "a"), ("u", "b"), ("v", "c")])))
        (line,) = [key for key in data.repairs if key.startswith("test: items")]
        assert r"such as '\u200ba'; training has 'a'" in line
        return
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    message = str(caught.value)
    assert f"{tmp_path / 'test.csv'}, line 2: {here} is in no row of train.csv" in message
    assert "items have no training interaction" in message
    if there:
        assert there in message
        assert "the same way" in message
    assert "\n" not in message


@pytest.mark.parametrize("pair", [("1", "1.0"), ("u1", "U1"), ("01", "1")])
def test_users_that_do_not_meet(tmp_path, pair):
    train = [(pair[0], item) for item in "abc"] + [("w", "a")]
    write(tmp_path, train_csv=table(train), test_csv=table([(pair[1], "c")]))
    with pytest.raises(DataError, match=f"user '{pair[1]}' .*, which has '{pair[0]}'"):
        load(tmp_path)


def test_a_few_that_do_not_meet_are_counted(tmp_path):
    write(
        tmp_path,
        train_csv=table([("u", "a"), ("u", "b"), ("v", "c"), ("v", "d")]),
        test_csv=table([("u", "c"), ("u", "d"), ("u", "new"), ("v", "a"), ("w", "b")]),
    )
    assert load(tmp_path).repairs == {
        "test: items without training interactions kept": 1,
        "test: users without training interactions dropped": 1,
        "test: pairs of users without training items dropped": 1,
    }


def test_lightgcn_text_is_counted_and_refused_alike(tmp_path):
    write(tmp_path, train_txt="0 0 1 2\n1 1 2 4\n", test_txt="0 3 4\n1 0\n")
    assert load(tmp_path).repairs["test: items without training interactions kept"] == 1
    write(tmp_path, train_txt="0 0 1 2\n1 1 2\n", test_txt="0 3 4\n1 3 4\n")
    with pytest.raises(DataError, match=r"test.txt, line 1: item '3' is in no row of train.txt"):
        load(tmp_path)


def test_a_validation_part_must_meet_too(tmp_path):
    write(
        tmp_path,
        train_csv=table([("u", "10"), ("u", "11"), ("v", "12")]),
        test_csv=table([("u", "12"), ("v", "11")]),
        val_csv=table([("v", "10.0")]),
    )
    with pytest.raises(DataError, match=r"val.csv, line 2: item '10.0' .* has '10'"):
        load(tmp_path)


def test_what_a_card_vouches_for_is_only_counted(cards, tmp_path):
    write(tmp_path / "toy", train_txt="0 0 1\n1 1\n", test_txt="0 2 3\n1 3\n")
    print_ = fingerprint([(0, 2), (0, 3), (1, 3)])
    write(cards, toy_toml=f'name = "toy"\n[fingerprints]\ntest = "{print_}"\n')
    data = load("toy", data_dir=tmp_path)
    assert data.repairs == {"test: items without training interactions kept": 2}


@pytest.mark.parametrize("pair", [("12", "12.0"), ("7", "07"), ("Up", "up"), ("a", "a\u00a0")])
def test_two_spellings_within_a_file_are_counted(tmp_path, pair):
    items = [*pair, "x1", "x2", "x3", "x4"]
    path = write(tmp_path, a_csv=table([(u, i) for u in "uvw" for i in items])) / "a.csv"
    (line,) = load(path).repairs
    assert line.startswith("item ids that differ in spelling alone kept apart")
    assert load(path).repairs[line] == 2
    assert repr(pair[0]) in line
    assert repr(pair[1]) in line
