"""Compact embeddings for recommenders, compared under identical, measured memory budgets."""

__version__ = "0.1.0"
