"""Headers and separators as people have them."""

import pytest
from support.data import alone_fixture, pairs, write  # noqa: F401

from bench.data import load
from bench.data.headers import Columns
from bench.data.tables import read_tables
from bench.errors import DataError

pytestmark = pytest.mark.usefixtures("alone")
PAIRS = [(u, i) for u in range(3) for i in range(9) if (u + i) % 4]
# Each with the place of the user and of the item.
UNDERSTOOD = {
    "userId,movieId,rating,timestamp": (0, 1),
    "reviewerID,asin,overall,unixReviewTime": (0, 1),
    "user_id,business_id,stars,date": (0, 1),
    "customer_id,product_id,quantity,day": (0, 1),
    "USER_ID,Item-Id,x,y": (0, 1),
    "Customer ID,Stock Code,Quantity,Price": (0, 1),
    "User-ID,ISBN,Book-Rating,x": (0, 1),
    "timestamp,visitorid,event,itemid": (1, 3),
    "book_id,rating,user_id,is_read": (2, 0),
    "user_id:token,item_id:token,rating:float,timestamp:float": (0, 1),
    "review_id,business_id,stars,user_id": (3, 1),
    "user_id,artist_id,plays,reviewerName": (0, 1),
    "anime_id,user,rating,username": (1, 0),
}


def rows(separator, user=0, item=1, width=4):
    lines = []
    for u, i in PAIRS:
        fields = [str(7 + at) for at in range(width)]
        fields[user], fields[item] = str(u), str(i)
        lines.append(separator.join(fields))
    return "\n".join(lines) + "\n"


def read(path, **options):
    (part,), _, _ = read_tables([path], **options)
    return list(zip(part.users.tolist(), part.items.tolist(), strict=True))


@pytest.mark.parametrize("header", UNDERSTOOD)
def test_headers_of_known_data_sets_need_no_card(tmp_path, header):
    path = write(tmp_path, a_csv=f"{header}\n{rows(',', *UNDERSTOOD[header])}") / "a.csv"
    assert read(path) == PAIRS


@pytest.mark.parametrize(
    ("header", "both"),
    [
        ("user_id,asin,parent_asin,rating", "which column is the item, 'asin' or 'parent_asin'?"),
        ("user_id,customer_id,item,x", "which column is the user, 'user_id' or 'customer_id'?"),
        ("User,Track_ID,Artist_ID,x", "which column is the item, 'Track_ID' or 'Artist_ID'?"),
    ],
)
def test_two_candidates_are_asked_about(tmp_path, header, both):
    path = write(tmp_path, a_csv=f"{header}\n{rows(',')}") / "a.csv"
    with pytest.raises(DataError) as caught:
        read(path)
    assert f"a.csv, line 1: {both} State it in dataset.toml under [columns]" in str(caught.value)
    names = header.split(",")
    assert read(path, columns=Columns(user=names[0], item=names[2])) != []


@pytest.mark.parametrize(
    "header", ["Kunde,Artikel,Menge,Tag", "A0X,B000,5.0,1300", "who,WHAT,,score", ",a,b,c"]
)
def test_a_header_that_is_not_understood_is_quoted_as_it_stands(tmp_path, header):
    path = write(tmp_path, a_csv=f"{header}\n{rows(',')}") / "a.csv"
    with pytest.raises(DataError) as caught:
        read(path)
    assert header in str(caught.value) or ", ".join(header.split(",")) in str(caught.value)
    assert "a.csv, line 1: " in str(caught.value)
    assert "separated by ','" in str(caught.value)
    assert "[columns]" in str(caught.value)


def test_columns_are_counted_where_there_is_no_header(tmp_path):
    """The files of Amazon's ratings have no header, and text for ids."""
    text = "".join(f"5.0,A{u}X,B00{i}\n" for u, i in PAIRS)
    path = write(tmp_path, a_csv=text) / "a.csv"
    with pytest.raises(DataError, match="count the columns in"):
        read(path)
    assert read(path, columns=Columns(user="2", item="3")) == PAIRS
    assert read(path, columns=Columns(user="2", item="3", rating="1"), min_rating=4) == PAIRS
    for columns in (Columns(user="2", item="9"), Columns(user="2", item="3", rating="4")):
        with pytest.raises(DataError, match=r"3 column\(s\)"):
            read(path, columns=columns)


def test_a_counted_column_of_ids_is_not_one_of_labels(tmp_path):
    """The third column is the rating where no other is said to be, but here it has the users."""
    path = write(tmp_path, a_csv="7,5,0\n8,5,1\n7,5,1\n") / "a.csv"
    for columns, notes in (
        (Columns(user="3", item="1"), 0),
        (Columns(user="1", item="3"), 0),
        (Columns(user="1", item="2"), 1),
        (Columns(user="2", item="1", rating="3"), 1),
    ):
        (part,), _, _ = read_tables([path], columns)
        assert [times for what, times in part.repairs.items() if "0 in column 3" in what] == (
            [1] * notes
        )


