"""Other formats under known names, validation parts, labels of 0, files that are no data."""

import pytest
from support.data import alone_fixture, pairs, write  # noqa: F401

from bench.data import load
from bench.errors import DataError

pytestmark = pytest.mark.usefixtures("alone")
TRIPLETS = {
    "ones": "0 0 1\n0 2 1\n1 0 1\n1 3 1\n",
    "ratings": "0 0 5\n0 2 3\n1 0 4\n1 3 1\n",
    "tabs": "0\t0\t5\n0\t2\t3\n1\t0\t4\n1\t3\t1\n",
    "times": "0 0 5 881\n0 2 3 882\n1 0 4 883\n1 3 1 884\n",
    "sorted by item": "0 0 1\n1 0 1\n0 2 1\n1 3 1\n",
}


@pytest.mark.parametrize("name", TRIPLETS)
def test_rows_of_a_table_are_not_read_as_lists(tmp_path, name):
    write(tmp_path, train_txt=TRIPLETS[name], test_txt="0 3\n1 2\n")
    width = len(TRIPLETS[name].split("\n")[0].split())
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    message = str(caught.value)
    assert "train.txt, line 1: " in message
    assert f"every line has {width} numbers and users repeat" in message
    assert "write 'user_id item_id rating" in message
    assert 'user = "1"' in message


def test_triplets_in_the_test_file_and_in_a_single_file(tmp_path):
    write(tmp_path / "a", train_txt="0 0 1 2 3\n1 0 1\n", test_txt="0 2 1\n0 3 1\n1 3 1\n")
    with pytest.raises(DataError, match=r"test.txt, line 1: '0 2 1': every line has 3 numbers"):
        load(tmp_path / "a")
    with pytest.raises(DataError, match=r"all.txt, line 1: '0 0 1'"):
        load(write(tmp_path, all_txt=TRIPLETS["ones"]) / "all.txt")


def test_what_the_message_says_to_do_works(tmp_path):
    """A header in each file, or columns by number in the card."""
    train, test = TRIPLETS["ratings"], "0 3 5\n1 2 4\n"
    header = "user_id item_id rating\n"
    one = load(write(tmp_path / "a", train_txt=header + train, test_txt=header + test))
    card = 'name = "b"\n[columns]\nuser = "1"\nitem = "2"\n'
    two = load(write(tmp_path / "b", train_txt=train, test_txt=test, dataset_toml=card))
    assert pairs(one.test) == pairs(two.test) == [(0, 2), (1, 1)]
    assert one.fingerprint == two.fingerprint
    assert set(pairs(one.train)) | set(pairs(one.valid)) == {(0, 0), (0, 1), (1, 0), (1, 2)}
    swapped = card.replace('"1"', '"x"').replace('"2"', '"1"').replace('"x"', '"2"')
    three = load(write(tmp_path / "b", dataset_toml=swapped))
    assert (three.users, three.items) == (3, 2)


def test_a_header_in_one_file_alone_is_refused(tmp_path):
    write(tmp_path, train_txt="item_id user_id\n0 0\n2 0\n0 1\n", test_txt="0 3\n1 2\n")
    with pytest.raises(DataError, match=r"test.txt, line 1: no header, but train.txt names its"):
        load(tmp_path)


def test_parts_without_headers_must_be_written_alike(tmp_path):
    write(tmp_path, train_txt="0,1\n0,2\n1,1\n", test_txt="0 3 4\n1 2 3\n")
    with pytest.raises(DataError, match=r"2 columns without a header, separated by ','"):
        load(tmp_path)


def test_pairs_and_lists_are_still_lightgcn_text(tmp_path):
    write(tmp_path, train_txt="0 0\n0 2\n1 0\n1 3\n2 1\n", test_txt="0 3\n1 2\n")
    data = load(tmp_path)
    assert set(pairs(data.train)) | set(pairs(data.valid)) == {
        (0, 0),
        (0, 2),
        (1, 0),
        (1, 3),
        (2, 1),
    }
    write(tmp_path, train_txt="0 0 2\n1 0 3\n2 1 3\n")
    assert load(tmp_path).train.nnz + load(tmp_path).valid.nnz == 6


HEADER = "user_id:token\titem_id:token\n"
VALID_NAMES = ["val", "valid", "validation", "dev", "vali", "VAL"]


@pytest.mark.parametrize("name", VALID_NAMES)
@pytest.mark.parametrize("suffix", ["txt", "inter", "csv"])
def test_a_validation_part_is_taken_whatever_its_name(tmp_path, name, suffix):
    parts = {"train": "0 0\n0 1\n0 2\n1 1\n1 2\n1 3\n", "test": "0 3\n1 0\n", name: "0 4\n1 2\n"}
    parts["train"] += "2 4\n"
    for part, text in parts.items():
        if suffix == "inter":
            text, file = HEADER + text.replace(" ", "\t"), f"x.{part}.inter"
        elif suffix == "csv":
            text, file = "user,item\n" + text.replace(" ", ","), f"x_{part}.csv"
        else:
            file = f"{part}.txt"
        (tmp_path / file).write_text(text)
    data = load(tmp_path)
    assert "-vgiven-" in data.split
    assert pairs(data.valid) == [(0, 4)]
    assert data.train.nnz == 7


