"""Data sets: cards, files, splits. `load` is all that the rest of the program needs."""

from bench.data.cards import Card, list_cards
from bench.data.csr import CSR
from bench.data.export import export_recbole
from bench.data.interactions import Interactions
from bench.data.loading import is_own, load, load_labels, name_of

__all__ = [
    "CSR",
    "Card",
    "Interactions",
    "export_recbole",
    "is_own",
    "list_cards",
    "load",
    "load_labels",
    "name_of",
]
