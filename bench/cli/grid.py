"""Tables that fit the terminal: less important columns leave, and no cell is cut."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from bench.cli.console import UNBOUNDED, printable

_LEAST = 24  # columns that a text keeps while less important columns are shown


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        name: its heading.
        right: its cells are aligned on the right, as numbers are.
        leaves: in a narrow terminal the column with the highest number leaves first; 0 stays.
        wraps: its cells may take several lines.
    """

    name: str
    right: bool = False
    leaves: int = 0
    wraps: bool = False


def number(name: str, leaves: int = 0) -> Column:
    """A column of numbers."""
    return Column(name, right=True, leaves=leaves)


@dataclass
class Grid:
    """A table under a title.

    Attributes:
        title: one line above it; empty for none.
        columns: from left to right.
        rows: cells by row, each as long as `columns`.
        breaks: numbers of the rows that a line is drawn above.
    """

    title: str
    columns: Sequence[Column]
    rows: list[tuple[str | Text, ...]] = field(default_factory=list)
    breaks: set[int] = field(default_factory=set)

    def add(self, *cells: str | Text) -> None:
        """Add a row."""
        self.rows.append(cells)

    def section(self) -> None:
        """Draw a line above the next row."""
        self.breaks.add(len(self.rows))

    def without_empty(self, name: str) -> Grid:
        """The table less the column of a name, if all its cells are empty."""
        at = [column.name for column in self.columns].index(name)
        if any(str(cells[at]) for cells in self.rows):
            return self
        columns = [column for i, column in enumerate(self.columns) if i != at]
        rows = [cells[:at] + cells[at + 1 :] for cells in self.rows]
        return Grid(self.title, columns, rows, self.breaks)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The title, the columns that fit, and a line that names those that do not."""
        shown = list(range(len(self.columns)))
        wrapped = {i for i in shown if self.columns[i].wraps}
        while not (fits := self._fits(console, options, self._table(shown, wrapped))):
            last = max(shown, key=lambda i: self.columns[i].leaves)
            if not self.columns[last].leaves:
                break
            shown.remove(last)
        if self.title:
            yield Text(self.title, "italic")
        yield self._table(shown, wrapped if fits else set(shown), _LEAST if fits else 1)
        if gone := [self.columns[i].name for i in range(len(self.columns)) if i not in shown]:
            text = f"A wider terminal or a file also shows: {', '.join(gone)}."
            yield Text(text, "dim")

    @staticmethod
    def _fits(console: Console, options: ConsoleOptions, table: Table) -> bool:
        """Whether the table needs no more columns than there are."""
        unbounded = options.update(max_width=UNBOUNDED)
        return Measurement.get(console, unbounded, table).minimum <= options.max_width

    def _cells(self, at: int) -> Iterable[str]:
        return (printable(str(cells[at])) for cells in self.rows)

    def _table(self, shown: Sequence[int], wrapped: set[int], least: int = _LEAST) -> Table:
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
        for i in shown:
            column = self.columns[i]
            longest = max(cell_len(cell) for cell in (column.name, *self._cells(i)))
            table.add_column(
                column.name,
                justify="right" if column.right else "left",
                no_wrap=i not in wrapped,
                overflow="fold",
                min_width=min(least, longest) if i in wrapped else longest,
            )
        for at, cells in enumerate(self.rows):
            if at in self.breaks and at:
                table.add_section()
            table.add_row(*(cells[i] for i in shown))
        return table
