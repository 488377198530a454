"""Comparison of our results with published numbers and with independent computations."""
