"""Compressed files, archives, Parquet and JSON lines."""

import bz2
import gzip
import io
import json
import lzma
import zipfile

import polars as pl
import pytest
from support.data import alone_fixture, write  # noqa: F401

from bench.data import load
from bench.data.blocks import read_blocks
from bench.data.tables import read_tables
from bench.errors import DataError

pytestmark = pytest.mark.usefixtures("alone")
PAIRS = [(u, i) for u in range(3) for i in range(9) if (u + i) % 4]
CSV = ("user,item,rating\n" + "".join(f"u{u},b{i},{1 + i % 5}\n" for u, i in PAIRS)).encode()
PACKED = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


def zipped(**members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), content)
    return stream.getvalue()


def parquet(frame):
    stream = io.BytesIO()
    frame.write_parquet(stream)
    return stream.getvalue()


@pytest.fixture()
def plain(tmp_path):
    return load(write(tmp_path / "plain", a_csv=CSV) / "a.csv").fingerprint


@pytest.mark.parametrize("suffix", PACKED)
def test_compressed_tables(tmp_path, plain, suffix):
    path = tmp_path / f"a.csv{suffix}"
    path.write_bytes(PACKED[suffix](CSV))
    data = load(path)
    assert (data.fingerprint, data.name) == (plain, "a")
    assert load(tmp_path / f"a.csv{suffix}").fingerprint == plain
    path.write_bytes(PACKED[suffix](CSV)[:-12])
    with pytest.raises(DataError, match="damaged"):
        load(path)


def test_compressed_parts_and_compressed_lightgcn_text(tmp_path):
    for part, text in (("train", "0 0 1 2\n1 1 2 3\n"), ("test", "0 3\n1 0\n"), ("val", "0 3\n")):
        (tmp_path / f"{part}.txt.gz").write_bytes(gzip.compress(text.encode()))
    data = load(tmp_path)
    assert (data.users, data.items, data.test.nnz) == (2, 4, 2)
    assert "-vgiven-" in data.split


def test_what_is_compressed_is_told_by_its_content(tmp_path, plain):
    assert load(write(tmp_path, a_csv=gzip.compress(CSV)) / "a.csv").fingerprint == plain


def test_an_archive_with_one_table(tmp_path, plain):
    content = zipped(toy__a_csv=CSV, README="hi", **{"__MACOSX__._a_csv": b"\0", "x__a_png": b"\1"})
    assert load(write(tmp_path, a_zip=content) / "a.zip").fingerprint == plain
    assert load(write(tmp_path / "f", a_zip=content)).fingerprint == plain
    for members, says in (
        (
            {"a_csv": CSV, "b_csv": CSV},
            r"several tables \(a.csv, b.csv\) in the archive; unpack it",
        ),
        ({"README": "hi"}, "no table in the archive"),
        ({"a_parquet": b"PAR1"}, "a.parquet is a Parquet file; unpack it"),
        ({"xl__workbook_xml": "x"}, "an Excel workbook"),
    ):
        with pytest.raises(DataError, match=says):
            load(write(tmp_path, b_zip=zipped(**members)) / "b.zip")
    with pytest.raises(DataError, match="cannot be read"):
        load(write(tmp_path, c_zip=content[:-30]) / "c.zip")


def test_an_archive_with_lightgcn_text(tmp_path):
    text = "".join(f"{u} {' '.join(map(str, range(9)))}\n" for u in range(3))
    assert load(write(tmp_path, a_zip=zipped(all_txt=text)) / "a.zip").items == 9


def test_parquet(tmp_path, plain):
    frame = pl.read_csv(CSV)
    assert load(write(tmp_path, a_parquet=parquet(frame)) / "a.parquet").fingerprint == plain
    numbers = frame.with_columns(pl.col("user", "item").str.slice(1).cast(pl.Int32))
    data = load(write(tmp_path, b_parquet=parquet(numbers)) / "b.parquet")
    assert data.fingerprint == plain
    write(tmp_path, dataset_toml='name = "a"\nmin_rating = 3\n')
    data = load(tmp_path / "a.parquet")
    assert data.train.nnz + data.valid.nnz + data.test.nnz == sum(i % 5 >= 2 for _, i in PAIRS)


def test_parquet_that_cannot_be_used(tmp_path):
    frame = pl.read_csv(CSV)
    for changed, says in (
        (frame.rename({"item": "thing"}), "no column for the item in 'user, thing, rating'"),
        (frame.with_columns(item=pl.Series(range(len(PAIRS))).cast(pl.Float64)), "type Float64"),
        (frame.with_columns(user=pl.lit(None, pl.String)), "row 1: the user is missing"),
        (frame.with_columns(user=pl.lit("")), "row 1: the user id is empty"),
    ):
        with pytest.raises(DataError, match=says):
            load(write(tmp_path, a_parquet=parquet(changed)) / "a.parquet")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        load(write(tmp_path, a_parquet=parquet(frame)[:99]) / "a.parquet")


