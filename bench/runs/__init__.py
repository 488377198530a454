"""Runs: planned from a suite, carried out here or elsewhere, each ending in a record."""
