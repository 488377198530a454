"""Reading a table row by row: for quotes and empty lines, and to find the line of an error."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from bench.data.blocks import Block, lines_of
from bench.data.dialect import Layout, number_in
from bench.data.raw import shown
from bench.data.table import REPEATED, Table
from bench.errors import DataError

_BATCH = 200_000
_QUOTE_REMEDY = (
    "close it, double it if it is part of the text, or save the table as .inter, where it is a"
    " character"
)


def read_rows(table: Table, layout: Layout, blocks: Iterator[Block]) -> None:
    """Add the rows of some blocks to a table.

    Raises:
        DataError: a quote that is not closed, a row with too few or too many fields, an empty id,
            or a rating that is no number; with file, line and value.
    """
    _Reader(table, layout).read(blocks)


class _Lines:
    """Lines of blocks as text; remembers those of the row that is being read."""

    def __init__(self, blocks: Iterator[Block]) -> None:
        self._lines = lines_of(blocks)
        self.taken: list[str] = []
        self.first = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        number, line = next(self._lines)
        if not self.taken:
            self.first = number
        text = line.decode("utf-8")
        self.taken.append(text)
        return text + "\n"


class _Reader:
    def __init__(self, table: Table, layout: Layout) -> None:
        self.table, self.layout = table, layout
        self.users: list[str] = []
        self.items: list[str] = []
        self.ratings: list[str] = []

    def read(self, blocks: Iterator[Block]) -> None:
        lines = _Lines(blocks)
        for row in self._rows(lines):
            self._add(lines, row)
            lines.taken.clear()
            if len(self.users) >= _BATCH:
                self._flush()
        self._flush()

    def _rows(self, lines: _Lines) -> Iterator[list[str]]:
        separator = self.layout.separator
        if not self.layout.quotes:
            for line in lines:
                text = line[:-1]
                yield text.split() if separator == " " else text.split(separator)
            return
        reader = csv.reader(lines, delimiter=separator, strict=True, skipinitialspace=True)
        while True:
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise self._misquoted(lines, str(error)) from None
            if separator == " " and row and not row[-1]:
                row.pop()
            yield row

    def _misquoted(self, lines: _Lines, reason: str) -> DataError:
        where = f"{self.table.path}, line {lines.first}"
        opened = lines.taken[0][lines.taken[0].find('"') :] if lines.taken else ""
        if reason.startswith("field larger"):
            return DataError(
                f"{where}: {reason} characters, as if the quotation mark at {shown(opened)} were"
                f" not closed; {_QUOTE_REMEDY}"
            )
        if "expected after" in reason and len(lines.taken) == 1:
            return DataError(
                f"{where}: the quotation mark at {shown(opened)} is closed within its field;"
                f" {_QUOTE_REMEDY}"
            )
        return DataError(
            f"{where}: the quotation mark at {shown(opened)} is not closed on its line;"
            f" {_QUOTE_REMEDY}"
        )

    def _add(self, lines: _Lines, row: list[str]) -> None:
        layout, table = self.layout, self.table
        if not any(field.strip(" ") for field in row):
            table.repairs["empty lines skipped"] += 1
            return
        where = f"{table.path}, line {lines.first}"
        if len(lines.taken) > 1:
            self._check_several_lines(lines, row, where)
        if len(row) != layout.width:
            counted = f"{len(row)} field" + ("s" if len(row) != 1 else "")
            raise DataError(
                f"{where}: {counted}, expected {layout.width} (separated by"
                f" {layout.words}); complete the line or fetch the file again"
            )
        labels = [row[at].strip(" ") for at in (layout.found.user, layout.found.item)]
        if table.is_header(*labels):
            table.repairs[REPEATED] += 1
            return
        rating = row[layout.found.rating].strip(" ") if layout.found.rating is not None else ""
        if table.min_rating is not None:
            number = number_in(rating, layout.separator)
            if number is None:
                raise DataError(f"{where}: rating {shown(rating)} is not a number; correct it")
            rating = repr(number)
            if number < table.min_rating:
                table.rows += 1
                return
        for label, what in zip(labels, ("user", "item"), strict=True):
            table.refuse_label(where, label, what)
            if '"' in label and layout.quotes:
                self._check_quote(lines, label, what, where)
        self.users.append(labels[0])
        self.items.append(labels[1])
        extra = table.also(layout.found)
        self.ratings.append(rating or (row[extra[0]] if extra else ""))

    def _check_quote(self, lines: _Lines, label: str, what: str, where: str) -> None:
        """A quotation mark in an id must have been written as two, within quotes."""
        if label.replace('"', '""') not in "\n".join(lines.taken):
            raise DataError(
                f"{where}: a quotation mark in the {what} id {shown(label)}, which is not in"
                f" quotes; {_QUOTE_REMEDY}"
            )

    def _check_several_lines(self, lines: _Lines, row: list[str], where: str) -> None:
        """A field over several lines is a text with line breaks, or has swallowed rows."""
        layout = self.layout
        ids = [row[at] for at in (layout.found.user, layout.found.item) if at < len(row)]
        swallowed = any("\n" in label for label in ids)
        for line in lines.taken[1:]:
            fields = [field.strip(' "') for field in line.split(layout.separator)]
            if len(fields) == layout.width:
                theirs = [fields[at] for at in (layout.found.user, layout.found.item)]
                swallowed = swallowed or all(map(_same_shape, theirs, ids))
        if swallowed:
            opened = lines.taken[0][lines.taken[0].find('"') :]
            raise DataError(
                f"{where}: the quotation mark at {shown(opened)} opens a field of"
                f" {len(lines.taken)} lines, which would swallow rows; {_QUOTE_REMEDY}"
            )
        self.table.repairs["rows over several lines, with a line break in quotes, read as one"] += 1

    def _flush(self) -> None:
        import polars as pl

        if not self.users:
            return
        ratings = pl.Series(self.ratings, dtype=pl.String)
        users, items = (pl.Series(x, dtype=pl.String) for x in (self.users, self.items))
        # Ratings are plain numbers by now, with a point.
        if not self.table.add(users, items, ratings):
            raise AssertionError("rows that were found good are refused")
        self.users, self.items, self.ratings = [], [], []


def _same_shape(label: str, other: str) -> bool:
    """Whether two labels could be of the same column: both numbers, or both without a blank."""
    if not label or " " in label:
        return False
    return label.isdigit() == other.isdigit()
