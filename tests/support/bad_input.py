"""Kinds of bad input, and what the command says; `bad_input.py > docs/bad-input.md` lists them."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from support.bad_data import DATA, Bad, option

METHOD = """
from bench.method import Method, Rows

class Mine(Method):
    name = title = "mine"
    def build(self): self.stored = Rows(self.table.ids, self.table.dim)
    def reset(self, generator): self.stored.normal(0.1, generator)
    def forward(self, ids): return self.stored(ids)
"""


def suite(kind: str, says: tuple[str, ...], content: str) -> Bad:
    """A suite file with something wrong."""
    return Bad(kind, "leaderboard --suite s.toml --dry-run", ("s.toml", *says), {"s.toml": content})


def plugin(kind: str, says: tuple[str, ...], content: str | None) -> Bad:
    """A plugin file with something wrong."""
    files = {"mine.py": content} if content is not None else {}
    return Bad(kind, "leaderboard -m mine --plugin mine.py --dry-run", ("mine.py", *says), files)


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
    option("a budget without a unit", "leaderboard -b 7040 --dry-run", "'7040'", "write 7040B"),
    option("a budget that no size fits", "run -m qr -b 0.01%", "qr under 0.01%", "needs at least"),
    option(
        "an accounting that does not exist",
        "leaderboard --accounting bits --dry-run",
        "accounting",
        "'bytes' or 'values'",
    ),
    option("a share that is written as a number", "run -m cerp -b 0.1", "'0.1'", "write 10%"),
    option("a size in values where bytes are meant", "choose --max-bytes 256k", "write 256KB"),
    option(
        "a learning rate that is not finite",
        "leaderboard --set training.lr=inf --dry-run",
        "training.lr",
        "finite",
    ),
    option("a device by another name", "leaderboard --device gpu --dry-run", "write cuda"),
    option("a device that is not supported", "run -m cerp --device mps", "write cpu, cuda or"),
    option("a device without a number", "speed --device cuda:x", "cuda:x", "cuda:NUMBER"),
    option("a precision that does not exist", "leaderboard --bits 5 --dry-run", "--bits 5", "6, 4"),
    option("several runs where one is meant", "run -m cerp", "name one --budget"),
    option(
        "two methods where one is meant",
        "run -m cerp -m qr",
        "cerp, qr",
        "`bench leaderboard` takes",
    ),
    option("a share where a size is meant", "choose --max-bytes 5%", "5%", "give an amount"),
    option(
        "a results folder that does not exist", "report --results no", "no", "bench leaderboard"
    ),
    option(
        "a results folder that cannot be",
        "leaderboard --suite smoke --results /proc/no",
        "/proc/no",
        "name another folder",
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


@cache
def told(kind: str) -> tuple[object, str]:
    """Exit status and standard error for a kind, run once and in a folder of its own."""
    (bad,) = (bad for bad in CASES if bad.kind == kind)
    with tempfile.TemporaryDirectory() as folder:
        status, message = said(bad, Path(folder))
    return status, message.replace(folder + "/", "")


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
            message = told(bad.kind)[1].strip().removeprefix("error: ").replace("|", "\\|")
            # Lists grow with each method and suite; the page shows how they begin.
            message = re.sub(r"there are (\S+, \S+), [\w, -]+", r"there are \1, …", message)
            shown = message if len(message) < 400 else message[:300] + " …"
            lines.append(f"| {bad.kind} | {shown} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())
