"""Backbones: how two embeddings become a score. They know nothing of compression."""
