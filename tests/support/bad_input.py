"""Kinds of bad input, and what the command says; `bad_input.py > docs/bad-input.md` lists them."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

TRAIN = "0 0 1 2\n1 1 3\n2 2 3\n"
TEST = "0 3\n1 0\n2 0\n"
CARD = 'name = "mine"\n'
METHOD = """
from bench.method import Method, Rows

class Mine(Method):
    name = title = "mine"
    def build(self): self.stored = Rows(self.table.ids, self.table.dim)
    def reset(self, generator): self.stored.normal(0.1, generator)
    def forward(self, ids): return self.stored(ids)
"""


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


def suite(kind: str, says: tuple[str, ...], content: str) -> Bad:
    """A suite file with something wrong."""
    return Bad(kind, "leaderboard --suite s.toml --dry-run", ("s.toml", *says), {"s.toml": content})


def option(kind: str, words: str, *says: str) -> Bad:
    """A command that cannot be meant."""
    return Bad(kind, words, says)


def plugin(kind: str, says: tuple[str, ...], content: str | None) -> Bad:
    """A plugin file with something wrong."""
    files = {"mine.py": content} if content is not None else {}
    return Bad(kind, "leaderboard -m mine --plugin mine.py --dry-run", ("mine.py", *says), files)


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
        "an archive that is not unpacked",
        ("data/train.txt", "compressed archive", "unpack"),
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
        ("data/train.txt", "no test interactions are left", "use a"),
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
        "leaderboard -d all.parquet --dry-run",
        ("all.parquet", "unknown kind of file", "name it .txt"),
        {"all.parquet": "PAR1"},
    ),
    option(
        "a data set that does not exist",
        "leaderboard -d gowala --dry-run",
        "gowala",
        "did you mean gowalla?",
    ),
    option(
        "a data folder that does not exist",
        "leaderboard -d gowalla --data-dir no --dry-run",
        "no: no such folder",
        "correct --data-dir",
    ),
    table(
        "a table without an item column",
        ("all.csv, line 1", "no column for the item", "name it"),
        "user,thing\n1,2\n",
    ),
    table(
        "a row with too few fields",
        ("all.csv, line 3", "1 fields, expected 2", "complete"),
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
SETTINGS = (
    suite("a suite that is not TOML", ("line 1",), "methods = \n"),
    suite("a suite with an unknown key", ("metods", "bench list"), 'metods = ["cerp"]\n'),
    suite("a suite with a wrong type", ("seeds", "'three'"), 'seeds = "three"\n'),
    suite("a learning rate of 0", ("training.lr", "greater than 0"), "[training]\nlr = 0\n"),
    option(
        "a suite that does not exist", "leaderboard --suite no --dry-run", "'no'", "name a TOML"
    ),
    option("a method that does not exist", "leaderboard -m cerb --dry-run", "'cerb'", "there are"),
    option(
        "a backbone that does not exist",
        "leaderboard --backbone mff --dry-run",
        "'mff'",
        "there are",
    ),
    option(
        "a setting without a value",
        "leaderboard --set training.lr --dry-run",
        "--set training.lr",
        "write KEY=VALUE",
    ),
    option(
        "a setting that nothing has",
        "leaderboard --set training.rate=1 --dry-run",
        "training.rate",
        "bench list",
    ),
    option(
        "a knob that the method lacks", "run -m cerp -b 5% --set cerp.gama=1", "gama", "bench list"
    ),
    option(
        "a value of the wrong kind",
        "leaderboard --set training.epochs=many --dry-run",
        "training.epochs",
        "'many'",
    ),
    option(
        "a setting inside a value",
        "leaderboard --set training.lr.x=1 --dry-run",
        "training.lr.x",
        "is a value, not a table",
    ),
    option(
        "a budget that is no amount",
        "leaderboard -b lots --dry-run",
        "'lots'",
        "write a share (5%), values (128k) or bytes (256KB)",
    ),
    option("a budget of nothing", "leaderboard -b 0% --dry-run", "'0%'", "ask for more"),
    option("a negative budget", "run -m cerp --budget=-5%", "'-5%'", "write a share"),
    option(
        "a budget in a unit that is none", "run -m cerp -b 5ki", "'5ki'", "write 5KiB for bytes"
    ),
    option("a budget that no size fits", "run -m qr -b 0.01%", "qr under 0.01%", "needs at least"),
    option(
        "an accounting that does not exist",
        "leaderboard --accounting bits --dry-run",
        "accounting",
        "'bytes' or 'values'",
    ),
    option("several runs where one is meant", "run -m cerp", "name one --budget"),
    option("a share where a size is meant", "choose --max-bytes 5%", "5%", "give an amount"),
    option(
        "a results folder that does not exist", "report --results no", "no", "bench leaderboard"
    ),
    option(
        "a results folder that cannot be",
        "leaderboard --suite smoke --results /proc/no",
        "/proc/no",
        "name another folder with --results",
    ),
    option("a list that does not exist", "list things", "'things'", "there are methods"),
    option("a method name that is no name", "new Bad-Name", "'Bad-Name'", "use small letters"),
    option("a method name that is taken", "new cerp", "'cerp'", "choose another name"),
    option(
        "a scheduler that is not there",
        "leaderboard --suite smoke --cluster tcp://127.0.0.1:1",
        "--cluster tcp://127.0.0.1:1",
        "dask scheduler",
    ),
)
PLUGINS = (
    plugin("a plugin that does not exist", ("no such plugin file",), None),
    plugin("a plugin that is not Python", ("SyntaxError",), "class Mine(:\n"),
    plugin(
        "a plugin that cannot be imported", ("ModuleNotFoundError", "nothere"), "import nothere\n"
    ),
    plugin(
        "a plugin without a method", ("no subclass of bench.method.Method", "add one"), "x = 1\n"
    ),
    plugin(
        "a plugin that takes a name in use",
        ("'cerp' is taken", "choose another"),
        METHOD.replace('"mine"', '"cerp"'),
    ),
    Bad(
        "a plugin that raises while it is planned",
        "leaderboard -m mine --plugin mine.py --dry-run",
        ("mine", "ValueError: no", "bench check"),
        {"mine.py": METHOD + "    @classmethod\n    def plan(cls, *_): raise ValueError('no')\n"},
    ),
)
CASES = DATA + SETTINGS + PLUGINS


@contextlib.contextmanager
def laid_out(bad: Bad, folder: Path) -> Iterator[list[str]]:
    """Writes the files and goes to the folder; gives the command's words."""
    for name, content in bad.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield ["bench", *bad.words.split()]
    finally:
        os.chdir(before)


