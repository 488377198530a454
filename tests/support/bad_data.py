"""Data that are wrong, and what is said; `bad_input` runs them."""

from __future__ import annotations

from dataclasses import dataclass, field

TRAIN = "0 0 1 2\n1 1 3\n2 2 3\n"
TEST = "0 3\n1 0\n2 0\n"
CARD = 'name = "mine"\n'


@dataclass(frozen=True)
class Bad:
    """One kind.

    Attributes:
        kind: what is wrong, for people.
        words: arguments of `bench`; files lie in the folder that the command runs in.
        says: what the message must hold: file, line or value, and the remedy.
        files: contents by name.
    """

    kind: str
    words: str
    says: tuple[str, ...]
    files: dict[str, str | bytes] = field(default_factory=dict)


def own(kind: str, says: tuple[str, ...], **changes: str | bytes | None) -> Bad:
    """A data set of one's own with something wrong; None leaves a file out."""
    files: dict[str, str | bytes | None] = {"train.txt": TRAIN, "test.txt": TEST}
    files |= {name.replace("__", "."): content for name, content in changes.items()}
    placed = {f"data/{name}": content for name, content in files.items() if content is not None}
    return Bad(kind, "leaderboard -d data --dry-run", says, placed)


def table(kind: str, says: tuple[str, ...], content: str | bytes, name: str = "all.csv") -> Bad:
    """One table of interactions with something wrong."""
    return Bad(kind, f"leaderboard -d {name} --dry-run", says, {name: content})


def card(kind: str, says: tuple[str, ...], content: str) -> Bad:
    """A card of one's own with something wrong."""
    return own(kind, ("data/dataset.toml", *says), dataset__toml=content)


def option(kind: str, words: str, *says: str) -> Bad:
    """A command that cannot be meant."""
    return Bad(kind, words, says)


