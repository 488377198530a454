"""The labels of one table while it is read, and what its rating or label column holds."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from bench.data.headers import Found, is_count, is_rating
from bench.data.labels import LONGEST, Column
from bench.data.raw import shown
from bench.errors import DataError

if TYPE_CHECKING:
    import polars as pl

# How tables write yes and no. A column of these alone is a label, not a rating.
_NO = frozenset(("0", "0.0", "-1", "-1.0", "false", "no"))
_YES = frozenset(("1", "1.0", "true", "yes"))
# What programs write where a value is missing. It may be an id all the same.
_MISSING = ("NULL", "null", "Null", "None", "none", "NaN", "nan", "NAN", "NA", "N/A", "<NA>", "\\N")
REPEATED = "lines that repeat the header dropped"


class Table:
    """User and item label of each row that is kept.

    Attributes:
        path: the file.
        min_rating: keep rows with at least this rating; None for all rows.
        users, items: the labels so far.
        repairs: what was mended, with how often.
        rows: rows seen, kept or not.
    """

    def __init__(
        self,
        path: Path,
        min_rating: float | None,
        mark_name: str,
        names: tuple[str, str] | None = None,
    ) -> None:
        """Prepare a table; `names`: of the two columns in its header, None if lines have none."""
        self.path, self.min_rating = path, min_rating
        self._mark_name, self._names = mark_name, names
        self._counted = is_count(mark_name)
        self.users, self.items = Column(), Column()
        self.repairs: Counter[str] = Counter()
        self.rows = 0
        self._marks: Counter[str] | None = Counter()

    def also(self, found: Found) -> list[int]:
        """The third column to read: the rating, or a label while it may still be one of 0 and 1."""
        if found.rating is not None:
            return [found.rating]
        wanted = self._counted or self._marks is not None
        return [found.mark] if found.mark is not None and wanted else []

    def is_header(self, user: str, item: str) -> bool:
        """Whether labels are the names of their columns: files with headers were joined."""
        return self._names is not None and (user, item) == self._names

    def add(
        self, users: pl.Series, items: pl.Series, ratings: pl.Series | None, separator: str = ","
    ) -> bool:
        """Add rows.

        Args:
            users: text [n].
            items: text [n].
            ratings: text [n] of the column that `also` names.
            separator: of the table; beside semicolons a comma is a decimal comma.

        Returns:
            Whether all was in order; if not, nothing was added.
        """
        import polars as pl

        users, items = users.str.strip_chars(" "), items.str.strip_chars(" ")
        if self._names is not None:
            repeated = (users == self._names[0]) & (items == self._names[1])
            if dropped := int(repeated.sum()):
                users, items = users.filter(~repeated), items.filter(~repeated)
                ratings = ratings.filter(~repeated) if ratings is not None else None
        rows = len(users)
        if self.min_rating is not None:
            assert ratings is not None
            text = ratings.str.strip_chars(" ")
            if separator == ";":
                text = text.str.replace_all(",", ".", literal=True)
            numbers = text.cast(pl.Float64, strict=False)
            if numbers.null_count() or not numbers.is_finite().all():
                return False
            keep = numbers >= self.min_rating
            users, items = users.filter(keep), items.filter(keep)
        for labels in (users, items):
            sizes = labels.str.len_bytes()
            if len(labels) and (int(sizes.min()) == 0 or int(sizes.max()) > LONGEST):  # type: ignore[arg-type]
                return False
        if self.min_rating is None and ratings is not None:
            self._look_at(ratings)
        self.rows += rows
        if self._names is not None and dropped:
            self.repairs[REPEATED] += dropped
        if len(users):
            self._note_missing(users, "user")
            self._note_missing(items, "item")
            self.users.add(users)
            self.items.add(items)
        return True

    def _note_missing(self, labels: pl.Series, what: str) -> None:
        """Count ids that may stand for a missing value: all rows that have it become one id."""
        found = labels.filter(labels.is_in(_MISSING))
        for label, times in found.value_counts().iter_rows() if len(found) else ():
            self.repairs[
                f"rows with the {what} id {shown(label)} kept, as one {what} (drop them if it means"
                " that the id is missing)"
            ] += times

    def _look_at(self, marks: pl.Series) -> None:
        """Count the values of a label column until one is neither yes nor no."""
        if self._counted:
            import polars as pl

            text = marks.str.strip_chars(" ").str.replace_all(",", ".", literal=True)
            if below := int((text.cast(pl.Float64, strict=False) < 0).sum()):
                self.repairs[
                    f"rows with a negative {self._mark_name} kept as interactions (min_rating = 1"
                    " in dataset.toml drops them)"
                ] += below
        if self._marks is None:
            return
        counts = marks.str.strip_chars(" ").str.to_lowercase().value_counts()
        for value, times in counts.iter_rows():
            if value not in _NO and value not in _YES:
                self._marks = None
                return
            self._marks[value] += times

    def refuse_label(self, where: str, label: str, what: str) -> None:
        """Raise for a label that is none."""
        if not label:
            raise DataError(f"{where}: the {what} id is empty; complete or drop the line")
        if len(label.encode()) > LONGEST:
            raise DataError(
                f"{where}: the {what} id {shown(label)} is longer than {LONGEST} bytes; shorten it"
            )

    def finished(self) -> Table:
        """The table when all is read.

        Raises:
            DataError: no row is kept.
        """
        if not self.users.size:
            why = (
                f"no row has a rating of at least {self.min_rating:g}"
                if self.rows and self.min_rating is not None
                else "no rows"
            )
            raise DataError(f"{self.path}: {why}, so there are no interactions; check the file")
        if dropped := self.rows - self.users.size:
            self.repairs[f"rows with a rating below {self.min_rating:g} dropped"] = dropped
        if self._marks is None and is_rating(self._mark_name):
            self.repairs[
                f"rows kept whatever their {self._mark_name} is (min_rating in dataset.toml drops"
                " low ones)"
            ] = self.users.size
        no = {value: times for value, times in (self._marks or {}).items() if value in _NO}
        if no:
            values = " or ".join(sorted(no))
            self.repairs[
                f"rows with {values} in {self._mark_name} kept as interactions (min_rating = 1 in"
                " dataset.toml drops them)"
            ] = sum(no.values())
        return self
