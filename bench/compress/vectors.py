"""Reading the vectors that are to be compressed, from the files that people have."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from bench.data import Interactions
from bench.data.labels import Labels
from bench.errors import DataError

_FORMS = (
    "give an .npz or .safetensors file with arrays `users` and `items`, an .npy file of users with"
    " --items for the other one, or a checkpoint (.pth) of RecBole"
)
_SIDES = ("users", "items")
_LARGEST = 1e15  # of a value: sums of a few thousand squares are finite in float32


@dataclass(frozen=True, eq=False)
class Vectors:
    """Vectors whose dot products are the scores.

    Attributes:
        users: float32 [U, d].
        items: float32 [I, d].
        user_ids: own id of each user.
        item_ids: own id of each item.
    """

    users: NDArray[np.float32]
    items: NDArray[np.float32]
    user_ids: tuple[str, ...]
    item_ids: tuple[str, ...]

    @property
    def dim(self) -> int:
        """Columns."""
        return int(self.users.shape[1])

    def of(self, data: Interactions, users: Labels, items: Labels, numbered: bool) -> Vectors:
        """The rows in the order of the numbers of a data set.

        Args:
            data: the data set.
            users: what its numbers of users stand for.
            items: likewise.
            numbered: the vectors have no ids of their own; row n is the data set's number n.

        Raises:
            DataError: a user or an item of the data has no vector.
        """
        found = []
        for what, rows, ids, labels in (
            ("users", self.users, self.user_ids, users),
            ("items", self.items, self.item_ids, items),
        ):
            names = tuple(labels.texts())
            if numbered:
                if len(rows) != len(names):
                    raise DataError(
                        f"there are {len(rows):,} vectors of {what}, and {data.title} has"
                        f" {len(names):,} {what}; store their ids with the vectors, as"
                        f" `{what[:-1]}_ids`"
                    )
                found.append((rows, names))
                continue
            place = {name: number for number, name in enumerate(ids)}
            lost = [name for name in names if name not in place]
            if lost:
                raise DataError(
                    f"{len(lost):,} of the {len(names):,} {what} of {data.title} have no vector,"
                    f" {lost[0]!r} among them; `{what[:-1]}_ids` has to name them as the data do"
                )
            found.append((rows[[place[name] for name in names]], names))
        (people, user_ids), (things, item_ids) = found
        return Vectors(people, things, user_ids, item_ids)


def read_vectors(path: Path, items: Path | None = None) -> tuple[Vectors, bool]:
    """Read vectors of users and of items.

    Args:
        path: an .npz or .safetensors file with both, an .npy file of users, or a checkpoint.
        items: the .npy file of items, beside that of users.

    Returns:
        The vectors, and whether the file has no ids, so that these are row numbers.

    Raises:
        DataError: a file cannot be read, or does not hold such vectors; with the remedy.
    """
    if items is not None and path.suffix != ".npy":
        raise DataError(f"{path}: --items goes with an .npy file of users; leave it out")
    if path.suffix == ".npy":
        if items is None:
            raise DataError(f"{path}: has one array; give the vectors of items with --items")
        arrays = {"users": _npy(path), "items": _npy(items)}
    elif path.suffix == ".npz":
        arrays = _npz(path)
    elif path.suffix == ".safetensors":
        arrays = _safetensors(path)
    elif path.suffix in (".pth", ".pt"):
        from bench.recbole.checkpoint import read_tables

        arrays = read_tables(path)
    else:
        raise DataError(f"{path}: is in no known format; {_FORMS}")
    users, things = (_matrix(path, name, arrays) for name in _SIDES)
    if users.shape[1] != things.shape[1]:
        raise DataError(
            f"{path}: users have {users.shape[1]} columns and items {things.shape[1]}; scores are"
            " dot products, so both need the same number"
        )
    user_ids = _ids(path, "users", arrays, len(users))
    item_ids = _ids(path, "items", arrays, len(things))
    numbered = user_ids is None and item_ids is None
    return Vectors(
        users,
        things,
        user_ids or tuple(map(str, range(len(users)))),
        item_ids or tuple(map(str, range(len(things)))),
    ), numbered


def _npy(path: Path) -> NDArray[Any]:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: cannot be read ({error}); {_FORMS}") from None
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path}: is no .npy file; {_FORMS}")
    return array


def _npz(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        if "allow_pickle" in str(error):
            raise DataError(
                f"{path}: an array holds Python objects; write ids as text: ids.astype(str)"
            ) from None
        raise DataError(f"{path}: cannot be read ({error}); {_FORMS}") from None


def _safetensors(path: Path) -> dict[str, NDArray[Any]]:
    try:
        return safetensors.numpy.load_file(path)
    except (OSError, KeyError, safetensors.SafetensorError) as error:
        raise DataError(f"{path}: cannot be read ({error}); {_FORMS}") from None


def _matrix(path: Path, name: str, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """Vectors of one side, checked."""
    if name not in arrays:
        have = ", ".join(arrays) or "none"
        raise DataError(f"{path}: has no array `{name}` (it has {have}); {_FORMS}")
    array = arrays[name]
    if array.ndim != 2 or not array.size or array.dtype.kind != "f":
        raise DataError(
            f"{path}: `{name}` is {array.dtype} {list(array.shape)}; it has to be floating point"
            " [rows, columns]"
        )
    rows = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(rows).all():
        row = int(np.flatnonzero(~np.isfinite(rows).all(1))[0])
        raise DataError(f"{path}: row {row} of `{name}` has values that are not finite; remove it")
    if (most := float(np.abs(rows).max())) > _LARGEST:
        raise DataError(
            f"{path}: `{name}` has a value of {most:.3g}; the most is {_LARGEST:g}, because squares"
            " have to be finite; divide all vectors by a number"
        )
    return rows


def _ids(
    path: Path, name: str, arrays: Mapping[str, NDArray[Any]], rows: int
) -> tuple[str, ...] | None:
    """Own ids of one side; None without any."""
    key = f"{name[:-1]}_ids"
    if key not in arrays:
        return None
    array = arrays[key].reshape(-1)
    if array.dtype.kind not in "iuUS":
        raise DataError(
            f"{path}: `{key}` is of type {array.dtype}; ids are whole numbers or text, such as"
            f" {key}.astype(int) or {key}.astype(str)"
        )
    try:
        named = array.astype(str) if array.dtype.kind != "S" else np.char.decode(array, "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: `{key}` has bytes that are not UTF-8 ({error.object!r}); decode the ids, as"
            f" in np.char.decode({key}, 'latin-1')"
        ) from None
    ids = tuple(named.tolist())
    if len(ids) != rows or len(set(ids)) != rows:
        raise DataError(f"{path}: `{key}` needs one id for each of {rows:,} rows, all different")
    return ids
