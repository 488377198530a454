"""The graph of training interactions, and products with its matrix."""
