"""Ours against published numbers and against independent computations."""
