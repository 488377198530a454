"""Which files in a folder are the parts of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.data.names import (
    RECORDS,
    TABLES,
    hints_at_a_part,
    is_hidden,
    kind_of,
    part_of,
    stem_of,
)
from bench.errors import DataError

_PARTS = ("train", "valid", "test")
# Of files that may be one table each, in the order in which they are looked for. Folders of
# MovieLens have other `.dat` and `.data` files beside the ratings.
_SINGLE = (
    (".inter",),
    (".csv", ".tsv", ".tab", ".psv"),
    (".parquet", ".jsonl", ".ndjson"),
    (".data",),
    (".dat",),
    (".json",),
    (".zip",),
)
_ONLY = {".data": "u.data", ".dat": "ratings.dat"}
KNOWN = (
    "train.txt and test.txt (LightGCN), a .inter file or X.train.inter and X.test.inter (RecBole),"
    " or a table (.csv, .tsv, .parquet, .jsonl, perhaps with .gz)"
)
_NOT_READ = {
    ".xlsx": "an Excel workbook; save the sheet as CSV",
    ".xls": "an Excel workbook; save the sheet as CSV",
    ".ods": "a spreadsheet; save the sheet as CSV",
    ".7z": "a 7z archive; unpack it and give the path of its table",
    ".rar": "a RAR archive; unpack it and give the path of its table",
    ".tar": "a tar archive; unpack it and give the path of its table",
    ".tgz": "a tar archive; unpack it and give the path of its table",
    ".zst": "compressed with zstd; unpack it, or compress it with gzip",
}


@dataclass(frozen=True)
class Source:
    """The files of a data set.

    Attributes:
        parts: path of each part: `train`, `test` and perhaps `valid`; or `all` for one file that
            the parts are still to be drawn from.
        lightgcn: whether they are LightGCN text; else they are tables.
    """

    parts: dict[str, Path]
    lightgcn: bool


def from_folder(folder: Path) -> Source:
    """Find the files of a data set in a folder.

    Raises:
        DataError: there are none, a part is missing, or it is unclear which are meant.
    """
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror or error})") from None
    files = [path for path in files if not is_hidden(path.name) and kind_of(path)]
    for kind in (".txt", *TABLES, *RECORDS):
        parts = _parts(folder, [path for path in files if kind_of(path) == kind], kind)
        if parts:
            _refuse_overlooked(files, parts, kind)
            return Source(parts, lightgcn=kind == ".txt")
    for kinds in _SINGLE:
        tables = [path for path in files if kind_of(path) in kinds]
        only = _ONLY.get(kinds[0])
        if only:
            tables = [p for p in tables if f"{stem_of(p)}{kinds[0]}".lower() == only]
        if len(tables) == 1:
            return Source({"all": tables[0]}, lightgcn=False)
        if tables:
            names = ", ".join(path.name for path in tables)
            raise DataError(f"{folder}: several tables ({names}); give the path of one of them")
    raise DataError(f"{folder}: no data set here; a folder needs {KNOWN}")


def from_file(path: Path) -> Source:
    """Take one file as a data set whose parts are still to be drawn.

    Raises:
        DataError: the name does not say what it is, or it is one part of several.
    """
    if is_hidden(path.name):
        raise DataError(
            f"{path}: a hidden file that a system or an office program made, not data; give the"
            " file that belongs to it"
        )
    kind = kind_of(path)
    if kind is None:
        what = next((w for s, w in _NOT_READ.items() if path.suffix.lower() == s), "")
        raise DataError(
            f"{path}: {what or 'unknown kind of file'}"
            + (
                ""
                if what
                else "; export the interactions as a table (.csv, .tsv, .parquet, .jsonl)"
                " or as LightGCN text (.txt)"
            )
        )
    part = part_of(path)
    if part is not None:
        start = stem_of(path)[: -len(stem_of(path).split(".")[-1])]
        beside = [
            other
            for other in sorted(path.parent.iterdir())
            if other != path
            and kind_of(other) == kind
            and not is_hidden(other.name)
            and part_of(other) not in (None, part)
            and stem_of(other).startswith(start)
        ]
        if beside:
            raise DataError(
                f"{path}: this is one part of a split ({beside[0].name} stands beside it); give the"
                f" folder {path.parent}"
            )
    return Source({"all": path}, lightgcn=kind == ".txt")


def _parts(folder: Path, files: Sequence[Path], suffix: str) -> dict[str, Path]:
    """Files called `train`, `valid` and `test`, or `X.train`, ... as RecBole names them."""
    found: dict[str, Path] = {}
    for path in files:
        part = part_of(path)
        if part is None:
            continue
        if part in found:
            raise DataError(
                f"{folder}: two files for {part} ({found[part].name}, {path.name}); leave one"
            )
        found[part] = path
    if "train" in found and "test" not in found:
        raise DataError(
            f"{folder}: {found['train'].name} is here, but no test{suffix}; fetch it too, or give"
            f" the file as {folder / ('all' + suffix)} to have a test part drawn from it"
        )
    if "test" in found and "train" not in found:
        raise DataError(
            f"{folder}: {found['test'].name} is here, but no train{suffix}; fetch it too"
        )
    return {part: found[part] for part in _PARTS if part in found} if "train" in found else {}


def _refuse_overlooked(files: Sequence[Path], parts: dict[str, Path], kind: str) -> None:
    """Refuse a folder with a validation part of another kind or name than the other parts'."""
    for path in files:
        if path in parts.values() or not hints_at_a_part(path):
            continue
        wanted = "valid".join(_around_part(parts["train"].name))
        raise DataError(
            f"{path}: this looks like a validation part, but it is not called {wanted}; call it so"
            f" (as a {kind} file like {parts['train'].name}), or move it out of the folder"
        )


def _around_part(name: str) -> tuple[str, str]:
    """What stands before and after `train` in the name of a training file."""
    low = name.lower()
    word = "training" if "training" in low else "train"
    at = low.rindex(word)
    return name[:at], name[at + len(word) :]
