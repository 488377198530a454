"""Whatever writes a table: the pairs loaded are those written, or the file is refused."""

import csv
import json
import sys

import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from support.data import alone_fixture, write  # noqa: F401

from bench.data.headers import Columns
from bench.data.tables import read_tables
from bench.errors import DataError

pytestmark = pytest.mark.usefixtures("alone")
QUICK = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
# Much of what breaks tables, and labels that are easily taken for numbers.
PIECES = st.sampled_from(
    [*"ab019,;|\t :\"'#%\u00a0é\n\r\\=", '""', "::", "1.0", "007", "user", "item", "\u2028", "NaN"]
)
NASTY = st.lists(PIECES, min_size=1, max_size=4).map("".join)
PLAIN = st.one_of(
    st.integers(0, 10**17).map(str), st.text("abcXYZ0189_-.é", min_size=1, max_size=9)
)
LABEL = st.one_of(PLAIN, NASTY, st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
TEXT = st.one_of(st.just(""), st.just("Heat, 1995"), NASTY, PLAIN)
ROWS = st.lists(st.tuples(LABEL, LABEL, TEXT), min_size=1, max_size=12)
PLAIN_ROWS = st.lists(st.tuples(PLAIN, PLAIN, PLAIN), min_size=1, max_size=12)
ORDERS = st.permutations(["user_id", "item_id", "title"])
SEPARATORS = st.sampled_from([",", ";", "\t", "|", " "])


def check(path, rows, columns=None):
    """Read, and compare with what was written."""
    try:
        (part,), users, items = read_tables([path], columns)
    except DataError as error:
        assert "\n" not in str(error)
        assert str(path) in str(error)
        return False
    found = [
        (users.text(user), items.text(item))
        for user, item in zip(part.users.tolist(), part.items.tolist(), strict=True)
    ]
    wanted = [(user.strip(" "), item.strip(" ")) for user, item, _ in rows]
    if part.repairs and len(found) < len(wanted):
        assert sum(part.repairs.values()) >= len(wanted) - len(found)
    elif found != wanted:
        # The csv module leaves a carriage return at the end of a line without quotes, where it is
        # a line end of Windows to everybody.
        assert found == [(user.rstrip("\r "), item.rstrip("\r ")) for user, item in wanted]
    return True


@pytest.mark.parametrize("line", ["0,;,0", "0,0;0,0", "0;0,0", "1,;2,;3"])
def test_commas_in_ids_are_not_taken_for_decimal_commas(tmp_path, line):
    path = write(tmp_path, x_csv=f"{line}\n") / "x.csv"
    with pytest.raises(DataError, match="is no header"):
        read_tables([path])
    with pytest.raises(DataError, match="may be separated by ';' or ','"):
        read_tables([path], Columns(user="1", item="2"))
    write(tmp_path, x_csv=f"sep=,\n{line}\n")
    _, users, _ = read_tables([path], Columns(user="1", item="2"))
    assert users.texts() == [line.split(",")[0]]


def test_a_tab_is_not_taken_for_a_part_of_a_number(tmp_path):
    path = write(tmp_path, x_csv="0,\t0\t\n") / "x.csv"
    with pytest.raises(DataError, match="is no header"):
        read_tables([path])
    with pytest.raises(DataError, match="may be separated by tabs or ','"):
        read_tables([path], Columns(user="1", item="2"))


def frame_of(rows, order):
    places = {"user_id": 0, "item_id": 1, "title": 2}
    return {name: [row[places[name]] for row in rows] for name in order}


def csv_writes(rows) -> bool:
    """Whether the csv module writes these: before Python 3.11 not the character 0."""
    return sys.version_info >= (3, 11) or not any("\0" in text for row in rows for text in row)


@given(ROWS, ORDERS, SEPARATORS, st.sampled_from(["\n", "\r\n"]), st.booleans(), st.booleans())
@QUICK
def test_written_by_the_csv_module(tmp_path, rows, order, separator, newline, quoted, named):
    assume(csv_writes(rows))
    # Without a header nobody can tell that a blank separates in `0, 0`, and not the comma.
    clear = named or quoted or separator != " "
    assume(clear or not any(mark in text for row in rows for text in row for mark in ",;|\t:"))
    columns = frame_of(rows, order)
    path = tmp_path / "x.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        quoting = csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
        writer = csv.writer(stream, delimiter=separator, lineterminator=newline, quoting=quoting)
        if named:
            writer.writerow(order)
        writer.writerows(zip(*columns.values(), strict=True))
    places = {name: str(at) for at, name in enumerate(order, start=1)}
    counted = Columns(user=places["user_id"], item=places["item_id"])
    check(path, rows, None if named else counted)


@given(ROWS, ORDERS, SEPARATORS, st.booleans(), st.booleans())
@QUICK
def test_written_by_pandas(tmp_path, rows, order, separator, numbered, quoted):
    assume(csv_writes(rows))
    frame = pd.DataFrame(frame_of(rows, order))
    path = tmp_path / "x.csv"
    quoting = csv.QUOTE_NONNUMERIC if quoted else csv.QUOTE_MINIMAL
    frame.to_csv(path, sep=separator, index=numbered, quoting=quoting)
    check(path, rows)


@given(
    ROWS, ORDERS, SEPARATORS, st.sampled_from(["necessary", "always", "non_numeric"]), st.booleans()
)
@QUICK
def test_written_by_polars(tmp_path, rows, order, separator, style, mark):
    path = tmp_path / "x.csv"
    frame = pl.DataFrame(frame_of(rows, order))
    frame.write_csv(path, separator=separator, quote_style=style, include_bom=mark)
    check(path, rows)
    frame.write_parquet(tmp_path / "x.parquet")
    check(tmp_path / "x.parquet", rows)


@given(ROWS, ORDERS, st.booleans())
@QUICK
def test_json_lines(tmp_path, rows, order, ascii_only):
    columns = frame_of(rows, order)
    path = tmp_path / "x.jsonl"
    records = [dict(zip(order, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    text = "".join(json.dumps(record, ensure_ascii=ascii_only) + "\n" for record in records)
    path.write_text(text, encoding="utf-8", newline="")
    check(path, rows)


@given(PLAIN_ROWS, ORDERS, st.sampled_from([",", ";", "\t", "|", "::", " ", "  "]))
@QUICK
def test_plain_tables_are_never_refused(tmp_path, rows, order, separator):
    columns = frame_of(rows, order)
    lines = [separator.join(row) for row in zip(*columns.values(), strict=True)]
    path = tmp_path / "x.csv"
    path.write_text("\n".join([separator.join(order), *lines, ""]), encoding="utf-8")
    assert check(path, rows)
