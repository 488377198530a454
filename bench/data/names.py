"""What the name of a file says: which kind of file it is, which part of a data set, or no data."""

from __future__ import annotations

import re
from pathlib import PurePath

TABLES = (".inter", ".csv", ".tsv", ".tab", ".psv", ".data", ".dat")
RECORDS = (".parquet", ".jsonl", ".ndjson", ".json")
_COMPRESSED = (".gz", ".bz2", ".xz")
_PART_WORDS = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "valid": "valid",
    "val": "valid",
    "vali": "valid",
    "validation": "valid",
    "validate": "valid",
    "dev": "valid",
    "devel": "valid",
    "development": "valid",
}
# Words for a part that people use for validation and for test alike.
_UNCLEAR = ("eval", "evaluation", "holdout", "heldout", "tune", "tuning", "probe", "cv")


def kind_of(path: PurePath) -> str | None:
    """Suffix that says how a file is to be read (`.csv` for `x.CSV.gz`); None for no data.

    `.zip` stands for an archive, whose table says more.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in _COMPRESSED:
        suffixes.pop()
    last = suffixes[-1] if suffixes else ""
    return last if last in (*TABLES, *RECORDS, ".txt", ".zip") else None


def stem_of(path: PurePath) -> str:
    """Name of a file without the suffixes that `kind_of` understands."""
    name = path.name
    if name.lower().endswith(_COMPRESSED):
        name = name.rsplit(".", 1)[0]
    return name.rsplit(".", 1)[0]


def is_hidden(name: str) -> bool:
    """Whether systems and office programs make such files: `._x.csv`, `~$x.csv`, `.~lock.x`."""
    return name.startswith((".", "~$")) or name in ("__MACOSX", "Thumbs.db", "desktop.ini")


def part_of(path: PurePath) -> str | None:
    """`train`, `valid` or `test` for `val.txt`, `X.train.inter`, `X_test.csv.gz`; else None."""
    return _PART_WORDS.get(re.split(r"[._\- ]", stem_of(path).lower())[-1])


def hints_at_a_part(path: PurePath) -> bool:
    """Whether a name that `part_of` does not understand may well be meant for a validation part."""
    words = re.split(r"[._\- ]|(?<=[a-z])(?=[A-Z0-9])", stem_of(path))
    return any(_PART_WORDS.get(w.lower()) == "valid" or w.lower() in _UNCLEAR for w in words)