def test_a_rating_may_be_missing_where_no_threshold_needs_it(tmp_path):
    frame = pl.DataFrame(
        {"user": ["a", "b"] * 9, "item": [n // 2 for n in range(18)], "rating": [4.0] * 17 + [None]}
    )
    write(tmp_path, a_parquet=parquet(frame))
    assert load(tmp_path / "a.parquet").items == 9
    write(tmp_path, dataset_toml='name = "a"\nmin_rating = 3\n')
    with pytest.raises(DataError, match="row 18: the rating is missing; complete or drop the row"):
        load(tmp_path / "a.parquet")


def records(user, item, rating, **more):
    return "".join(
        json.dumps({user: f"u{u}", item: f"b{i}", rating: 1.0 + i % 5, **more}) + "\n"
        for u, i in PAIRS
    )


@pytest.mark.parametrize("suffix", ["jsonl", "json", "ndjson", "json.gz"])
def test_json_lines_of_yelp_and_amazon(tmp_path, plain, suffix):
    for names in (("user_id", "business_id", "stars"), ("reviewerID", "asin", "overall")):
        text = records(*names, review_id="x", text='a "b",\nc', helpful=[1, 2]).encode()
        path = tmp_path / f"a.{suffix}"
        path.write_bytes(gzip.compress(text) if suffix.endswith("gz") else text)
        assert load(path).fingerprint == plain


def test_json_that_cannot_be_used(tmp_path):
    good = '{"user": 1, "item": 2}\n'
    for text, says in (
        (good + '{"user": null, "item": 3}\n', "line 2: 'user' is 'null'"),
        (good + '{"item": 3}\n', "line 2: 'user' is 'null'"),
        (good + "\n" + '{"user": [1], "item": 3}\n', r"line 3: 'user' is '\[1\]'"),
        (good + '{"user": true, "item": 3}\n', "line 2: 'user' is 'true'"),
        (good + '{"user": 1, "item": 3\n', "line 2: .* is not JSON"),
        (good + '{"user": "", "item": 3}\n', "line 2: the user id is empty"),
        ("{'user': 1, 'item': 2}\n", "line 1: .* is not JSON"),
        ('[{"user": 1, "item": 2}]\n', "line 1: .* is not a JSON object"),
        ('{"name": 1, "age": 2}\n', "line 1: no column for the user in 'name, age'"),
    ):
        with pytest.raises(DataError, match=says):
            load(write(tmp_path, a_jsonl=text) / "a.jsonl")


@pytest.mark.parametrize("rating", ["-Infinity", "Infinity", "NaN", '"inf"', '"good"', "null"])
def test_json_with_a_rating_that_is_no_finite_number(tmp_path, rating):
    good = '{"user": 1, "item": 2, "rating": 5}\n'
    text = f'{good}{{"user": 1, "item": 3, "rating": {rating}}}\n'
    write(tmp_path, a_jsonl=text, dataset_toml='name = "a"\nmin_rating = 1\n')
    with pytest.raises(DataError, match=r"a\.jsonl, line 2: rating '.*' is not a number"):
        load(tmp_path / "a.jsonl")


@pytest.mark.parametrize("end", ["", "\n"], ids=["fast", "line by line"])
def test_json_ids_with_a_point_are_whole_numbers(tmp_path, end):
    users = ("12.0", "12", '"12"', "1e3", "0.5")
    text = "".join(f'{{"user": {user}, "item": {n}}}\n' for n, user in enumerate(users))
    _, labels, _ = read_tables([write(tmp_path, a_jsonl=text + end) / "a.jsonl"])
    assert labels.texts() == ["0.5", "1000", "12"]


def test_json_numbers_and_texts_are_one_label(tmp_path):
    text = "".join(
        f'{{"user": {u}, "item": {i}}}\n{{"item": "{i}", "user": "{u}"}}\n' for u, i in PAIRS
    )
    data = load(write(tmp_path, a_jsonl=text) / "a.jsonl")
    assert (data.users, data.items) == (3, 9)
    assert data.repairs == {"all: duplicate pairs dropped": len(PAIRS)}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_blocks_are_whole_lines_however_they_fall(tmp_path, size, newline):
    lines = ["user,item", "ä,1", "", "x" * 90, "é,2"]
    path = write(tmp_path, a_csv="\ufeff".encode() + newline.join(t.encode() for t in lines))
    blocks = list(read_blocks(path / "a.csv", size))
    assert b"".join(block.data for block in blocks).decode().split("\n") == [*lines, ""]
    at = 1
    for block in blocks:
        assert block.line == at
        assert block.lines == block.data.count(b"\n")
        at += block.lines


@pytest.mark.parametrize("folder", ["__MACOSX", ".git", "shop/.cache"])
def test_tables_in_hidden_folders_of_an_archive_are_passed_over(tmp_path, plain, folder):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(f"{folder}/b.csv", "user,item\n1,2\n")
        archive.writestr("shop/a.csv", CSV)
    assert load(write(tmp_path, a_zip=stream.getvalue()) / "a.zip").fingerprint == plain


def test_parts_with_suffixes_in_capital_letters(tmp_path):
    for name, text in (("X_TRAIN.CSV.GZ", "a,x\na,y\nb,x\n"), ("X_Test.Csv.Gz", "a,z\nb,y\n")):
        (tmp_path / name).write_bytes(gzip.compress(f"user,item\n{text}".encode()))
    data = load(tmp_path)
    assert "t20" not in data.split
    assert data.test.nnz == 2