@pytest.mark.parametrize(
    "name",
    ["val.csv", "val_set.txt", "valid.inter", "holdout.txt", "validationData.txt", "x.dev.tsv"],
)
def test_a_validation_part_that_cannot_be_taken_is_refused(tmp_path, name):
    write(tmp_path, train_txt="0 0 1 2\n1 1 2 3\n", test_txt="0 3\n1 0\n")
    (tmp_path / name).write_text("0 4\n")
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    assert f"{tmp_path / name}: this looks like a validation part" in str(caught.value)
    assert "not called valid.txt" in str(caught.value)


def test_two_validation_parts_are_one_too_many(tmp_path):
    write(tmp_path, train_txt="0 0 1\n", test_txt="0 2\n", val_txt="0 3\n", valid_txt="0 3\n")
    with pytest.raises(DataError, match=r"two files for valid \(val.txt, valid.txt\)"):
        load(tmp_path)


@pytest.mark.parametrize("other", ["test.csv", "val.csv", "x_dev.csv"])
def test_one_part_alone_is_not_the_whole(tmp_path, other):
    start = "x_" if other.startswith("x_") else ""
    write(tmp_path, a_csv="user,item\n0,1\n")
    (tmp_path / "a.csv").rename(tmp_path / f"{start}train.csv")
    (tmp_path / other).write_text("user,item\n0,1\n")
    with pytest.raises(DataError, match=f"one part of a split .{other} stands beside it"):
        load(tmp_path / f"{start}train.csv")


LABELS = {
    "label": ("user,item,label", "0", "1", "0 in label"),
    "rating": ("user,item,rating", "0.0", "1.0", "0.0 in rating"),
    "click": ("user_id,item_id,click", "-1", "1", "-1 in click"),
    "words": ("user,item,liked", "False", "True", "false in liked"),
    "no header": ("", "0", "1", "0 in column 3"),
    "only 0": ("user,item,label", "0", "0", "0 in label"),
}


ANY_RATING = {
    "all: rows kept whatever their rating is (min_rating in dataset.toml drops low ones)": 36
}


@pytest.mark.parametrize("name", LABELS)
def test_rows_with_label_0_are_said_to_be_interactions(tmp_path, name):
    header, no, yes, words = LABELS[name]
    rows = [f"{u},{i},{yes if (u + i) % 3 else no}" for u in range(4) for i in range(9)]
    path = write(tmp_path, a_csv="\n".join([*([header] if header else []), *rows, ""])) / "a.csv"
    data = load(path)
    times = 36 if name == "only 0" else 12
    assert data.repairs == {
        f"all: rows with {words} kept as interactions (min_rating = 1 in dataset.toml drops"
        " them)": times
    }
    if name in ("words", "only 0"):
        return
    write(tmp_path, dataset_toml='name = "a"\nmin_rating = 1\n')
    data = load(path)
    assert data.repairs == {"all: rows with a rating below 1 dropped": 12}
    assert data.train.nnz + data.valid.nnz + data.test.nnz == 24


@pytest.mark.parametrize(
    ("values", "said"),
    [(("0", "3", "5"), ANY_RATING), (("1", "1", "1"), {}), (("0", "1", "2"), ANY_RATING)],
)
def test_ratings_are_no_labels_and_are_said_not_to_count(tmp_path, values, said):
    rows = [f"{u},{i},{values[(u + i) % 3]}" for u in range(4) for i in range(9)]
    path = write(tmp_path, a_csv="user,item,rating\n" + "\n".join(rows) + "\n") / "a.csv"
    assert load(path).repairs == said


def test_hidden_files_are_no_data(tmp_path):
    table = "user,item\n" + "".join(f"{u},{i}\n" for u in "uv" for i in range(8))
    write(tmp_path, a_csv=table)
    for name in ("._a.csv", "~$a.csv", ".~lock.a.csv", ".train.csv", "._train.txt"):
        (tmp_path / name).write_bytes(b"\0\5\x16\7")
    assert load(tmp_path).users == 2
    with pytest.raises(DataError, match=r"\._a.csv: a hidden file"):
        load(tmp_path / "._a.csv")
    with pytest.raises(DataError, match=r"~\$a.csv: a hidden file"):
        load(tmp_path / "~$a.csv")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.xlsx", b"PK", "save the sheet as CSV"),
        ("a.csv", b"\xd0\xcf\x11\xe0", "old Excel workbook; save the sheet as CSV"),
        ("a.csv", b"7z\xbc\xaf\x27\x1c", "7z archive"),
        ("a.csv.zst", b"\x28\xb5\x2f\xfd", "zstd"),
        ("a.7z", b"7z", "unpack it"),
        ("a.h5", b"\x89HDF", "export the interactions as a table"),
    ],
)
def test_what_is_not_read_is_named_without_telling_to_rename_it(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        load(tmp_path / name)
    assert says in str(caught.value)
    assert "rename" not in str(caught.value)
    assert "name it" not in str(caught.value)
