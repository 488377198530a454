"""Data set cards: TOML files that say what a data set is, where it is, and how to recognise it."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bench import paths
from bench.errors import DataError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_Size = Annotated[int, Field(ge=1, le=2**30)]
_Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Counts(_Strict):
    """Sizes that the files must have; what is absent is not checked.

    Attributes:
        users: number of users.
        items: number of items; ids below it need not all be in use.
        train: interactions in the training file, where the split is given.
        test: interactions in the test file, where the split is given.
        interactions: interactions altogether, where the split is drawn here.
    """

    users: _Size | None = None
    items: _Size | None = None
    train: _Size | None = None
    test: _Size | None = None
    interactions: _Size | None = None


class Fingerprints(_Strict):
    """Hex sha256 of the sorted little-endian int32 (user, item) pairs of the files.

    Attributes:
        train: of the training file.
        test: of the test file.
        interactions: of all pairs, where the split is drawn here.
    """

    train: _Sha256 | None = None
    test: _Sha256 | None = None
    interactions: _Sha256 | None = None


class SplitRule(_Strict):
    """How parts that the files do not give are drawn.

    Attributes:
        valid_percent: share of each user's training interactions for validation.
        test_percent: share of each user's interactions for test, where no test file is given.
        seed: seed of the split.
    """

    valid_percent: Annotated[int, Field(ge=1, le=50)] = 10
    test_percent: Annotated[int, Field(ge=1, le=50)] = 20
    seed: Annotated[int, Field(ge=0)] = 0

    def label(self, given: Collection[str]) -> str:
        """What is drawn, as a part of the id of the split.

        Args:
            given: the parts that have a file, `all` for one file of everything.
        """
        test = f"t{self.test_percent}-" if "all" in given else ""
        return test + ("vgiven" if "valid" in given else f"v{self.valid_percent}-s{self.seed}")


class ColumnNames(_Strict):
    """Names of a table's columns where they are not the usual ones.

    Attributes:
        user: column of the user.
        item: column of the item.
        rating: column of the rating.
    """

    user: str = ""
    item: str = ""
    rating: str = ""


class RemoteFile(_Strict):
    """A file to fetch.

    Attributes:
        name: name of the file in the cache.
        urls: where it is, best first; all must serve the same content.
        git_blob: git's id of the content (sha1 over `blob <length>`, a NUL and the content).
        md5: MD5 of what the address serves, where the source publishes no better.
        member: path of the file within a zip archive, if the address serves one.
    """

    name: _FileName
    urls: Annotated[list[str], Field(min_length=1)]
    git_blob: Annotated[str, Field(pattern="^[0-9a-f]{40}$")] | None = None
    md5: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None = None
    member: str | None = None

    @model_validator(mode="after")
    def _verifiable(self) -> RemoteFile:
        if not (self.git_blob or self.md5):
            raise ValueError("git_blob or md5 is needed, so that the download can be verified")
        return self


class PackagedFile(_Strict):
    """A file that an installed Python package carries.

    Attributes:
        package: import name of the package; it is looked up, not imported.
        path: path within the package.
    """

    package: str
    path: str


class Card(_Strict):
    """What is known about a data set.

    Attributes:
        name: short name, also the name of its folder and the start of its split ids.
        title: name for people.
        source: where the data come from.
        licence: terms of use.
        citation: what to cite.
        note: what a reader must know before comparing numbers; shown with the data set.
        temporal: whether the given test interactions are later than the training interactions.
        min_rating: keep interactions with at least this rating; tables only.
        counts: sizes to check.
        fingerprints: content to check.
        split: how missing parts are drawn.
        columns: names of a table's columns.
        files: what to fetch; none if the data set is not published in this form.
        packaged: a copy in an installed package, used before anything is fetched.
    """

    name: _FileName
    title: str = ""
    source: str = ""
    licence: str = ""
    citation: str = ""
    note: str = ""
    temporal: bool = False
    min_rating: float | None = None
    counts: Counts = Counts()
    fingerprints: Fingerprints = Fingerprints()
    split: SplitRule = SplitRule()
    columns: ColumnNames = ColumnNames()
    files: list[RemoteFile] = []
    packaged: PackagedFile | None = None


def read_card(path: Path) -> Card:
    """Read and check one card.

    Raises:
        DataError: not TOML, an unknown key, or a value of a wrong type; with file, line and value.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        return Card.model_validate(tomllib.loads(text))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: not UTF-8; save the card as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{path}: not TOML: {error}; correct the card") from None
    except ValidationError as error:
        first = error.errors()[0]
        keys = [str(key) for key in first["loc"]]
        found = re.search(rf"^\s*{re.escape(keys[-1])}\s*=", text, re.MULTILINE) if keys else None
        line = f", line {text.count(chr(10), 0, found.end()) + 1}" if found else ""
        key = ".".join(keys)
        if first["type"] == "extra_forbidden":
            raise DataError(f"{path}{line}: unknown key {key!r}; remove or correct it") from None
        message = first["msg"].removeprefix("Value error, ")
        raise DataError(f"{path}{line}: {key or 'card'}: {message}; correct the card") from None


def list_cards() -> list[Card]:
    """All installed cards, by name."""
    found = paths.folder("cards").glob("*.toml")
    return [read_card(path) for path in sorted(found, key=lambda path: path.stem)]


def find_card(name: str) -> Card | None:
    """Find the installed card of that name, if there is one."""
    path = paths.folder("cards") / f"{name}.toml"
    # A name with a separator is a path of the user's, never a card.
    return read_card(path) if Path(name).name == name and path.is_file() else None