def test_a_counted_column_is_no_name(tmp_path):
    """A first row that holds the number of the column is data, and not its header."""
    columns = Columns(user="1", item="2")
    for text in ("2 1 1\n24 1 1\n2 3 1\n", "1,2,5\n1,3,5\n2,2,4\n", "2;1\n1;2\n2;2\n"):
        path = write(tmp_path, a_csv=text) / "a.csv"
        assert len(read(path, columns=columns)) == 3
    path = write(tmp_path, a_csv="user,2,item\n7,8,9\n") / "a.csv"
    (part,), _, items = read_tables([path], Columns(user="1", item="3"))
    assert items.text(0) == "9"
    assert dict(part.repairs) == {"header lines passed over": 1}


ANY_RATING = "rows kept whatever their rating is (min_rating in dataset.toml drops low ones)"
SEPARATORS = [",", ";", "\t", "|", "::", " "]


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize("header", ["", "userId", "# userId"])
@pytest.mark.parametrize("suffix", ["csv", "tsv", "txt"])
def test_separators_are_detected(tmp_path, separator, header, suffix):
    names = separator.join((header, "movieId", "rating", "timestamp")) + "\n" if header else ""
    if suffix == "txt" and not header and separator in " \t":
        names = separator.join(("userId", "movieId", "rating", "timestamp")) + "\n"
    path = tmp_path / f"a.{suffix}"
    path.write_text(names + rows(separator))
    data = load(path)
    parts = [pairs(part) for part in (data.train, data.valid, data.test)]
    assert sorted(pair for part in parts for pair in part) == PAIRS
    named = bool(names)
    assert data.repairs == ({f"all: {ANY_RATING}": len(PAIRS)} if named else {})


@pytest.mark.parametrize("separator", SEPARATORS)
def test_an_error_names_the_separator(tmp_path, separator):
    words = {"\t": "tabs", " ": "blanks"}.get(separator, repr(separator))
    header = separator.join(("user", "item", "rating", "time")) + "\n"
    path = (
        write(tmp_path, a_csv=header + rows(separator) + separator.join("12345") + "\n") / "a.csv"
    )
    with pytest.raises(DataError, match="line 22: 5 fields, expected 4") as caught:
        read(path)
    assert f"(separated by {words})" in str(caught.value)


def test_the_files_of_movielens(tmp_path):
    """`ratings.dat` and `u.data` lie beside other tables."""
    write(tmp_path / "1m", ratings_dat=rows("::"), movies_dat="1::Heat (1995)::Action\n")
    write(tmp_path / "1m", users_dat="1::F::1\n", README="x")
    assert load(tmp_path / "1m").users == 3
    write(tmp_path / "100k", u_data=rows("\t"), u_item="1|Toy Story\n", u1_base=rows("\t"))
    assert load(tmp_path / "100k").users == 3


def test_lines_above_the_table(tmp_path):
    body = rows(";")
    for start, repairs in (
        ("sep=;\n", {}),
        ('"sep=;"\n', {}),
        ("# from the shop\n# today\n", {"comment lines above the table skipped": 2}),
        ("\n", {"empty lines skipped": 1}),
        ("% bip unweighted\n", {"comment lines above the table skipped": 1}),
    ):
        for header in ("user;item;rating;time\n", ""):
            path = write(tmp_path, a_csv=start + header + body) / "a.csv"
            (part,), _, _ = read_tables([path])
            assert part.items.size == len(PAIRS)
            named = {ANY_RATING: len(PAIRS)} if header else {}
            assert dict(part.repairs) == repairs | named


def test_line_numbers_count_the_lines_above(tmp_path):
    path = write(tmp_path, a_csv="sep=;\n# x\n\nuser;item\n1;2\n1;\n") / "a.csv"
    with pytest.raises(DataError, match="line 6: the item id is empty"):
        read(path)


def test_a_decimal_comma_beside_semicolons(tmp_path):
    path = write(tmp_path, a_csv="user;item;rating\n1;5;4,5\n1;6;3,0\n1;7;2,5\n") / "a.csv"
    assert read(path, min_rating=3) == [(0, 0), (0, 1)]
    path = write(tmp_path, a_csv='user;item;rating\n1;5;"4,5"\n1;6;3,0\n1;7;2,5\n') / "a.csv"
    assert read(path, min_rating=3) == [(0, 0), (0, 1)]
    path = write(tmp_path, a_csv="1;5;4,5\n1;6;3,0\n1;7;2,5\n") / "a.csv"
    assert read(path, min_rating=3) == [(0, 0), (0, 1)]