def said(bad: Bad, folder: Path) -> tuple[object, str]:
    """Exit status and standard error of the command."""
    from bench.cli import console, main

    stream = io.StringIO()
    kept = sys.argv, console.err, console.out
    with laid_out(bad, folder) as words:
        sys.argv, console.err = words, console.Terminal(file=stream)
        console.out = console.Terminal(file=io.StringIO())
        try:
            main()
            return 0, stream.getvalue()
        except SystemExit as ended:
            return ended.code, stream.getvalue()
        finally:
            sys.argv, console.err, console.out = kept


def document() -> str:
    """The page of the documentation."""
    lines = [
        "# Bad input, and what is said",
        "",
        "Each mistake is one line on standard error, without a traceback, and exit status 2. This",
        "page is written by `PYTHONPATH=tests python -m support.bad_input`; a test keeps it true.",
    ]
    for title, cases in (
        ("Data", DATA),
        ("Suites, settings and options", SETTINGS),
        ("Plugins", PLUGINS),
    ):
        lines += ["", f"## {title}", "", "| what is wrong | what is said |", "| --- | --- |"]
        for bad in cases:
            with tempfile.TemporaryDirectory() as folder:
                message = said(bad, Path(folder))[1].strip().removeprefix("error: ")
            message = message.replace(folder + "/", "").replace("|", "\\|")
            shown = message if len(message) < 400 else message[:300] + " …"
            lines.append(f"| {bad.kind} | {shown} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())
