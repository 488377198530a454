"""The command line; `main` is the entry point."""

# Each of these modules adds its commands to the program, in this order.
from bench.cli import runs, compress, board, export, methods, tune, measure, studies  # noqa: F401, I001
from bench.cli.app import app, main

__all__ = ["app", "main"]
