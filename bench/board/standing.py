"""Which rows may be ranked, and may decide on others: their code can be found and is current."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from bench.board.model import Row
from bench.records.protocol import untraced
from bench.records.schema import digest


def untraceable(row: Row) -> str:
    """Return why the code of one of the row's runs cannot be found; empty if it can."""
    return next((why for record in row.records if (why := untraced(record))), "")


def superseded(rows: Sequence[Row]) -> dict[str, str]:
    """Return why rows are not current, by key; rows that are current are left out.

    A newer revision of a method replaces all earlier rows of the same budget. Another version of a
    plugin's file replaces the rows of the same settings: files have no order but that of their
    runs, and an edit need not change what a method does.

    Args:
        rows: rows of one protocol whose code can be found.
    """
    revisions: dict[tuple[object, str], int] = defaultdict(int)
    latest: dict[str, Row] = {}
    for row in rows:
        place = row.first.spec.budget, row.method
        revisions[place] = max(revisions[place], row.first.spec.method.revision)
        settings = _settings(row)
        if settings not in latest or _age(row) > _age(latest[settings]):
            latest[settings] = row
    found = {}
    for row in rows:
        revision = row.first.spec.method.revision
        newest = revisions[row.first.spec.budget, row.method]
        if revision < newest:
            found[row.key] = f"revision {revision} of the method, superseded by {newest}"
        elif latest[_settings(row)] is not row:
            found[row.key] = "superseded by a later version of its file"
    return found


def whole(ceilings: Sequence[Row]) -> list[Row]:
    """Return the full tables in float32, all where there are none: fewer bits compress a table."""
    return [r for r in ceilings if "bits" not in r.first.spec.method.config] or list(ceilings)


def _settings(row: Row) -> str:
    """Return the hash of all that the row's runs share but the file of the method."""
    spec = row.first.spec
    return digest(
        spec.model_dump(mode="json", by_alias=True, exclude={"seed": True, "method": {"source"}})
    )


def _age(row: Row) -> tuple[str, str]:
    """Return when the newest run of a row ended, and the key for runs of the same second."""
    return max(record.finished or "" for record in row.records), row.key
