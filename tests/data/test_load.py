import importlib.machinery

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.data import TEST, TRAIN, alone_fixture, cards_fixture, fingerprint, pairs, write  # noqa: F401

from bench.data import CSR, Interactions, export_recbole, fetch, is_own, load, name_of
from bench.data.cards import PackagedFile
from bench.data.loading import LONGEST
from bench.errors import DataError
from bench.records.schema import DatasetSpec

pytestmark = pytest.mark.usefixtures("alone")
PARTS = ("train", "valid", "test")


def big(folder, users=40, items=31):
    """Enough interactions that each part gets some."""
    rows = [[(u * 7 + k * (1 + u % 3)) % items for k in range(12)] for u in range(users)]
    train = "".join(f"{u} {' '.join(map(str, row[:9]))}\n" for u, row in enumerate(rows))
    test = "".join(f"{u} {' '.join(map(str, row[9:]))}\n" for u, row in enumerate(rows))
    return write(folder, train_txt=train, test_txt=test), train, test


def given_pairs(text):
    lines = [list(map(int, line.split())) for line in text.splitlines()]
    return {(user, item) for user, *items in lines for item in items}


def test_a_folder_of_ones_own(tmp_path):
    folder, train, test = big(tmp_path / "my data!")
    data = load(folder)
    assert (data.name, data.title, data.note) == ("my-data", "my-data", "")
    assert data.split == f"my-data-v10-s0-{data.fingerprint[:8]}"
    assert (data.users, data.items, data.ids) == (40, 31, 71)
    assert set(pairs(data.test)) == given_pairs(test)
    assert set(pairs(data.train)) | set(pairs(data.valid)) == given_pairs(train)
    assert not set(pairs(data.train)) & set(pairs(data.valid))
    assert data.fingerprints == {part: fingerprint(pairs(getattr(data, part))) for part in PARTS}
    assert data.temporal is False
    assert load(str(folder)).fingerprint == data.fingerprint


def parted(folder, name):
    """A folder with parts."""
    return big(folder / name)[0]


def drawn(folder, name):
    """A folder with one table, from which the parts are drawn."""
    rows = "".join(f"{user},{item}\n" for user in range(9) for item in range(12))
    return write(folder / name, x_csv="user,item\n" + rows)


def table(folder, name):
    """A table of its own."""
    path = drawn(folder, "t") / f"{name}.csv"
    return (path.parent / "x.csv").rename(path)


# The longest names that fit: 120 characters, less such as -v10-s0-01234567 or -t20-v10-s0-01234567.
@pytest.mark.parametrize(("make", "room"), [(parted, 104), (drawn, 100), (table, 100)])
def test_long_names_of_own_data_are_cut_to_what_a_record_takes(make, room, tmp_path):
    for length in (room, room + 1, 250):
        data = load(make(tmp_path / str(length), "a" * length))
        assert data.name == "a" * room
        assert len(data.split) == LONGEST
        DatasetSpec(name=data.name, split=data.split, fingerprint=data.fingerprint)
    with pytest.raises(ValueError, match="pattern"):
        DatasetSpec(name="x", split="a" * (LONGEST + 1), fingerprint=data.fingerprint)


def test_a_name_is_not_cut_to_an_end_in_a_hyphen(tmp_path):
    assert load(parted(tmp_path, "a" * 103 + "--" + "b" * 20)).name == "a" * 103


def test_names_of_other_scripts_may_be_as_long_as_a_file_system_takes(tmp_path):
    assert load(parted(tmp_path, "あ" * 84)).name == "data"  # 252 bytes
    assert load(parted(tmp_path, "é" * 60 + "x" * 130)).name == "x" * 104


@pytest.mark.parametrize(("make", "room"), [(parted, 104), (drawn, 100)])
def test_a_card_of_own_data_whose_name_is_too_long_is_named(make, room, tmp_path):
    folder = make(tmp_path, "short")
    card = folder / "dataset.toml"
    card.write_text(f'name = "{"b" * room}"\n')
    assert len(load(folder).split) == LONGEST
    card.write_text(f'name = "{"b" * (room + 1)}"\n')
    with pytest.raises(DataError) as caught:
        load(folder)
    assert str(caught.value) == (
        f"{card}: name: '{'b' * (room + 1)}' has {room + 1} characters, but beside the rest of the"
        f" split's id {room} fit; shorten it"
    )


