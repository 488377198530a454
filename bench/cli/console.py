"""The two streams that commands print to. Text is printed as it stands: nothing is markup."""

from __future__ import annotations

import unicodedata
from typing import Any

from rich.console import Console, ConsoleDimensions
from rich.text import Text

UNBOUNDED = 10_000  # columns of a file or a pipe, where nothing may be cut


def printable(text: str) -> str:
    r"""The text with control characters written out, such as `\x1b`; line breaks and tabs stay."""
    return "".join(
        one if one in "\n\t" or unicodedata.category(one) != "Cc" else repr(one)[1:-1]
        for one in text
    )


class Terminal(Console):
    """A console that takes text as text: names and messages of users may hold brackets.

    A file or a pipe has no width, so nothing is cut there.
    """

    def __init__(self, width: int | None = None, **options: Any) -> None:
        self._asked = width
        plain = {"markup": False, "highlight": False, "emoji": False}
        super().__init__(width=width, **(plain | options))

    @property
    def size(self) -> ConsoleDimensions:
        """The terminal's size; without a terminal, so many columns that nothing is cut."""
        size = super().size
        unbounded = not (self.is_terminal or self._asked)
        return ConsoleDimensions(UNBOUNDED, size.height) if unbounded else size

    @size.setter
    def size(self, size: tuple[int, int]) -> None:
        self._asked = size[0]
        self._width, self._height = size

    def render_str(self, text: str, **options: Any) -> Text:
        """Text for the terminal: control characters of users do nothing."""
        return super().render_str(printable(text), **options)

    def say(self, text: str, style: str | None = None) -> None:
        """Print a line. The terminal wraps it, so that a long path can be copied."""
        self.print(text, style=style, soft_wrap=True)


out, err = Terminal(), Terminal(stderr=True)
