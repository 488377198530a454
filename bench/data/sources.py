"""Which files in a folder are the parts of a data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.errors import DataError

_TABLES = (".inter", ".csv", ".tsv", ".data")
_PARTS = ("train", "valid", "test")
KNOWN = (
    "train.txt and test.txt (LightGCN), a .inter file or X.train.inter and X.test.inter (RecBole),"
    " or a .csv or .tsv file"
)


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
    for suffix in (".txt", ".inter", ".csv", ".tsv"):
        parts = _parts(folder, [path for path in files if path.suffix == suffix], suffix)
        if parts:
            return Source(parts, lightgcn=suffix == ".txt")
    for suffixes in ((".inter",), (".csv", ".tsv"), (".data",)):
        # MovieLens' folder has other tables beside its ratings.
        tables = [path for path in files if path.suffix in suffixes]
        if suffixes == (".data",):
            tables = [path for path in tables if path.name == "u.data"]
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
    part = path.stem.rsplit(".", 1)[-1]
    twin = path.with_name(path.name[: -len(f"{part}{path.suffix}")] + "test" + path.suffix)
    if part == "train" and twin.is_file():
        raise DataError(
            f"{path}: this is one part of a split ({twin.name} stands beside it); give the folder"
            f" {path.parent}"
        )
    if path.suffix == ".txt":
        return Source({"all": path}, lightgcn=True)
    if path.suffix in _TABLES:
        return Source({"all": path}, lightgcn=False)
    raise DataError(f"{path}: unknown kind of file; name it .txt (LightGCN), .inter, .csv or .tsv")


def _parts(folder: Path, files: list[Path], suffix: str) -> dict[str, Path]:
    """Files called `train`, `valid` and `test`, or `X.train`, ... as RecBole names them."""
    found: dict[str, Path] = {}
    for path in files:
        part = path.stem.rsplit(".", 1)[-1]
        if part not in _PARTS:
            continue
        if part in found:
            raise DataError(
                f"{folder}: two files for {part} ({found[part].name}, {path.name}); leave one"
            )
        found[part] = path
    if found and "train" in found and "test" not in found:
        raise DataError(
            f"{folder}: {found['train'].name} is here, but no test{suffix}; fetch it too, or give"
            f" the file as {folder / ('all' + suffix)} to have a test part drawn from it"
        )
    if "test" in found and "train" not in found:
        raise DataError(
            f"{folder}: {found['test'].name} is here, but no train{suffix}; fetch it too"
        )
    return {part: found[part] for part in _PARTS if part in found} if "train" in found else {}
