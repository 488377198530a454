import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.data import alone_fixture, pairs, write  # noqa: F401

from bench.data import Interactions, load
from bench.data import tables as tables_module
from bench.data.table import Table
from bench.data.tables import Columns, read_tables
from bench.errors import DataError

pytestmark = pytest.mark.usefixtures("alone")
SHARED_FOLDER = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def read(path, **options):
    (part,), users, items = read_tables([path], **options)
    pairs_read = list(zip(part.users.tolist(), part.items.tolist(), strict=True))
    return pairs_read, len(users), len(items), part


def ranks(labels):
    plain = all(
        label.isascii() and label.isdigit() and str(int(label)) == label for label in labels
    )
    order = sorted(set(labels), key=int if plain else str.encode)
    return [order.index(label) for label in labels]


LABEL = st.one_of(
    st.integers(0, 10**17).map(str),
    st.text(
        st.characters(exclude_characters='\t\n\r\0",; \ufeff', exclude_categories=["Cs"]),
        min_size=1,
        max_size=12,
    ),
)
ROWS = st.lists(st.tuples(LABEL, LABEL, st.integers(1, 5)), min_size=1, max_size=30)


@given(ROWS, st.sampled_from([("inter", "\t"), ("csv", ","), ("csv", ";"), ("tsv", "\t")]))
@SHARED_FOLDER
def test_reads_back_what_was_written(tmp_path, rows, kind):
    suffix, separator = kind
    path = tmp_path / f"x.{suffix}"
    lines = [separator.join(map(str, ("item_id:token", "rating", "user_id:token")))]
    lines += [separator.join((item, str(rating), user)) for user, item, rating in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
    wanted = list(zip(ranks([r[0] for r in rows]), ranks([r[1] for r in rows]), strict=True))
    assert read(path)[0] == wanted
    kept = [row for row in rows if row[2] >= 3]
    if kept:
        wanted = list(zip(ranks([r[0] for r in kept]), ranks([r[1] for r in kept]), strict=True))
        assert read(path, min_rating=3)[0] == wanted


@given(ROWS, st.booleans(), st.booleans())
@SHARED_FOLDER
def test_the_fast_and_the_careful_reader_agree(tmp_path, rows, quoted, spaced):
    plain, padded = tmp_path / "plain.csv", tmp_path / "padded.csv"
    plain.write_text("user,item,rating\n" + "".join(f"{u},{i},{r}\n" for u, i, r in rows), "utf-8")
    quote, end = '"' if quoted else " ", "\n\n" if spaced else "\n"
    lines = "".join(f"{quote}{u}{quote},{i},{r}{end}" for u, i, r in rows)
    padded.write_text(f"user, item ,rating\n{lines}", "utf-8")
    fast, slow = read(plain, min_rating=1), read(padded, min_rating=1)
    assert fast[:3] == slow[:3]
    assert slow[3].repairs["empty lines skipped"] == spaced * len(rows)


def test_regular_files_take_the_fast_way(tmp_path, monkeypatch):
    path = write(tmp_path, x_csv="user,item,rating\na,7,4\nb,8,5\n") / "x.csv"
    monkeypatch.setattr(tables_module, "read_rows", None)
    assert read(path, min_rating=5)[:3] == ([(0, 0)], 1, 1)
    path = write(tmp_path, x_csv='"user","item","x"\n"a","7",""\n"b",8,c d\n') / "x.csv"
    assert read(path)[:3] == ([(0, 0), (1, 1)], 2, 2)


@pytest.mark.parametrize(
    ("rows", "items"),
    [
        ('a,"7,8",1\n', ["7,8"]),
        ('a,"7""8",1\n', ['7"8']),
        ('a, "7",1\n', ["7"]),
        ('a,"7","1\n2"\n', ["7"]),
        ('"a","7","1"\n"a","","1"\n', None),
        ('"a","7"\n"a","8","1","2"\n', None),
    ],
)
def test_quotes_that_are_not_plain_pairs_are_read_row_by_row(tmp_path, rows, items):
    path = write(tmp_path, x_csv="user,item,x\n" + rows) / "x.csv"
    if items is None:
        with pytest.raises(DataError, match=r"line [23]: "):
            read(path)
        return
    (part,), _, labels = read_tables([path])
    assert [labels.text(item) for item in part.items.tolist()] == items


@pytest.mark.parametrize("rows", ['"10","x, y"\n"9","x"\n', '"10",x y\n9,"x"\n', " 10,y\n9 , x\n"])
def test_quotes_and_spaces_are_not_part_of_an_id(tmp_path, rows):
    path = write(tmp_path, x_csv="user,item\n" + rows) / "x.csv"
    assert read(path)[:3] == ([(1, 1), (0, 0)], 2, 2)


BYTES = st.one_of(
    st.binary(max_size=200),
    st.lists(
        st.sampled_from([b"user", b"item", b",", b"\t", b"\n", b'"', b"1", b"2", b"x", b" ", b"\r"])
    ).map(b"".join),
    st.lists(st.sampled_from([b"1,", b"2\n", b"1,2\n", b"2,1\n", b"a", b'"', b"\n"])).map(
        lambda tail: b"user,item\n" + b"".join(tail)
    ),
)


@given(BYTES, st.sampled_from(["csv", "inter", "tsv"]), st.sampled_from([None, 3.0]))
@SHARED_FOLDER
def test_any_bytes_are_data_or_a_data_error(tmp_path, content, suffix, min_rating):
    folder = write(tmp_path / "x")
    for old in folder.iterdir():
        old.unlink()
    (folder / f"x.{suffix}").write_bytes(content)
    if min_rating:
        write(folder, dataset_toml=f'name = "x"\nmin_rating = {min_rating}\n')
    try:
        data = load(folder, cache_dir=tmp_path / "c")
    except DataError as error:
        assert "\n" not in str(error)
        assert str(folder) in str(error)
    else:
        assert isinstance(data, Interactions)


@pytest.mark.parametrize(
    "header",
    ["user_id,item_id", "USER,Item", "uid,iid", "UserId,ItemID", " user , item ", '"user","item"'],
)
def test_usual_names_of_columns(tmp_path, header):
    path = write(tmp_path, x_csv=f"{header}\nb,y\na,x\n") / "x.csv"
    assert read(path)[:3] == ([(1, 1), (0, 0)], 2, 2)


def test_other_names_of_columns_are_stated(tmp_path):
    path = write(tmp_path, x_csv="when,What,Who\n1,x,b\n2,y,a\n") / "x.csv"
    assert read(path, columns=Columns(user="who", item="what"))[0] == [(1, 0), (0, 1)]
    with pytest.raises(DataError, match="line 1: 'when,What,Who' is no header"):
        read(path)
    with pytest.raises(DataError, match=r"no column for the item .* name it thing"):
        read(path, columns=Columns(user="who", item="thing"))


def test_numbers_without_a_header_stand_in_the_order_of_movielens(tmp_path):
    path = write(tmp_path, u_data="5\t3\t4\t881\n9\t2\t2\t882\n10\t3\t5\t883\n") / "u.data"
    assert read(path)[:3] == ([(0, 1), (1, 0), (2, 1)], 3, 2)
    assert read(path, min_rating=4)[:3] == ([(0, 0), (1, 0)], 2, 1)


def test_numbers_are_ordered_by_value_and_text_by_bytes(tmp_path):
    number = write(tmp_path, a_csv="user,item\n10,1\n9,1\n") / "a.csv"
    text = write(tmp_path, b_csv="user,item\n10,1\n9,1\n09,1\n") / "b.csv"
    assert read(number)[0] == [(1, 0), (0, 0)]
    assert read(text)[0] == [(1, 0), (2, 0), (0, 0)]


def test_parts_share_their_numbers(tmp_path):
    write(tmp_path, a_csv="user,item\n10,1\n9,2\n", b_csv="user,item\nx,2\n9,3\n")
    parts, users, items = read_tables([tmp_path / "a.csv", tmp_path / "b.csv"])
    assert (len(users), len(items)) == (3, 3)
    assert parts[0].users.tolist() == [0, 1]
    assert parts[1].users.tolist() == [2, 1]
    assert parts[1].items.tolist() == [1, 2]


def test_a_quotation_mark_is_a_character_in_inter_files(tmp_path):
    path = write(tmp_path, x_inter='user_id:token\titem_id:token\n"a\tx\na"\tx\n') / "x.inter"
    assert read(path)[:3] == ([(0, 0), (1, 0)], 2, 1)


def test_repeated_rows_are_dropped_and_counted(tmp_path):
    rows = "".join(f"{u},{i},{r}\n" for u in "ab" for i in range(9) for r in (2, 4, 5))
    write(tmp_path, x_csv="user,item,rating\n" + rows, dataset_toml='name = "x"\nmin_rating = 4\n')
    data = load(tmp_path)
    assert data.repairs == {
        "all: rows with a rating below 4 dropped": 18,
        "all: duplicate pairs dropped": 18,
    }
    assert data.train.nnz + data.valid.nnz + data.test.nnz == 18


BAD = {
    "fields": ("user,item\na,x\nb\n", "x.csv, line 3: 1 field, expected 2"),
    "more": ("user,item\na,x,y\n", "x.csv, line 2: 3 fields, expected 2"),
    "empty id": ("user,item\na,x\n\n,y\n", "x.csv, line 4: the user id is empty"),
    "no item": ("user,item\na,\n", "x.csv, line 2: the item id is empty"),
    "no column": ("user,thing\na,x\n", "x.csv, line 1: no column for the item in 'user, thing'"),
    "one number": ("5\n6\n", "x.csv, line 1: 1 column(s)"),
    "header alone": ("user,item\n", "x.csv: no rows"),
    "long id": ("user,item\n" + "a" * 256 + ",x\n", "line 2: the user id 'aaaa"),
    "truncated": ("user,item,z\na,x,1\nb,y", "x.csv, line 3: 2 fields, expected 3"),
    "huge field": ('user,item\n"' + "a" * 200_000 + '",x\n', "x.csv, line 2: field larger than"),
    "nul": ("user,item\na,\0\n", "x.csv, line 2: a NUL byte"),
    "latin-1": ("user,item\na,é\n".encode("latin-1"), "x.csv, line 2: byte 0xe9"),
    "empty": ("", "x.csv: the file is empty"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_with_line_and_value(tmp_path, name):
    content, message = BAD[name]
    path = write(tmp_path, x_csv=content) / "x.csv"
    with pytest.raises(DataError) as caught:
        read(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("rating", ["good", "", "nan", "inf"])
def test_bad_ratings_matter_where_ratings_count(tmp_path, rating):
    path = write(tmp_path, x_csv=f"user,item,rating\na,x,4\nb,x,{rating}\n") / "x.csv"
    assert len(read(path)[0]) == 2
    with pytest.raises(DataError, match=f"line 3: rating '{rating}' is not a number"):
        read(path, min_rating=1)


def test_a_threshold_needs_a_rating_column_and_ratings_above_it(tmp_path):
    path = write(tmp_path, x_csv="user,item\na,x\n", y_csv="user,item,stars\na,x,3\n") / "x.csv"
    with pytest.raises(DataError, match="no column for the rating"):
        read(path, min_rating=4)
    with pytest.raises(DataError, match="no row has a rating of at least 4"):
        read(tmp_path / "y.csv", min_rating=4)
    with pytest.raises(DataError, match=r"line 1: 2 column\(s\); .* user, item, rating"):
        read(write(tmp_path, z_csv="1,2\n") / "z.csv", min_rating=4)


def test_row_order_does_not_matter(tmp_path):
    rng = np.random.Generator(np.random.PCG64(1))
    rows = [f"u{u}\ti{i}" for u in range(12) for i in range(u, u + 9)]
    made = []
    for name in ("a", "b"):
        text = "user_id:token\titem_id:token\n" + "\n".join(rng.permutation(rows).tolist()) + "\n"
        made.append(load(write(tmp_path / name, **{"x_inter": text}) / "x.inter"))
    assert made[0].fingerprint == made[1].fingerprint
    assert pairs(made[0].valid) == pairs(made[1].valid) != []
    assert made[0].split == made[1].split == f"x-t20-v10-s0-{made[0].fingerprint[:8]}"


def repairs(path, **options) -> dict[str, int]:
    (part,), _, _ = read_tables([path], **options)
    return dict(part.repairs)


@pytest.mark.parametrize("lines", ["{row}{head}{row}", '{row}{head}"b",8,2\n{head}\n'])
@pytest.mark.parametrize("min_rating", [None, 1])
def test_headers_of_joined_files_are_no_interactions(tmp_path, lines, min_rating):
    head = "user_id,item_id,rating\n"
    text = head + lines.format(head=head, row="a,7,1\n")
    path = write(tmp_path, x_csv=text) / "x.csv"
    (part,), users, items = read_tables([path], min_rating=min_rating)
    assert "user_id" not in users.texts() and "item_id" not in items.texts()
    assert part.repairs["lines that repeat the header dropped"] == lines.count("{head}")


@pytest.mark.parametrize("word", ["NULL", "\\N", "nan", "None"])
def test_ids_that_may_mean_missing_are_kept_and_counted(tmp_path, word):
    path = write(tmp_path, x_csv=f"user,item\na,7\n{word},8\n{word},7\n") / "x.csv"
    (note,) = [key for key in repairs(path) if "missing" in key]
    assert repr(word) in note and repairs(path)[note] == 2


def test_negative_quantities_are_counted(tmp_path):
    path = write(tmp_path, x_csv="user,item,quantity\na,7,2\na,8,-1\nb,7,1\n") / "x.csv"
    (note,) = repairs(path)
    assert "negative quantity" in note and repairs(path)[note] == 1
    write(tmp_path, x_csv="user,item,quantity\na,7,2\na,8,-1\nb,7,0\n")
    assert repairs(path) == {note: 1}
    assert repairs(path, min_rating=1) == {"rows with a rating below 1 dropped": 2}


def test_labels_of_no_are_counted_over_all_blocks(tmp_path):
    table = Table(tmp_path / "x.csv", None, "click")
    ids = pl.Series(["a", "b", "c"])
    for marks in (["0", "1", "0"], ["1", "1", "0"]):
        assert table.add(ids, ids, pl.Series(marks))
    ((note, times),) = table.finished().repairs.items()
    assert "rows with 0 in click kept" in note and times == 3


@pytest.mark.parametrize("end", ["", "\n"], ids=["fast", "row by row"])
def test_ratings_that_are_all_too_low_are_the_reason(tmp_path, end):
    path = write(tmp_path, x_csv=f"user,item,rating\na,7,1\nb,8,2\n{end}") / "x.csv"
    with pytest.raises(DataError, match=r"x\.csv: no row has a rating of at least 4"):
        read(path, min_rating=4)


def test_of_two_columns_of_one_name_the_number_is_asked_for(tmp_path):
    path = write(tmp_path, x_csv="user_id,item_id,item_id\na,7,8\n") / "x.csv"
    with pytest.raises(DataError, match='item = "2", its number'):
        read(path)
