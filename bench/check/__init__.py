"""Conformance checks: what `bench check` says of a method."""

from bench.check.checks import CHECKS, Check, check_method
from bench.check.declared import ALLOWED_IMPORTS
from bench.check.subject import tiny_data

__all__ = ["ALLOWED_IMPORTS", "CHECKS", "Check", "check_method", "tiny_data"]
