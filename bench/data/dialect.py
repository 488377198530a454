"""How a table is written: what separates its columns, and whether it has a header."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.data.blocks import content_kind, read_blocks
from bench.data.headers import Columns, Found, by_place, find_columns, has_both, is_header
from bench.data.raw import shown
from bench.errors import DataError

# In this order: what a later one separates may hold an earlier one seldom, and the reverse often.
SEPARATORS = ("\t", "::", ";", "|", ",", " ")
_WORDS = {"\t": "tabs", " ": "blanks"}
_LOOKED_AT = 30


@dataclass(frozen=True)
class Layout:
    """Where the columns stand.

    Attributes:
        found: places of the columns.
        width: number of columns.
        separator: between two columns; a blank stands for any number of blanks.
        first: lines above the first row of data.
        quotes: whether a field may be quoted; if not, a quotation mark is a character.
        headed: whether a header names the columns.
        mark_name: name of the column `found.mark`, for messages.
        repairs: what was passed over above the data.
        names: of the columns of users and items, in the header; None without one.
    """

    found: Found
    width: int
    separator: str
    first: int
    quotes: bool
    headed: bool
    mark_name: str
    repairs: Counter[str]
    names: tuple[str, str] | None = None

    @property
    def words(self) -> str:
        """The separator as a message names it."""
        return in_words(self.separator)


def in_words(separator: str) -> str:
    """`tabs`, `blanks`, or the character itself in quotation marks."""
    return _WORDS.get(separator, repr(separator))


def number_in(field: str, separator: str) -> float | None:
    """A number as the table writes it, with a decimal comma where semicolons separate; or None."""
    try:
        value = float(field.replace(",", ".") if separator == ";" else field)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def split_line(line: str, separator: str, quotes: bool = True) -> list[str]:
    """Fields of one line, without the blanks around them."""
    if separator == " ":
        line = line.strip(" ")
    if quotes and '"' in line and len(separator) == 1:
        try:
            fields = next(csv.reader([line], delimiter=separator, skipinitialspace=True), [""])
        except csv.Error:
            fields = line.split(separator)
    else:
        fields = line.split() if separator == " " else line.split(separator)
    return [field.strip(" ") for field in fields]


def detect(path: Path, start: bytes, columns: Columns, rated: bool) -> Layout:
    """Find out how a table is written, from its first lines.

    Args:
        path: the file, for messages and for its suffix.
        start: the first lines, as `read_blocks` gives them.
        columns: what the card states.
        rated: whether a threshold needs the rating.

    Raises:
        DataError: the columns of user and item cannot be told.
    """
    lines = start.decode("utf-8").split("\n")[:-1]
    preamble = _Preamble(lines)
    if preamble.header is not None:
        above, line = preamble.header_at, preamble.header
    elif preamble.line:
        above, line = preamble.first, preamble.line
    else:
        raise DataError(f"{path}: no rows, so there are no interactions; check the file")
    where = f"{path}, line {above + 1}"
    # RecBole does not quote, and a label may hold a quotation mark.
    quotes = content_kind(path) != ".inter"
    separator = preamble.separator or _separator(
        where, line, lines[above + 1 : above + _LOOKED_AT], columns, quotes
    )
    below = lines[preamble.first if preamble.header is not None else above + 1 :][:1]
    if separator == " " and line[:1] == " " and any(row[:1] not in ("", " ") for row in below):
        raise DataError(
            f"{where}: the header begins with a blank, as if its first column had no name; export"
            " the table without row numbers, or with commas between the columns"
        )
    fields = split_line(line, separator, quotes)
    quotes = quotes and separator != "::"
    numeric = _numeric(fields, separator, columns)
    named = any(n and not n.isdigit() for n in (columns.user, columns.item, columns.rating))
    bare = preamble.header is None and not is_header(fields, columns) and not named
    if bare and (numeric or columns.counted):
        found = by_place(where, len(fields), columns, rated)
        name = "" if found.mark is None else f"column {found.mark + 1}"
        return Layout(found, len(fields), separator, above, quotes, False, name, preamble.repairs)
    if not named and not is_header(fields, columns) and not numeric:
        raise DataError(
            f"{where}: {shown(line, 120)} is no header that names a user and an item column"
            f" (separated by {in_words(separator)}); put one above it, such as"
            f" {_example(separator)}, or count the columns in dataset.toml under [columns], such"
            ' as user = "1", item = "2"'
        )
    found = find_columns(where, fields, columns, rated, in_words(separator))
    if columns.counted:
        # Counted columns hint at a table without a header, so say that a line was taken for one.
        preamble.repairs["header lines passed over"] += 1
    name = "" if found.mark is None else fields[found.mark].split(":")[0]
    first = preamble.first if preamble.header is not None else above + 1
    names = fields[found.user], fields[found.item]
    return Layout(found, len(fields), separator, first, quotes, True, name, preamble.repairs, names)


def is_table(path: Path) -> bool:
    """Whether a `.txt` file is a table rather than LightGCN text: by a header or a separator."""
    start = next(read_blocks(path, size=1 << 16)).data
    preamble = _Preamble(start.decode("utf-8", "replace").split("\n")[:-1])
    line = preamble.line
    if (
        preamble.header is not None
        or preamble.separator
        or any(mark in line for mark in ("::", "|", ";", ","))
    ):
        return True
    return any(is_header(split_line(line, mark), Columns()) for mark in SEPARATORS if mark in line)


def _example(separator: str) -> str:
    return shown(separator.join(("user_id", "item_id")))


class _Preamble:
    """What stands above the header: `sep=;`, comments, empty lines.

    Attributes:
        first: number of lines above the header or the first row.
        separator: what `sep=` says, or empty.
        line: the line below them, a header or a row.
        header: a header that is written as a comment, or None.
        header_at: its place.
        repairs: comments and empty lines passed over.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        self.first, self.separator, self.header_at = 0, "", 0
        self.header: str | None = None
        self.line = ""
        self.repairs: Counter[str] = Counter()
        for at, line in enumerate(lines):
            bare = line.strip()
            said = line.strip('"')
            if not bare:
                self.repairs["empty lines skipped"] += 1
            elif at == 0 and said[:4].lower() == "sep=" and said[4:] in (*SEPARATORS, "\\t"):
                self.separator = "\t" if said[4:] == "\\t" else said[4:]
            elif bare[0] in "#%":
                self._comment(at, bare.lstrip("#% "))
            else:
                self.first, self.line = at, line
                return
        self.first = len(lines)

    def _comment(self, at: int, text: str) -> None:
        for separator in SEPARATORS:
            if separator in text and has_both(split_line(text, separator)):
                self.header, self.header_at = text, at
                return
        self.repairs["comment lines above the table skipped"] += 1


