"""Conformance checks: what `bench check` says of a method."""

from bench.check.checks import ALLOWED_IMPORTS, CHECKS, Check, check_method, tiny_data

__all__ = ["ALLOWED_IMPORTS", "CHECKS", "Check", "check_method", "tiny_data"]
