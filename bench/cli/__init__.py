"""The command line; `main` is the entry point."""

from bench.cli.program import app, main

__all__ = ["app", "main"]
