"""Tuning what all methods share, with the full table: the objective and the backbone's norms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bench.backbones.similarity import Similarity
from bench.engine.objectives import Contrastive, Softmax, Squared
from bench.errors import SpecError
from bench.method import Choice, LogRange, Method, Range, Space
from bench.runs.settings import resolve, with_override
from bench.runs.suite import When
from bench.runs.tuned import Found
from bench.tune.cell import Subject, rate_space
from bench.tune.terms import Terms

_NEGATIVES = Choice((256, 512, 1024, 2048))
_COST = "training.objective.negatives"  # a step's time grows with their number
_SPACES: Mapping[type, Mapping[str, Space]] = {
    Softmax: {"negatives": _NEGATIVES, "temperature": LogRange(0.05, 0.5)},
    Contrastive: {
        "negatives": _NEGATIVES,
        "margin": Range(0.5, 0.95),
        "weight": LogRange(30.0, 400.0),
    },
    Squared: {"weight": LogRange(3.0, 300.0)},
}
_NORM_POWER = Choice((None, 0.02, 0.05, 0.1, 0.2, 0.3))


def objective_subject(terms: Terms, methods: Mapping[str, type[Method]]) -> Subject:
    """Return what is searched with the full table for all methods.

    Raises:
        SpecError: the objective has nothing to search.
    """
    full = next(kind for kind in methods.values() if kind.role == "ceiling")
    found = resolve(terms.plain, full, None, terms.backbone)
    objective = found.training.objective
    if type(objective) not in _SPACES:
        raise SpecError(f"--objective: the objective {objective.name} has no settings to tune")
    space = {f"training.objective.{k}": one for k, one in _SPACES[type(objective)].items()}
    if isinstance(found.backbone, Similarity) and found.backbone.similarity == "cosine":
        space["backbone.norm_power"] = _NORM_POWER
    space |= rate_space(terms)
    cost = _COST if _COST in space else None
    return Subject(full, None, "tuned", space, When(backbone=(terms.backbone,)), {}, cost)


def with_objective(terms: Terms, found: Found) -> Terms:
    """Return the terms of the methods' tuning, under the objective that was found."""
    return replace(terms, suite=with_override(terms.suite, found.set, backbone=terms.backbone))
