"""Labels of users and items, as read: collected block by block, then numbered in rising order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.data.raw import shown

if TYPE_CHECKING:
    import polars as pl

LONGEST = 255  # bytes of a label
_LONGEST_NUMBER = 18  # digits that int64 holds
# Blanks of all kinds, which nobody sees at the end of a label.
_BLANKS = " \t\u00a0\u2007\u2009\u200b\u202f\u3000\ufeff"


class Column:
    """The labels of one column of one file.

    Blocks in which all labels are plain whole numbers (`7`, not `07`) are kept as numbers, which
    takes a fifth of the memory.
    """

    def __init__(self) -> None:
        self.numbers: list[NDArray[np.integer]] = []
        self.texts: list[pl.Series] = []
        self.order: list[bool] = []  # whether each block is one of numbers
        self.size = 0

    def add(self, labels: pl.Series) -> None:
        """Add a block of labels, none empty."""
        numbers = _plain_numbers(labels)
        self.order.append(numbers is not None)
        if numbers is None:
            self.texts.append(labels)
        else:
            self.numbers.append(numbers)
        self.size += len(labels)

    @property
    def numeric(self) -> bool:
        """Whether all labels are plain whole numbers."""
        return all(self.order)

    def as_numbers(self) -> NDArray[np.integer]:
        """All labels; only if `numeric`."""
        return np.concatenate(self.numbers) if self.numbers else np.zeros(0, dtype=np.int64)

    def as_text(self) -> pl.Series:
        """All labels as text, in the order of the rows."""
        import polars as pl

        numbers, texts = iter(self.numbers), iter(self.texts)
        parts = [
            pl.Series(next(numbers)).cast(pl.String) if numeric else next(texts)
            for numeric in self.order
        ]
        return pl.concat(parts, rechunk=False) if parts else pl.Series([], dtype=pl.String)


@dataclass(frozen=True, eq=False)
class Labels:
    """What each number stands for.

    Attributes:
        values: rising; integers, or a polars Series of text.
    """

    values: NDArray[np.integer] | pl.Series

    def __len__(self) -> int:
        return len(self.values)

    def text(self, number: int) -> str:
        """The label of a number."""
        return str(self.values[number])

    def texts(self) -> list[str]:
        """The labels of all numbers, in order."""
        values = self.values
        return list(map(str, values.tolist() if isinstance(values, np.ndarray) else values))

    def alike(self) -> tuple[int, str]:
        """How many labels differ from another in spelling alone, and two that do, for a message."""
        if isinstance(self.values, np.ndarray):
            return 0, ""
        import polars as pl

        frame = pl.DataFrame({"label": self.values, "same": _unspelled(self.values)})
        groups = frame.group_by("same").agg(pl.col("label"), pl.len().alias("times"))
        groups = groups.filter(pl.col("times") > 1).sort("same")
        if not groups.height:
            return 0, ""
        first = sorted(groups["label"][0].to_list())[:2]
        return int(groups["times"].sum()), " and ".join(shown(label) for label in first)

    def twin(self, here: NDArray[np.integer], there: NDArray[np.integer]) -> tuple[str, str] | None:
        """A label of `here` and one of `there` that differ from it in spelling alone, if any."""
        if isinstance(self.values, np.ndarray) or not here.size or not there.size:
            return None
        import polars as pl

        same = _unspelled(self.values)
        left = pl.DataFrame({"a": self.values[here], "same": same[here]})
        right = pl.DataFrame({"b": self.values[there], "same": same[there]})
        both = left.join(right, on="same").sort("a", "b")
        return (both["a"][0], both["b"][0]) if both.height else None


def number_labels(columns: Sequence[Column]) -> tuple[list[NDArray[np.integer]], Labels]:
    """Give the labels of all files together numbers from 0, in rising order.

    By value where every label is a plain whole number, else by their UTF-8 bytes.

    Returns:
        Integers [rows] for each file, and what they stand for.
    """
    if all(column.numeric for column in columns):
        return _number_numbers([column.as_numbers() for column in columns])
    import polars as pl

    # A column that is numeric in one file and not in another is text in both.
    texts = [column.as_text() for column in columns]
    values = pl.concat([text.unique() for text in texts]).unique().sort()
    kind = pl.Enum(values)
    coded = [text.cast(kind).to_physical().cast(pl.Int32).to_numpy() for text in texts]
    return coded, Labels(values)


def _number_numbers(
    parts: Sequence[NDArray[np.integer]],
) -> tuple[list[NDArray[np.integer]], Labels]:
    rows = sum(part.size for part in parts)
    largest = max(int(part.max(initial=0)) for part in parts)
    if largest > 4 * rows + 1000:
        # A mark for each possible number would need memory for numbers that are not there.
        values = np.unique(np.concatenate([np.unique(part) for part in parts]))
        return [np.searchsorted(values, part).astype(np.int32) for part in parts], Labels(values)
    used = np.zeros(largest + 1, dtype=bool)
    for part in parts:
        used[part] = True
    places = np.cumsum(used, dtype=np.int32) - np.int32(1)
    return [places[part] for part in parts], Labels(np.flatnonzero(used))


def _plain_numbers(labels: pl.Series) -> NDArray[np.integer] | None:
    """The labels as numbers, if each is written as a number would be: `7`, not `07` or `+7`."""
    import polars as pl

    numbers = labels.cast(pl.Int64, strict=False)
    if numbers.null_count():
        return None
    values = numbers.to_numpy()
    if not values.size or int(values.min()) < 0:
        return None
    largest = int(values.max())
    if largest >= 10**_LONGEST_NUMBER:
        return None
    if largest < 2**31:
        values = values.astype(np.int32)
    digits = np.ones(values.size, dtype=np.uint8)
    for power in range(1, len(str(largest))):
        digits += values >= 10**power
    if not np.array_equal(digits, labels.str.len_bytes().to_numpy()):
        return None
    return values


def _unspelled(labels: pl.Series) -> pl.Series:
    """Labels without what is easily written in two ways: case, outer blanks, `012`, `12.0`."""
    text = labels.str.strip_chars(_BLANKS).str.to_lowercase()
    text = text.str.replace(r"^(\d+)\.0+$", "$1")
    return text.str.replace(r"^0+(\d+)$", "$1")