def test_an_installed_card_whose_name_is_too_long_is_named(cards, tmp_path):
    for length in (113, 114):  # 120 less -v10-s0
        write(cards, **{"c" * length + "_toml": f'name = "{"c" * length}"\n'})
        parted(tmp_path, "c" * length)
    assert len(load("c" * 113, data_dir=tmp_path).split) == LONGEST
    with pytest.raises(DataError, match=r"c\.toml: name: 'c+' has 114 characters, but .* 113 fit"):
        load("c" * 114, data_dir=tmp_path)


def test_records_call_data_by_their_card_or_by_the_split_of_own_files(tmp_path, monkeypatch):
    rows = [f"{user},{item}\n" for user in range(9) for item in range(12)]
    for folder, kept in (("one", rows), ("other", rows[:-1])):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "my clicks.csv").write_text("user,item\n" + "".join(kept))
    monkeypatch.chdir(tmp_path / "one")
    found = name_of("my clicks.csv")
    assert found == name_of(str(tmp_path / "one" / "my clicks.csv")) == load("my clicks.csv").split
    assert found.startswith("my-clicks-")
    assert found != name_of(str(tmp_path / "other" / "my clicks.csv"))
    assert name_of("gowalla") == "gowalla"
    assert name_of("toy-v10-s0") == "toy-v10-s0"  # the id of a split
    (tmp_path / "one" / "gowalla").mkdir()
    assert name_of("gowalla") == "gowalla"
    assert not is_own("gowalla") and is_own("./gowalla")


def test_the_data_folder_may_be_in_the_home_of_the_user(cards, tmp_path, monkeypatch):
    _, train, test = big(tmp_path / "data" / "toy")
    toy_card(cards, train, test)
    monkeypatch.setenv("HOME", str(tmp_path))
    wanted = load("toy", data_dir=tmp_path / "data").fingerprint
    assert load("toy", data_dir="~/data").fingerprint == wanted
    monkeypatch.setenv("BENCH_DATA", "~/data")
    assert load("toy").fingerprint == wanted


def test_counts_are_of_training_alone(tmp_path):
    data = load(big(tmp_path)[0])
    users, items = np.zeros(40), np.zeros(31)
    for user, item in pairs(data.train):
        users[user] += 1
        items[item] += 1
    assert data.user_counts().tolist() == users.tolist()
    assert data.item_counts().tolist() == items.tolist()
    assert data.counts().tolist() == [*users, *items]
    assert data.counts().dtype == data.item_counts().dtype == np.int64


def test_refit_trains_on_validation_too(tmp_path):
    folder, train, _ = big(tmp_path)
    data, merged = load(folder), load(folder, refit=True)
    assert data.valid.nnz > 0
    assert set(pairs(merged.train)) == given_pairs(train)
    assert merged.valid.nnz == 0
    assert merged.valid.degrees().shape == (40,)
    assert pairs(merged.test) == pairs(data.test)
    assert merged.split == f"{data.split}+refit"
    assert merged.fingerprint != data.fingerprint
    assert merged.fingerprints["train"] == fingerprint(given_pairs(train))


def test_order_of_lines_and_items_does_not_matter(tmp_path):
    folder, train, test = big(tmp_path / "a")
    lines = [line.split() for line in train.splitlines()]
    turned = "\n".join(" ".join([line[0], *line[:0:-1]]) for line in reversed(lines))
    other = load(write(tmp_path / "b", train_txt=turned, test_txt=test))
    assert other.fingerprint == load(folder).fingerprint


def test_the_fingerprint_covers_sizes_and_every_part(tmp_path):
    one = CSR.from_pairs(np.array([0, 1]), np.array([0, 1]), 2)[0]
    none = CSR.empty(2)
    fixed = {"name": "x", "split": "x", "title": "", "note": "", "users": 2}
    made = [
        Interactions(**fixed, items=items, train=train, valid=valid, test=test).fingerprint
        for items in (2, 3)
        for train, valid, test in ((one, none, none), (none, one, none), (none, none, one))
    ]
    assert len(set(made)) == 6


