"""Stray quotation marks: rows must never vanish."""

import pytest
from support.data import alone_fixture, write  # noqa: F401

from bench.data import load
from bench.data.tables import read_tables
from bench.errors import DataError

pytestmark = pytest.mark.usefixtures("alone")


def rows(text):
    return text.replace(" / ", "\n") + "\n"


STRAY = {
    "one": ('user,item,title / 0,1,Up / 0,2,"Heat / 0,3,Big / 1,1,Up / 1,3,Big', "Heat"),
    "two in a column": ('user,item,title / 0,1,Up / 0,2,"Heat / 0,3,Big / 1,1,"Up', "Heat"),
    "one closes the other": ('user,item,title / 0,1,Up / 0,2,"Heat / 1,3,Big" / 1,1,Up', "Heat"),
    "in the item id": ('user,item,title / 0,1,Up / 0,"2,Heat / 0,3,Big / 1,1,Up', "2,Heat"),
    "over the item id": ('user,item,title / 0,1,Up / 0,"2,Heat / 0,3",Big / 1,1,Up', "2,Heat"),
    "within an item id": ('user,item,title / 0,1,Up / 0,2",Heat / 0,3,Big', '2"'),
    "semicolons": ('user;item;title / 0;1;Up / 0;2;"Heat / 0;3;Big / 1;1;Up', "Heat"),
    "tabs": ('user\titem\ttitle / 0\t1\tUp / 0\t2\t"Heat / 0\t3\tBig', "Heat"),
    "bars": ('user|item|title / 0|1|Up / 0|2|"Heat / 0|3|Big" / 1|1|Up', "Heat"),
    "closed too early": ('user,item,title / 0,1,Up / 0,2,"Heat" 2 / 0,3,Big', "Heat"),
    "in the user id": ('user,item / a,1 / "b,2 / c,3 / d,4', "b,2"),
    "text ids": ('item,user,title / a,x,Up / b,x,"Heat / c,x,Big / a,y,Up" / d,y,Heat', "Heat"),
}


@pytest.mark.parametrize("name", STRAY)
def test_a_stray_quotation_mark_is_named_with_the_line_where_it_stands(tmp_path, name):
    content, near = STRAY[name]
    path = write(tmp_path, x_csv=rows(content)) / "x.csv"
    with pytest.raises(DataError) as caught:
        read_tables([path])
    assert "x.csv, line 3: " in str(caught.value)
    assert "quotation mark" in str(caught.value)
    assert near in str(caught.value)
    assert "double it" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_stray_mark_far_down_is_found_too(tmp_path):
    lines = [f'{u},{i},"t, {i}"' for u in range(300) for i in range(100)]
    lines[20_000] = '200,0,"t'
    path = write(tmp_path, x_csv="user,item,title\n" + "\n".join(lines) + "\n") / "x.csv"
    with pytest.raises(DataError, match=r"x.csv, line 20002: the quotation mark"):
        read_tables([path])


def test_a_text_with_line_breaks_is_one_row_and_is_counted(tmp_path):
    texts = ["a", '"good,\nreally, it was"', '"two ""words"""', '"\n\n"', "5' tall", '5" pipe']
    content = "user,item,text\n" + "".join(f"u,{at},{text}\n" for at, text in enumerate(texts))
    (part,), _, items = read_tables([write(tmp_path, x_csv=content) / "x.csv"])
    assert part.items.tolist() == [0, 1, 2, 3, 4, 5]
    assert len(items) == 6
    assert dict(part.repairs) == {
        "rows over several lines, with a line break in quotes, read as one": 2
    }


def test_a_doubled_mark_in_quotes_is_part_of_an_id(tmp_path):
    path = write(tmp_path, x_csv='user,item\nu,"a""b"\nu,ab\n') / "x.csv"
    _, _, items = read_tables([path])
    assert [items.text(0), items.text(1)] == ['a"b', "ab"]


def test_inter_files_have_no_quotes(tmp_path):
    header = "user_id:token\titem_id:token\ttitle:token\n"
    path = write(tmp_path, x_inter=header + 'u\t1\t"Heat\nu\t"2"\tBig\nu\t3\t5"\n') / "x.inter"
    (part,), _, items = read_tables([path])
    assert part.items.size == 3
    assert items.text(0) == '"2"'


def test_a_short_row_does_not_hide_behind_a_long_one(tmp_path):
    for short, long in (("1,2", "1,2,3,4"), ("1", "1,2,3,4,5"), ("1,", "1,2,3,4")):
        path = write(tmp_path, x_csv=f"user,item,title\n0,1,x\n{short}\n{long}\n0,2,x\n") / "x.csv"
        with pytest.raises(DataError, match=r"x.csv, line 3: \d fields?, expected 3"):
            load(path)
        path = write(tmp_path, x_csv=f"user,item,title\n0,1,x\n{long}\n{short}\n0,2,x\n") / "x.csv"
        with pytest.raises(DataError, match=r"x.csv, line 3: \d fields?, expected 3"):
            load(path)