DATA = (
    own(
        "an id that is a word",
        ("data/train.txt, line 2", "'three'", "write a .inter or .csv"),
        train__txt="0 0 1\n1 three\n",
    ),
    own(
        "an id that is negative",
        ("data/train.txt, line 2", "'-3' is negative", ".csv"),
        train__txt="0 0 1\n1 -3\n",
    ),
    own(
        "an id that is a fraction", ("data/test.txt, line 1", "'1.5'", ".csv"), test__txt="0 1.5\n"
    ),
    own(
        "an id over 2^31 - 2",
        ("data/train.txt, line 1", "'2147483647'", "larger than"),
        train__txt="0 2147483647\n",
    ),
    own(
        "a gap in the user ids",
        ("data/test.txt, line 1", "user id 7", "renumber"),
        test__txt="7 1\n",
    ),
    own(
        "a gap in the item ids",
        ("data/train.txt", "item id", "renumber"),
        train__txt="0 0 1 99\n1 1 3\n2 2 3\n",
    ),
    own(
        "users without an item",
        ("data/train.txt", "no interactions", "fetch or export"),
        train__txt="0\n1\n",
    ),
    own("an empty file", ("data/test.txt", "empty", "fetch or export it again"), test__txt=""),
    own(
        "a NUL byte",
        ("data/train.txt, line 2", "NUL", "fetch or export"),
        train__txt=b"0 1\n1 \x00\n",
    ),
    own(
        "text that is not UTF-8",
        ("data/train.txt, line 2", "0xff", "save the file as UTF-8"),
        train__txt=b"0 1\n1 \xff\n",
    ),
    own(
        "UTF-16 text",
        ("data/train.txt", "UTF-16", "save it as UTF-8"),
        train__txt="0 1\n".encode("utf-16"),
    ),
    own(
        "an archive that is damaged",
        ("data/train.txt", "archive that is damaged", "fetch it again"),
        train__txt=b"PK\x03\x04rest",
    ),
    own(
        "no test file",
        ("data", "train.txt is here, but no test.txt", "fetch it too"),
        test__txt=None,
    ),
    own(
        "no training file",
        ("data", "test.txt is here, but no train.txt", "fetch it too"),
        train__txt=None,
    ),
    own(
        "no test interaction left",
        ("data/test.txt", "no test interactions are left", "give"),
        test__txt="0 0\n",
    ),
    Bad(
        "an empty folder",
        "leaderboard -d data --dry-run",
        ("data", "no data set here", "needs train.txt"),
        {"data/notes.md": "hello"},
    ),
    Bad(
        "one part of a split alone",
        "leaderboard -d data/train.txt --dry-run",
        ("data/train.txt", "one part of a split", "give the folder"),
        {"data/train.txt": TRAIN, "data/test.txt": TEST},
    ),
    Bad(
        "several tables",
        "leaderboard -d data --dry-run",
        ("data", "several tables (a.csv, b.csv)", "give the path"),
        {"data/a.csv": "user,item\n1,2\n", "data/b.csv": "user,item\n1,2\n"},
    ),
    Bad(
        "an unknown kind of file",
        "leaderboard -d all.h5 --dry-run",
        ("all.h5", "unknown kind of file", "export the interactions"),
        {"all.h5": "HDF"},
    ),
    option(
        "a data set that does not exist",
        "leaderboard -d gowala --dry-run",
        "gowala",
        "did you mean 'gowalla'?",
    ),
    option(
        "a data folder that does not exist",
        "leaderboard -d gowalla --data-dir no --dry-run",
        "no: no such folder",
        "correct --data-dir",
    ),
    table(
        "a table without an item column",
        ("all.csv, line 1", "no column for the item in 'user, thing'", "name it"),
        "user,thing\n1,2\n",
    ),
    table(
        "a row with too few fields",
        ("all.csv, line 3", "1 field, expected 2", "complete"),
        "user,item\n1,2\n1\n",
    ),
    table(
        "a row with too many fields",
        ("all.csv, line 2", "3 fields, expected 2", "complete"),
        "user,item\n1,2,3\n",
    ),
    table(
        "an empty id",
        ("all.csv, line 2", "user id is empty", "complete or drop"),
        "user,item\n,2\n",
    ),
    table(
        "an id of 300 bytes",
        ("all.csv, line 2", "longer than 255 bytes", "shorten it"),
        "user,item\n" + "x" * 300 + ",2\n",
    ),
    table("a header without rows", ("all.csv", "no rows", "check the file"), "user,item\n"),
    table(
        "a table of one column", ("u.data, line 1", "1 column(s)", "user, item"), "1\n2\n", "u.data"
    ),
    Bad(
        "a rating that is no number",
        "leaderboard -d data --dry-run",
        ("data/a.csv, line 2", "'good' is not a number", "correct it"),
        {
            "data/a.csv": "user,item,rating\n1,2,good\n",
            "data/dataset.toml": CARD + "min_rating = 4\n",
        },
    ),
    own(
        "rows `user item rating` in a file of lists",
        ("data/train.txt, line 1", "every line has 3 numbers", "name the columns"),
        train__txt="0 0 1\n0 2 1\n1 0 1\n1 3 1\n",
    ),
    own(
        "a validation part of another kind",
        ("data/val.csv", "not called valid.txt", "move it out"),
        val__csv="user,item\n0,1\n",
    ),
    own(
        "two validation parts",
        ("two files for valid (val.txt, valid.txt)", "leave one"),
        val__txt="0 1\n",
        valid__txt="0 1\n",
    ),
    own(
        "a test part of other data",
        ("data/test.txt, line 1: item '4'", "3 of 3 items", "the same ids in both"),
        test__txt="0 4 5\n1 6\n",
    ),
    Bad(
        "items spelled in two ways",
        "leaderboard -d data --dry-run",
        ("data/test.csv, line 2", "item '10.0'", "which has '10'", "the same way"),
        {
            "data/train.csv": "user,item\n0,10\n0,11\n1,12\n",
            "data/test.csv": "user,item\n0,10.0\n1,11.0\n",
        },
    ),
    Bad(
        "users spelled in two ways",
        "leaderboard -d data --dry-run",
        ("data/test.csv, line 2", "user '12'", "which has '0012'", "the same way"),
        {
            "data/train.csv": "user,item\n0012,a\n0012,b\n0013,c\n",
            "data/test.csv": "user,item\n12,c\n",
        },
    ),
    table(
        "a quotation mark that is not closed",
        ("all.csv, line 3", "'\"Heat' is not closed", "double it"),
        'user,item,title\n0,1,Up\n0,2,"Heat\n0,3,Big\n1,1,Up\n1,3,Big\n',
    ),
    table(
        "quotation marks that swallow rows",
        ("all.csv, line 3", "a field of 2 lines", "swallow rows", "double it"),
        'user;item;title\n0;1;Up\n0;2;"Heat\n0;3;Big"\n1;1;Up\n1;3;Big\n',
    ),
    table(
        "a quotation mark in an id",
        ("all.csv, line 3", "in the item id '2\"'", "double it"),
        'user,item,title\n0,1,Up\n0,2",Heat\n0,3,Big\n',
    ),
    table(
        "a header that is not understood",
        ("all.csv, line 1", "'Kunde;Artikel;Menge' is no header", "separated by ';'", "[columns]"),
        "Kunde;Artikel;Menge\n1;2;3\n",
    ),
    table(
        "two columns for the item",
        ("all.csv, line 1", "'asin' or 'parent_asin'?", "State it in dataset.toml"),
        "user_id,asin,parent_asin\n1,2,3\n",
    ),
    table(
        "a spreadsheet for a table",
        ("all.csv", "old Excel workbook", "save the sheet as CSV"),
        b"\xd0\xcf\x11\xe0",
    ),
    table(
        "a hidden file for a table",
        ("._all.csv", "a hidden file", "give the file that belongs to it"),
        b"\x00\x05\x16\x07",
        "._all.csv",
    ),
    table(
        "JSON that is no table",
        ("all.json, line 1", "is not a JSON object", "one object a line"),
        "[1, 2]\n",
        "all.json",
    ),
    table(
        "a label that is missing",
        ("all.jsonl, line 2", "'item' is 'null'", "correct or drop"),
        '{"user": 1, "item": 2}\n{"user": 1}\n',
        "all.jsonl",
    ),
    table(
        "a Parquet file that is none",
        ("all.parquet", "cannot be read as Parquet", "export it again"),
        "PAR1",
        "all.parquet",
    ),
    card("a card that is not TOML", ("line 1", "correct the card"), "name = \n"),
    card(
        "a card with an unknown key",
        ("line 2", "'colour'", "remove or correct"),
        CARD + "colour = 4\n",
    ),
    own(
        "a card with counts that differ",
        ("data: 3 users", "card mine has 9", "fetch the files again"),
        dataset__toml=CARD + "[counts]\nusers = 9\n",
    ),
)