def _numeric(fields: Sequence[str], separator: str, columns: Columns) -> bool:
    """Whether all fields are numbers, without a tab beside them, and no id has a decimal comma.

    Else something else may separate: commas in `0,;,0`, say.
    """
    if any(field != field.strip() or number_in(field, separator) is None for field in fields):
        return False
    ids = (columns.user, columns.item) if columns.counted else ("1", "2")
    return not any("," in field for place in ids for field in fields[int(place) - 1 : int(place)])


def _separator(where: str, line: str, below: Sequence[str], columns: Columns, quotes: bool) -> str:
    """What separates the columns, by the first line and by the lines below it."""
    there = [mark for mark in SEPARATORS if mark in line.strip(" ")]
    stated = {c.lower() for c in (columns.user, columns.item) if c and not c.isdigit()}
    for mark in there:
        fields = split_line(line, mark, quotes)
        names = {field.split(":")[0].lower() for field in fields}
        if len(fields) > 1 and (has_both(fields) or (stated and stated <= names)):
            return mark
    for mark in there:
        if _numeric(split_line(line, mark, quotes), mark, columns):
            return mark
    rows = [row for row in below if row.strip()]

    def steady(mark: str) -> bool:
        width = len(split_line(line, mark, quotes))
        return width > 1 and all(len(split_line(row, mark, quotes)) == width for row in rows)

    possible = [mark for mark in there if steady(mark)]
    if len(possible) > 1 and columns.counted:
        raise DataError(
            f"{where}: {shown(line, 120)} may be separated by"
            f" {' or '.join(map(in_words, possible))}; put a header above it, or a line such as"
            f" {shown('sep=' + possible[0])}"
        )
    return [*possible, *there, ","][0]
