"""The command line. Thin: it reads options, calls the library and prints."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

import bench
from bench.cli import console
from bench.cli.encoding import degrade_output
from bench.errors import BenchError

app = typer.Typer(
    name="bench",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    epilog="To begin, see what would be run: bench leaderboard --dry-run",
)

# Errors of the system that are a user's to fix, and how.
_FOLDERS = {
    errno.EACCES: "name a file or folder that you may use",
    errno.EPERM: "name a file or folder that you may use",
    errno.EROFS: "name a folder that can be written",
    errno.ENOSPC: "make room, or name a folder on another disk",
    errno.EDQUOT: "make room, or name a folder on another disk",
    errno.EFBIG: "raise the limit (ulimit -f), or name a folder on another disk",
    errno.ENOTDIR: "name a folder, not a file",
    errno.ENAMETOOLONG: "use a shorter name",
}

# Headings of the commands in `bench --help`.
RUN, READ, EXTEND, MEASURE = (
    "Run",
    "Read results",
    "Methods, data sets and settings",
    "Measure and check the program",
)


def command(panel: str, *examples: str, name: str | None = None) -> Callable[..., Any]:
    """Add a function to the program as a command.

    Args:
        panel: heading that the command stands under.
        examples: shown below the options.
        name: what users type, where it is not the function's name.
    """
    title = "Example:" if len(examples) == 1 else "Examples:"
    return app.command(name, rich_help_panel=panel, epilog="\n\n".join((title, *examples)))


def _version(context: typer.Context, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        console.out.say(f"bench {bench.__version__}")
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Compare compact embeddings for recommenders under equal, measured memory budgets."""


def main() -> None:
    """Entry point: a user's mistake is one line on standard error and exit status 2."""
    degrade_output()
    try:
        app()
    except BenchError as error:
        console.err.say(f"error: {error}")
        sys.exit(2)
    except OSError as error:
        if error.errno not in _FOLDERS or error.filename is None:
            raise
        console.err.say(f"error: {error.filename}: {error.strerror}; {_FOLDERS[error.errno]}")
        sys.exit(2)
