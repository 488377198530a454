"""Reading tables with a row for each interaction: CSV and its like, Parquet, JSON lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from bench.data.blocks import Block, content_kind, read_blocks
from bench.data.careful import read_rows
from bench.data.dialect import Layout, detect
from bench.data.frames import read_records
from bench.data.headers import Columns
from bench.data.labels import Labels, number_labels
from bench.data.names import RECORDS
from bench.data.raw import RawPart
from bench.data.table import Table
from bench.errors import DataError

# Enough for the header, and for some rows to tell the separator by.
_START = 1 << 16
# Stands for `::` while a block is read: no text has it.
_STAND_IN = b"\x1f"


def read_tables(
    paths: Sequence[Path], columns: Columns | None = None, min_rating: float | None = None
) -> tuple[list[RawPart], Labels, Labels]:
    """Read tables that share their users and items, and number both from 0.

    Labels may be anything. They are numbered in rising order: by value where every label of the
    column is a plain whole number (`7`, not `07`), else by their UTF-8 bytes. Only labels of rows
    that are kept get a number. The order of the rows does not matter.

    Args:
        paths: the files, one for each part.
        columns: names of the columns, where they are not the usual ones.
        min_rating: keep rows with at least this rating; all rows if absent.

    Returns:
        One part for each path; the labels of the users and of the items.

    Raises:
        DataError: a file is missing, empty or not text; a column is missing; a row has too few or
            too many fields, an empty id, or no number for a rating; with file, line and value.
    """
    stated = columns or Columns()
    layouts = _layouts(paths, stated, min_rating is not None)
    tables = [
        _read_text(path, layout, min_rating) if layout else read_records(path, stated, min_rating)
        for path, layout in zip(paths, layouts, strict=True)
    ]
    users, user_labels = number_labels([table.users for table in tables])
    items, item_labels = number_labels([table.items for table in tables])
    parts = []
    for table, user, item in zip(tables, users, items, strict=True):
        listed = np.flatnonzero(np.bincount(user, minlength=len(user_labels)))
        parts.append(RawPart(table.path, user, item, listed, table.repairs))
    return parts, user_labels, item_labels


def _layouts(paths: Sequence[Path], columns: Columns, rated: bool) -> list[Layout | None]:
    """How each file is written; None for one that is no text table."""
    found = [
        None
        if content_kind(path) in RECORDS
        else detect(path, next(read_blocks(path, size=_START)).data, columns, rated)
        for path in paths
    ]
    for path, layout in zip(paths, found, strict=True):
        if layout is None or layout.headed:
            continue
        for other, theirs in zip(paths, found, strict=True):
            if theirs is None or theirs.headed:
                raise DataError(
                    f"{path}, line 1: no header, but {other.name} names its columns; give both"
                    " files the same header, so that it is known which column is which"
                )
            if (theirs.separator, theirs.width) != (layout.separator, layout.width):
                raise DataError(
                    f"{path}, line 1: {layout.width} columns without a header, separated by"
                    f" {layout.words}, but {other.name} has {theirs.width}, separated by"
                    f" {theirs.words}; write both files the same way"
                )
    return found


def _read_text(path: Path, layout: Layout, min_rating: float | None) -> Table:
    blocks = read_blocks(path)
    first = next(blocks)
    table = Table(path, min_rating, layout.mark_name, layout.names)
    table.repairs.update(layout.repairs)
    for block in chain([_below(first, layout.first)], blocks):
        quoted = layout.quotes and b'"' in block.data
        data = _unquoted(block.data, layout.separator) if quoted else block.data
        if data is None:
            # A quoted field may go on in the next block, so the rest is read row by row.
            read_rows(table, layout, chain([block], blocks))
            break
        if not _read_block(table, layout, block, data):
            read_rows(table, layout, iter([block]))
    return table.finished()


def _below(block: Block, lines: int) -> Block:
    """A block without its first lines."""
    at = 0
    for _ in range(lines):
        at = block.data.index(b"\n", at) + 1
    return Block(block.line + lines, block.data[at:], block.lines - lines)


def _unquoted(data: bytes, separator: str) -> bytes | None:
    """A block without its quotation marks; None if they are anything but plain pairs.

    Plain pairs stand around a whole field, within one line, and no separator or mark is between
    them. So the fields are the same without them.
    """
    buffer = np.frombuffer(data, dtype=np.uint8)
    marks = np.flatnonzero(buffer == ord('"'))
    if marks.size % 2:
        return None
    opening, closing = marks[0::2], marks[1::2]
    ends = (buffer == ord(separator)) | (buffer == ord("\n"))
    # A line feed ends the block, so that something stands behind each mark.
    if not (ends[closing + 1].all() and ends[opening[opening > 0] - 1].all()):
        return None
    # Neither a line feed nor a separator between the marks of a pair.
    places = np.flatnonzero(ends)
    if not np.array_equal(np.searchsorted(places, opening), np.searchsorted(places, closing)):
        return None
    return data.replace(b'"', b"")


def _read_block(table: Table, layout: Layout, block: Block, data: bytes) -> bool:
    """Read a block with the table library; False if something in it needs a look at each row.

    Args:
        table: takes the rows.
        layout: how the table is written.
        block: gives the number of lines.
        data: its content, without quotation marks.
    """
    import polars as pl

    separator = layout.separator.encode()
    if not data:
        return True
    if separator == b"::":
        if _STAND_IN in data:
            return False
        data, separator = data.replace(b"::", _STAND_IN), _STAND_IN
    elif separator == b" " and (b"  " in data or b" \n" in data or data[:1] == b" "):
        data = re.sub(rb" *\n *", b"\n", re.sub(rb"  +", b" ", data)).lstrip(b" ")
    if b"\n\n" in data or data[:1] == b"\n":
        return False
    rows = block.lines
    if data.count(separator) != rows * (layout.width - 1):
        return False
    found = layout.found
    wanted = [found.user, found.item, *table.also(found)]
    header = separator.join(b"%d" % at for at in range(layout.width)) + b"\n"
    try:
        frame = pl.read_csv(
            header + data,
            separator=separator.decode(),
            quote_char=None,
            infer_schema=False,
        )
    except pl.exceptions.PolarsError:
        return False
    # The separators are as many as they must be, and the library refuses a row that is too long
    # (only if it reads all columns): so each row has as many fields as the header.
    if frame.height != rows or any(frame[str(at)].null_count() for at in wanted[:2]):
        return False
    marks = frame[str(wanted[2])] if len(wanted) > 2 else None
    return table.add(frame[str(found.user)], frame[str(found.item)], marks, layout.separator)