def test_rows_of_a_matrix():
    matrix, repeated = CSR.from_pairs(np.array([2, 0, 2, 2]), np.array([9, 4, 1, 9]), 4)
    assert repeated == 1
    assert matrix.nnz == 3
    assert matrix.indptr.tolist() == [0, 1, 1, 3, 3]
    assert matrix.indices.tolist() == [4, 1, 9]
    assert matrix.rows().tolist() == [0, 2, 2]
    assert matrix.row(2).tolist() == [1, 9]
    assert matrix.row(1).tolist() == []
    assert matrix.degrees().tolist() == [1, 0, 2, 0]
    assert matrix.keys().tolist() == [4, 2 * 2**31 + 1, 2 * 2**31 + 9]


def test_a_given_validation_part_is_used(tmp_path):
    folder = write(tmp_path / "x", train_txt=TRAIN, test_txt=TEST, valid_txt="0 4\n1 3 1\n2 1 1\n")
    data = load(folder)
    # (0, 4) and (2, 1) are test items and (1, 1) is a training item.
    assert pairs(data.valid) == [(1, 3)]
    assert set(pairs(data.train)) == given_pairs(TRAIN)
    assert pairs(data.test) == sorted(given_pairs(TEST))
    assert data.repairs == {
        "valid: duplicate pairs dropped": 1,
        "valid: pairs of the training or test part dropped": 3,
    }
    assert data.split == f"x-vgiven-{data.fingerprint[:8]}"


def test_validation_of_users_without_training_items_is_dropped(tmp_path):
    write(
        tmp_path,
        train_txt="0 0 1\n2 1\n3 2 3\n",
        test_txt="0 2\n1 0\n",
        valid_txt="0 3\n1 1 2\n2 2\n",
    )
    data = load(tmp_path)
    assert pairs(data.valid) == [(0, 3), (2, 2)]
    assert data.repairs["valid: pairs of users without training items dropped"] == 2
    assert data.repairs["test: pairs of users without training items dropped"] == 1


@pytest.mark.parametrize("suffix", ["txt", "csv"])
def test_one_file_gets_a_test_and_a_validation_part(tmp_path, suffix):
    if suffix == "txt":
        text = "".join(f"{u} {' '.join(map(str, range(20)))}\n" for u in range(30))
    else:
        text = "user,item\n" + "".join(f"{u},{i}\n" for u in range(30) for i in range(20))
    path = write(tmp_path, **{f"all_{suffix}": text}) / f"all.{suffix}"
    data = load(path)
    assert data.split.startswith("all-t20-v10-s0-")
    assert data.test.degrees().tolist() == [4] * 30
    assert set(data.valid.degrees().tolist()) == {1, 2}
    together = [pair for part in PARTS for pair in pairs(getattr(data, part))]
    assert sorted(together) == [(u, i) for u in range(30) for i in range(20)]


def test_only_a_given_test_part_can_be_later_than_training(tmp_path):
    folder = big(tmp_path)[0]
    write(folder, dataset_toml='name = "x"\ntemporal = true\n')
    assert load(folder).temporal is True
    (folder / "train.txt").rename(folder / "all.txt")
    assert load(folder / "all.txt").temporal is False


def test_recbole_parts_and_parts_of_other_kinds(tmp_path):
    header = "user_id:token\titem_id:token\n"
    train, test = "a\tx\na\ty\nb\tx\n", "a\tz\nb\ty\n"
    inter = write(
        tmp_path / "i",
        **{"n_train_inter": header + train, "n_test_inter": header + test, "n_inter": "ignored"},
    )
    comma = header.replace("\t", ","), train.replace("\t", ","), test.replace("\t", ",")
    table = write(tmp_path / "c", train_csv=comma[0] + comma[1], test_csv=comma[0] + comma[2])
    for folder in (inter, table):
        data = load(folder)
        assert pairs(data.test) == [(0, 2), (1, 1)]
        assert set(pairs(data.train)) | set(pairs(data.valid)) == {(0, 0), (0, 1), (1, 0)}


