"""Reading interactions from Parquet and from JSON lines."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.data.blocks import Block, content_kind, lines_of, read_blocks
from bench.data.headers import Columns, Found, find_columns
from bench.data.raw import shown
from bench.data.table import Table
from bench.errors import DataError

if TYPE_CHECKING:
    import polars as pl


def read_records(path: Path, columns: Columns, min_rating: float | None) -> Table:
    """Read a Parquet file, or JSON with an object for each line.

    Raises:
        DataError: the file is damaged; a column is missing; an id is missing or no text or whole
            number; a rating is no number.
    """
    if content_kind(path) == ".parquet":
        return _read_parquet(path, columns, min_rating)
    return _read_json(path, columns, min_rating)


def _read_parquet(path: Path, columns: Columns, min_rating: float | None) -> Table:
    import polars as pl

    try:
        kinds = pl.read_parquet_schema(path)
        names = list(kinds)
        found = find_columns(str(path), names, columns, min_rating is not None)
        table = _table(path, names, found, min_rating)
        wanted = [found.user, found.item, *table.also(found)]
        for at in wanted[:2]:
            if not (kinds[names[at]] == pl.String or kinds[names[at]].is_integer()):
                _refuse_kind(path, names[at], kinds[names[at]])
        frame = pl.read_parquet(path, columns=[names[at] for at in wanted])
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).split("\n")[0][:100]
        raise DataError(
            f"{path}: cannot be read as Parquet ({reason}); fetch or export it again"
        ) from None
    texts = [frame[names[at]].cast(pl.String) for at in wanted]
    for series, what in zip(texts, ("user", "item", "rating"), strict=False):
        if series.null_count() and (what != "rating" or min_rating is not None):
            row = (series.is_null().arg_true())[0] + 1
            raise DataError(f"{path}, row {row}: the {what} is missing; complete or drop the row")
    if not table.add(texts[0], texts[1], texts[2] if len(texts) > 2 else None):
        _refuse_row(table, texts)
    return table.finished()


def _refuse_kind(path: Path, name: str, kind: Any) -> None:
    why = ", so that 12 may be 12.0 and large ids are rounded" if kind.is_float() else ""
    raise DataError(
        f"{path}: the ids in column {shown(name)} are of type {kind}{why}; write them as whole"
        " numbers or as text"
    )


def _refuse_row(table: Table, texts: list[pl.Series]) -> None:
    """Raise for the first row of a Parquet file that cannot be used."""
    for row, values in enumerate(zip(*texts, strict=True), start=1):
        where = f"{table.path}, row {row}"
        _check_row(table, where, list(values))


def _check_row(table: Table, where: str, values: list[str]) -> None:
    if table.min_rating is not None and not _is_finite(values[2]):
        raise DataError(f"{where}: rating {shown(values[2])} is not a number; correct it")
    for label, what in zip(values, ("user", "item"), strict=False):
        table.refuse_label(where, label.strip(" "), what)


def _is_finite(text: str) -> bool:
    try:
        return abs(float(text)) < float("inf")
    except ValueError:
        return False


def _table(path: Path, names: list[str], found: Found, min_rating: float | None) -> Table:
    return Table(path, min_rating, names[found.mark] if found.mark is not None else "")


def _read_json(path: Path, columns: Columns, min_rating: float | None) -> Table:
    blocks = read_blocks(path)
    first = next(blocks)
    number, line = next((n, text) for n, text in lines_of(iter([first])) if text.strip())
    names = list(_parsed(path, number, line))
    where = f"{path}, line {number}"
    found = find_columns(where, names, columns, min_rating is not None)
    table = _table(path, names, found, min_rating)
    for block in chain([first], blocks):
        keys = [names[at] for at in (found.user, found.item, *table.also(found))]
        if not _read_json_block(table, keys, block):
            _read_json_lines(table, keys, block)
    return table.finished()


def _read_json_block(table: Table, keys: list[str], block: Block) -> bool:
    """Read a block with the table library; False if something needs a look at each line."""
    import polars as pl

    try:
        frame = pl.read_ndjson(block.data, schema=dict.fromkeys(keys, pl.String))
    except pl.exceptions.PolarsError:
        return False
    if frame.height != block.lines:
        return False
    users, items = frame[keys[0]], frame[keys[1]]
    for labels in (users, items):
        if labels.null_count() or labels.str.contains(r"^[\[{]|^(true|false)$").any():
            # A list or a truth value, or a text that looks like one.
            return False
    return table.add(users, items, frame[keys[2]] if len(keys) > 2 else None)


def _read_json_lines(table: Table, keys: list[str], block: Block) -> None:
    import polars as pl

    rows: list[list[str]] = []
    for number, line in lines_of(iter([block])):
        if not line.strip():
            table.repairs["empty lines skipped"] += 1
            continue
        where = f"{table.path}, line {number}"
        record = _parsed(table.path, number, line)
        values = [_label(where, record, key) for key in keys[:2]]
        values += ["" if record.get(key) is None else str(record[key]) for key in keys[2:]]
        _check_row(table, where, values)
        rows.append(values)
    if rows:
        series = [pl.Series(column, dtype=pl.String) for column in zip(*rows, strict=True)]
        if not table.add(series[0], series[1], series[2] if len(series) > 2 else None):
            raise AssertionError("rows that were found good are refused")


def _label(where: str, record: dict[str, Any], key: str) -> str:
    value = record.get(key)
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else str(value)
    raise DataError(
        f"{where}: {shown(key)} is {shown(json.dumps(value))}, but an id is a text or a whole"
        " number; correct or drop the line"
    )


def _parsed(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise DataError(
            f"{path}, line {number}: {shown(line)} is not JSON ({error}); each line holds one JSON"
            " object: export the table again as JSON lines, CSV or Parquet"
        ) from None
    if not isinstance(record, dict):
        raise DataError(
            f"{path}, line {number}: {shown(line)} is not a JSON object; write one object a line,"
            " or export the table as CSV or Parquet"
        )
    return record
