"""The command line. Thin: it reads options, calls the library and prints."""

from __future__ import annotations

import sys

import typer

from bench.cli import console
from bench.cli.encoding import degrade_output
from bench.errors import BenchError

app = typer.Typer(
    name="bench",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Compact embeddings for recommenders, compared under identical, measured memory budgets.",
    epilog="Start with: bench leaderboard --dry-run",
)


def main() -> None:
    """Entry point: a user's mistake is one line on standard error and exit status 2."""
    degrade_output()
    try:
        app()
    except BenchError as error:
        console.err.say(f"error: {error}")
        sys.exit(2)
