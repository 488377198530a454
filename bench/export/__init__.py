"""Exporting the table of a run as a folder that a service can read: see docs/export.md."""

from bench.export.again import Table, train_again
from bench.export.find import best_run, find_run, kept_file, load_data
from bench.export.folder import Sizes, write_folder

__all__ = [
    "Sizes",
    "Table",
    "best_run",
    "find_run",
    "kept_file",
    "load_data",
    "train_again",
    "write_folder",
]