def test_recbole_reads_back_what_is_exported(tmp_path):
    data = load(big(tmp_path / "a")[0])
    written = export_recbole(data, tmp_path / "b")
    assert [path.name for path in written] == ["a.train.inter", "a.valid.inter", "a.test.inter"]
    assert written[0].read_text().startswith("user_id:token\titem_id:token\n0\t")
    again = load(tmp_path / "b")
    assert again.fingerprint == data.fingerprint
    assert again.repairs == {}
    # Without a validation part the old file must not stay behind.
    assert len(export_recbole(data.refit(), tmp_path / "b")) == 2
    assert not (tmp_path / "b" / "a.valid.inter").exists()


@given(
    st.lists(st.sets(st.integers(0, 5), min_size=1, max_size=5), min_size=1, max_size=8),
    st.integers(0, 5),
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_is_loaded_holds_together(tmp_path, rows, seed):
    train = "".join(f"{u} {' '.join(map(str, row))}\n" for u, row in enumerate(rows))
    test = "".join(f"{u} {5 - u % 3} {u % 6}\n" for u in range(len(rows)))
    card = f'name = "x"\n[counts]\nitems = 6\n[split]\nseed = {seed}\nvalid_percent = 40\n'
    try:
        data = load(write(tmp_path / "x", train_txt=train, test_txt=test, dataset_toml=card))
    except DataError as error:
        given, known = given_pairs(test), given_pairs(train)
        unmet = {item for _, item in given} - {item for _, item in known}
        if "have no training interaction" in str(error):
            assert 2 * len(unmet) > len({item for _, item in given})
        else:
            assert given <= known
            assert "no test interactions are left" in str(error)
        return
    parts = [set(pairs(getattr(data, part))) for part in PARTS]
    assert sum(map(len, parts)) == len(set().union(*parts))
    assert parts[0] | parts[1] == given_pairs(train)
    assert parts[2] == given_pairs(test) - given_pairs(train)
    assert data.train.degrees().min() > 0


BAD = {
    "empty folder": ({}, "no data set here; a folder needs train.txt and test.txt"),
    "other files": ({"notes_txt": "hello"}, "no data set here"),
    "no test": ({"train_txt": TRAIN}, "train.txt is here, but no test.txt; fetch it too"),
    "no train": ({"test_txt": TEST}, "test.txt is here, but no train.txt; fetch it too"),
    "two tables": ({"a_csv": "user,item\n", "b_csv": ""}, "several tables (a.csv, b.csv); give"),
    "two trains": (
        {"a_train_inter": "", "b_train_inter": ""},
        "two files for train (a.train.inter, b.train.inter); leave one",
    ),
    "rating": (
        {"train_txt": TRAIN, "test_txt": TEST, "dataset_toml": 'name = "x"\nmin_rating = 4\n'},
        "train.txt: LightGCN text has no ratings",
    ),
    "card": (
        {"train_txt": TRAIN, "test_txt": TEST, "dataset_toml": 'name = "x"\ncolour = 4\n'},
        "dataset.toml, line 2: unknown key 'colour'",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_folders_that_cannot_be_loaded(tmp_path, name):
    files, message = BAD[name]
    with pytest.raises(DataError) as caught:
        load(write(tmp_path / "x", **files))
    assert message in str(caught.value)
    assert str(tmp_path / "x") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_part_is_not_taken_for_the_whole(tmp_path):
    folder = big(tmp_path / "x")[0]
    with pytest.raises(DataError, match=r"one part of a split \(test.txt stands beside it\)"):
        load(folder / "train.txt")


def test_an_unknown_kind_of_file(tmp_path):
    with pytest.raises(DataError, match=r"x\.bin: unknown kind of file; export the interactions"):
        load(write(tmp_path, x_bin="a") / "x.bin")


@pytest.mark.parametrize("name", ["gowala", "./nowhere", "a" * 5000])
def test_unknown_names_list_the_known_ones(name):
    with pytest.raises(DataError) as caught:
        load(name)
    assert "\n" not in str(caught.value)
    if name == "gowala":
        expected = "did you mean 'gowalla'? there are amazon-book-kgat, amazon-cds, gowalla"
        assert expected in str(caught.value)


def toy_card(folder, train, test, /, **changes):
    values = {
        "users": 40,
        "items": 31,
        "train": len(given_pairs(train)),
        "test": len(given_pairs(test)),
        "train_print": fingerprint(given_pairs(train)),
        "test_print": fingerprint(given_pairs(test)),
    } | changes
    text = 'name = "toy"\ntitle = "Toy"\nnote = "a toy"\n[counts]\n'
    text += "".join(f"{key} = {values[key]}\n" for key in ("users", "items", "train", "test"))
    text += '[fingerprints]\ntrain = "{train_print}"\ntest = "{test_print}"\n'.format(**values)
    write(folder, toy_toml=text)


@pytest.mark.parametrize("place", ["toy", "."])
@pytest.mark.parametrize("way", ["argument", "environment"])
def test_a_card_finds_its_files_in_the_data_folder(cards, tmp_path, monkeypatch, place, way):
    _, train, test = big(tmp_path / "data" / place)
    toy_card(cards, train, test)
    if way == "environment":
        monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    data = load("toy", data_dir=tmp_path / "data" if way == "argument" else None)
    assert (data.name, data.split, data.title, data.note) == ("toy", "toy-v10-s0", "Toy", "a toy")
    assert load("toy", data_dir=tmp_path / "data", refit=True).split == "toy-v10-s0+refit"


WRONG = {
    "users": (41, "40 users, but the card toy has 41"),
    "items": (32, None),
    "fewer items": (30, "item id 30, but the card has 30 items"),
    "train": (999, "train.txt: 360 interactions, but the card toy has 999"),
    "test": (1, "test.txt: 120 interactions, but the card toy has 1"),
    "train_print": ("0" * 64, "but the card toy has 000000000000…, so the pairs differ"),
    "test_print": ("0" * 64, "test.txt: fingerprint"),
}


@pytest.mark.parametrize("key", WRONG)
def test_files_that_are_not_those_of_the_card_are_refused(cards, tmp_path, key):
    value, message = WRONG[key]
    _, train, test = big(tmp_path / "data" / "toy")
    toy_card(cards, train, test, **{key.removeprefix("fewer "): value})
    if message is None:
        # A card may have items that no interaction uses.
        assert load("toy", data_dir=tmp_path / "data").items == value
        return
    with pytest.raises(DataError) as caught:
        load("toy", data_dir=tmp_path / "data")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_of_that_name_is_meant_even_if_it_is_wrong(cards, tmp_path):
    folder, train, test = big(tmp_path / "toy")
    toy_card(cards, train, test, users=41)
    with pytest.raises(DataError, match="40 users, but the card toy has 41") as caught:
        load("toy", data_dir=folder)
    assert "not published" not in str(caught.value)
    with pytest.raises(DataError, match=r"not published for download \(.*40 users"):
        load("toy", data_dir=folder.rename(tmp_path / "other"))


def test_a_missing_data_folder_is_named(cards, tmp_path, monkeypatch):
    toy_card(cards, TRAIN, TEST)
    with pytest.raises(DataError, match="nowhere: no such folder; correct --data-dir"):
        load("toy", data_dir=tmp_path / "nowhere")
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="nowhere: no such folder; correct BENCH_DATA"):
        load("toy")


def test_files_that_nobody_publishes(cards):
    toy_card(cards, TRAIN, TEST)
    with pytest.raises(DataError, match="set BENCH_DATA or --data-dir to a folder that has toy/"):
        load("toy")


def movielens(tmp_path, monkeypatch, rows):
    """A package with RecBole's copy of MovieLens, and GroupLens' file of the same rows."""
    header = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    lines = ["\t".join(map(str, row)) + "\n" for row in rows]
    folder = tmp_path / "package"
    write(folder / "data", ml_inter=header + "".join(lines))
    spec = importlib.machinery.ModuleSpec("ml_package", None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    monkeypatch.setattr(fetch, "find_spec", lambda name: spec if name == "ml_package" else None)
    write(tmp_path / "files", u_data="".join(reversed(lines)))


def test_a_copy_in_a_package_is_as_good_as_the_original(cards, tmp_path, monkeypatch):
    rows = [(u, i, 1 + (u * i) % 5, 880) for u in range(1, 31) for i in range(u, u + 40)]
    movielens(tmp_path, monkeypatch, rows)
    card = 'name = "ml"\nmin_rating = 4\n[packaged]\npackage = "{}"\npath = "data/ml.inter"\n'
    write(cards, ml_toml=card.format("ml_package"))
    packaged, original = load("ml"), load("ml", data_dir=tmp_path / "files")
    assert packaged.fingerprint == original.fingerprint
    assert packaged.split == original.split == "ml-t20-v10-s0"
    liked = sum(row[2] >= 4 for row in rows)
    assert packaged.train.nnz + packaged.valid.nnz + packaged.test.nnz == liked
    write(cards, ml_toml=card.format("not_installed"))
    with pytest.raises(DataError, match="not published for download"):
        load("ml")


def test_a_package_without_the_file():
    assert fetch.packaged_file(PackagedFile(package="json", path="no/such.inter")) is None
    assert fetch.packaged_file(PackagedFile(package="no_such_package_here", path="x")) is None


def test_movielens_100k():
    if not fetch.packaged_file(
        PackagedFile(package="recbole", path="dataset_example/ml-100k/ml-100k.inter")
    ):
        pytest.skip("recbole is not installed, so there is no copy of MovieLens 100K here")
    data = load("ml-100k", offline=True)
    assert (data.users, data.items) == (942, 1447)
    assert data.repairs == {"all: rows with a rating below 4 dropped": 44625}
    assert (data.train.nnz, data.valid.nnz, data.test.nnz) == (39866, 4429, 11080)
    assert data.fingerprint.startswith("f557200c748c8d21")


def test_a_test_part_of_training_pairs_alone_is_named_with_the_reason(tmp_path):
    rows = "user,item\n" + "".join(f"{user},{item}\n" for user in range(5) for item in range(8))
    (tmp_path / "train.csv").write_text(rows)
    (tmp_path / "test.csv").write_text(rows)
    with pytest.raises(DataError, match=r"test\.csv: .*\(40 pairs of the training part dropped\)"):
        load(str(tmp_path))


def test_a_part_of_other_data_in_the_folder_does_not_make_a_table_a_part(tmp_path):
    rows = "".join(f"{user},{item}\n" for user in range(5) for item in range(8))
    write(tmp_path, a_train_csv="user,item\n" + rows, b_test_csv="user,item\n1,2\n")
    assert load(tmp_path / "a.train.csv").split.startswith("a-train-t20-")
    write(tmp_path, a_test_csv="user,item\n1,2\n")
    with pytest.raises(DataError, match=r"one part of a split \(a\.test\.csv stands beside it\)"):
        load(tmp_path / "a.train.csv")


@pytest.mark.parametrize(
    ("check", "says"),
    [
        ("[counts]\ninteractions = 41", "40 interactions, but the card x has 41"),
        (f'[fingerprints]\ninteractions = "{"0" * 64}"', "has 000000000000…, so the pairs differ"),
    ],
)
def test_a_card_checks_a_file_that_the_parts_are_drawn_from(tmp_path, check, says):
    wanted = [(user, item) for user in range(5) for item in range(8)]
    rows = "".join(f"{user},{item}\n" for user, item in wanted)
    write(tmp_path, a_csv="user,item\n" + rows, dataset_toml=f'name = "x"\n{check}\n')
    with pytest.raises(DataError, match=rf"a\.csv: .*{says}; fetch the files again"):
        load(tmp_path)
    right = check.replace("41", "40").replace("0" * 64, fingerprint(wanted))
    write(tmp_path, dataset_toml=f'name = "x"\n{right}\n')
    assert load(tmp_path).users == 5
