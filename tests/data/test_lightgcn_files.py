import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.data import TEST, TRAIN, alone_fixture, pairs, write  # noqa: F401

from bench.data import Interactions, load
from bench.data.lightgcn import read_lightgcn
from bench.errors import DataError

pytestmark = pytest.mark.usefixtures("alone")
SHARED_FOLDER = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

LINES = st.lists(st.tuples(st.integers(0, 2**31 - 2), st.lists(st.integers(0, 2**31 - 2))))
BLANKS = st.sampled_from([" ", "  ", "\t", " \t"])


@given(
    LINES.filter(lambda lines: any(items for _, items in lines)),
    BLANKS,
    st.sampled_from(["\n", "\r\n", " \n", "\n\n", "\r"]),
    st.booleans(),
)
@SHARED_FOLDER
def test_reads_back_what_was_written(tmp_path, lines, blank, newline, mark):
    path = tmp_path / "x.txt"
    text = newline.join(blank.join(map(str, [user, *items])) for user, items in lines) + newline
    path.write_bytes((b"\xef\xbb\xbf" if mark else b"") + text.encode())
    widths = {len(items) + 1 for _, items in lines}
    if len({user for user, _ in lines}) < len(lines) and len(widths) == 1 and min(widths) > 2:
        # Rows of a table look so, and would be read as lists without a word.
        with pytest.raises(DataError, match="every line has"):
            read_lightgcn(path)
        return
    part = read_lightgcn(path)
    wanted = [(user, item) for user, items in lines for item in items]
    assert list(zip(part.users.tolist(), part.items.tolist(), strict=True)) == wanted
    assert part.listed.tolist() == [user for user, _ in lines]
    assert part.repairs["users without items"] == sum(not items for _, items in lines)
    blanks = len(lines) if newline == "\n\n" else 0
    assert part.repairs["empty lines skipped"] == blanks
    merged = len(lines) - len({user for user, _ in lines})
    assert part.repairs["users on several lines merged"] == merged


# Mostly what such a file is made of, so that not every example fails at the first byte.
BYTES = st.one_of(
    st.binary(max_size=200),
    st.lists(
        st.sampled_from([b"0", b"1", b"2", b" ", b"\n", b"\r", b"-", b"9" * 9, b"\xff", b"a"])
    ).map(b"".join),
)


@given(BYTES, BYTES)
@SHARED_FOLDER
def test_any_bytes_are_data_or_a_data_error(tmp_path, train, test):
    write(tmp_path / "x", train_txt=train, test_txt=test)
    try:
        data = load(tmp_path / "x", cache_dir=tmp_path / "c")
    except DataError as error:
        assert "\n" not in str(error)
        assert str(tmp_path / "x") in str(error)
    else:
        assert isinstance(data, Interactions)
        assert data.train.nnz
        assert data.test.nnz


