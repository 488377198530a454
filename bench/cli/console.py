"""The two streams that commands print to. Text is printed as it stands: nothing is markup."""

from __future__ import annotations

from typing import Any

from rich.console import Console

UNBOUNDED = 10_000  # columns of a file or a pipe, where nothing may be cut


class Terminal(Console):
    """A console that takes text as text: names and messages of users may hold brackets.

    Long lines are left to the terminal, so that a path can be copied; a file or a pipe has no
    width that anything had to fit in.
    """

    def __init__(self, **options: Any) -> None:
        options = {"markup": False, "highlight": False, "emoji": False} | options
        super().__init__(**options)

    @property
    def width(self) -> int:
        """Columns of the terminal; without one, so many that nothing is cut."""
        return super().width if self.is_terminal or self._width is not None else UNBOUNDED

    @width.setter
    def width(self, width: int) -> None:
        self._width = width

    def say(self, text: str, style: str | None = None) -> None:
        """Prints a line as it stands, however long."""
        self.print(text, style=style, soft_wrap=True)


out, err = Terminal(), Terminal(stderr=True)
