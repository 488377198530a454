"""Compact embeddings for recommenders, compared under identical, measured memory budgets.

`bench.method` is the interface of a method, `bench.board.load` reads results, `bench.data.load`
reads data sets. docs/architecture.md describes the packages and how they depend on each other.
"""

__version__ = "0.1.0"
