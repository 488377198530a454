"""What the description of an exported table says of it."""

from __future__ import annotations

import re

import pytest
from support.make_records import Toy, make, write

from bench.export.again import Table
from bench.export.card import Card
from bench.export.folder import Sizes
from bench.records.scan import scan
from bench.runs.environment import code_state


@pytest.fixture(name="text")
def text_fixture(tmp_path):
    def text(
        users: int = 60, backbone: str = "mf", read: bool = True, reader: str = "", **method: str
    ) -> str:
        write(tmp_path, *make(Toy("toy", users, 40, 0.4), backbone, "dims", 0.1, 0))
        [record] = scan(tmp_path).records
        record = record.model_copy(update={"method": record.method.model_copy(update=method)})
        sizes = Sizes(100, 50, {}, read, reader)
        return Card(tmp_path, kept=True).text(record, Table(b"", None, None), sizes)

    return text


def test_the_mean_over_one_user_has_no_interval(text):
    assert len(re.findall(r"@20 \| \d\.\d{4} \|  \|", text(users=1))) == 2


def test_a_bar_in_a_value_does_not_end_its_cell(text):
    assert "| method | Fewer dimensions; Dims / More dims |" in text(paper="Dims | More dims")


@pytest.mark.parametrize(
    ("read", "reader", "said"),
    [
        (True, "", ""),
        (True, "mine.py", "the function of that name in `mine.py`"),
        (False, "", "a function that somebody has to write"),
    ],
)
def test_all_that_reading_needs_is_said(read, reader, said, text):
    found = text(read=read, reader=reader)
    assert "`compact_lookup` comes with the program" in found and said in found
    assert f"code {code_state()})" in found  # of the program that writes, not of the run
    assert ('load(".", reader=reader)' in found) == bool(said)


@pytest.mark.parametrize("backbone", ["mf", "lightgcn"])
def test_recommendations_are_promised_where_the_table_is_all_that_they_need(backbone, text):
    found = text(backbone=backbone)
    said = f"`recommend` does not score with {backbone}, which needs more than this table"
    assert ("table.recommend(" in found) == (backbone == "mf")
    assert (said in found) == (backbone != "mf")