BAD = {
    "negative": ("0 1\n1 -3\n", "train.txt, line 2: id '-3' is negative"),
    "text": ("0 1\n\n1 abc\n", "train.txt, line 3: id 'abc' is not a whole number"),
    "float": ("0 1\n1 2.0\n", "train.txt, line 2: id '2.0' is not a whole number"),
    "comma": ("0,1\n", "train.txt, line 1: 2 columns without a header, separated by ','"),
    "colon": ("0:1\n", "train.txt, line 1: id '0:1' is not a whole number"),
    "huge": ("0 1\n1 2147483647\n", "line 2: id '2147483647' is larger than 2,147,483,646"),
    "overflow": (f"0 1\n1 {2**64}\n", "line 2: id '18446744073709551616' is larger than"),
    "endless": ("0 1\n1 " + "9" * 9999, "line 2: id '" + "9" * 40 + "…' is larger than"),
    "zeros": ("0 1\n1 00000000002\n", "line 2: id '00000000002' has too many zeros"),
    "nul": ("0 1\n1 \0 2\n", "train.txt, line 2: a NUL byte"),
    "latin-1": ("0 1\n1 é\n".encode("latin-1"), "train.txt, line 2: byte 0xe9 is not UTF-8"),
    "utf-16": ("0 1\n".encode("utf-16"), "train.txt: the text is UTF-16"),
    "zip": (b"PK\x03\x04....", "train.txt: a compressed file or archive that is damaged"),
    "gzip": (b"\x1f\x8b....", "train.txt: a compressed file or archive that is damaged"),
    "empty": ("", "train.txt: the file is empty"),
    "blank": (" \n\n", "train.txt: the file is empty"),
    "no items": ("0\n1\n2\n", "train.txt: no interactions"),
    "user gap": (
        "0 1\n1 0\n4 2\n",
        "train.txt, line 3: user id 4 is there, but user id 3 is nowhere",
    ),
    "item gap": (
        "0 0 1 2\n1 3\n2 4 5\n0 9\n",
        "line 4: item id 9 is there, but item id 6 is nowhere",
    ),
    "from 1": ("1 1\n2 2\n", "test.txt, line 1: item id 4 is there, but item id 3"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_with_line_and_value(tmp_path, name):
    content, message = BAD[name]
    write(tmp_path, train_txt=content, test_txt=TEST)
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    # After the fault comes what to do about it.
    assert ";" in str(caught.value) or ": renumber" in str(caught.value)


def test_users_that_start_at_one_are_refused(tmp_path):
    write(tmp_path, train_txt="1 0 1\n2 0 1\n", test_txt="1 2\n2 2\n")
    with pytest.raises(DataError, match="line 1: user id 1 is there, but user id 0 is nowhere"):
        load(tmp_path)


def test_huge_ids_need_no_memory(tmp_path):
    write(tmp_path, train_txt="0 0 1 2147483646\n", test_txt="0 2\n")
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="item id 2147483646 is there, but item id 3 is now"):
            load(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


def test_a_gap_closed_by_another_part_is_none(tmp_path):
    write(tmp_path, train_txt="0 0 3\n2 1 3\n", test_txt="0 2\n1 0\n2 0\n")
    data = load(tmp_path)
    assert (data.users, data.items) == (3, 4)


def test_a_few_unused_items_are_kept_and_counted(tmp_path):
    items = [item for item in range(300) if item not in (7, 8, 200)]
    write(tmp_path, test_txt="0 299\n1 1\n", train_txt=f"0 {' '.join(map(str, items))}\n1 5\n")
    data = load(tmp_path)
    assert data.items == 300
    assert data.repairs["item ids without interactions kept"] == 3


def test_a_stated_number_of_items_allows_any_gap_below_it(tmp_path):
    card = 'name = "own"\n[counts]\nitems = 12\n'
    write(tmp_path, train_txt="0 0 1\n1 1 9\n", test_txt="0 9\n1 0\n", dataset_toml=card)
    data = load(tmp_path)
    assert data.items == 12
    assert data.item_counts().shape == (12,)
    assert data.repairs["item ids without interactions kept"] == 9
    write(tmp_path, test_txt="0 9\n1 0\n1 12\n")
    with pytest.raises(DataError, match=r"test.txt, line 3: item id 12, but the card has 12 items"):
        load(tmp_path)


def test_what_is_mended_is_counted(tmp_path):
    write(
        tmp_path,
        train_txt="\ufeff0 0 1 2 2 2 3\r\n\r\n1 1 2 4\r\n2 0 3 4 5\r\n2 0 1\r\n3\r\n4 5 4\r\n",
        test_txt="0 4 4 5\n1 0 1\n2 1\n3 2 3\n4 0",
    )
    data = load(tmp_path)
    assert data.repairs == {
        "train: empty lines skipped": 1,
        "train: users without items": 1,
        "train: users on several lines merged": 1,
        "train: duplicate pairs dropped": 3,
        "test: duplicate pairs dropped": 1,
        "test: pairs of the training part dropped": 2,
        "test: pairs of users without training items dropped": 2,
        "test: users without training interactions dropped": 1,
    }
    assert data.users == 5
    assert pairs(data.test) == [(0, 4), (0, 5), (1, 0), (4, 0)]
    wanted = {(0, i) for i in range(4)} | {(1, i) for i in (1, 2, 4)} | {(4, 4), (4, 5)}
    wanted |= {(2, i) for i in (0, 1, 3, 4, 5)}
    assert set(pairs(data.train)) | set(pairs(data.valid)) == wanted


def test_clean_files_need_no_repair(tmp_path):
    assert load(write(tmp_path, train_txt=TRAIN, test_txt=TEST)).repairs == {}


def test_a_test_file_that_only_repeats_training_is_refused(tmp_path):
    write(tmp_path, train_txt=TRAIN, test_txt="0 1\n1 1\n")
    with pytest.raises(DataError, match="no test interactions are left"):
        load(tmp_path)


def test_missing_files(tmp_path):
    with pytest.raises(DataError, match=r"no\.txt: no such file"):
        read_lightgcn(Path(tmp_path / "no.txt"))
