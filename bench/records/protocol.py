"""Protocol passports: what must be equal for two runs to be ranked against each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.records.schema import Record, canonical_json, digest

OWNED_TRAINING = ("lr", "l2")
"""Training settings that a method may own.

Learning rate and decay are tuned per method with an equal number of trials. Everything else
(objective, optimiser, batch, epochs, patience, initial scale, refit) is shared by a board.
"""


def passport(record: Record) -> dict[str, Any]:
    """Return the protocol of a record, flat and ready to be shown.

    The reference needs only the same data, and a control with fewer dimensions may have its own
    number of dimensions: it is compared at the same bytes.
    """
    spec = record.spec
    card: dict[str, Any] = {
        "protocol": spec.protocol,
        "dataset": spec.dataset.name,
        "split": spec.dataset.split,
        "fingerprint": spec.dataset.fingerprint,
    }
    if record.method.role == "reference":
        return card
    card["backbone"] = spec.backbone.name
    card |= {f"backbone.{key}": value for key, value in sorted(spec.backbone.config.items())}
    if record.method.role != "control":
        card["dim"] = spec.dim
    for key, value in sorted((spec.training or {}).items()):
        if key not in OWNED_TRAINING:
            card[f"training.{key}"] = value
    return card


def agrees(card: Mapping[str, Any], with_: Mapping[str, Any]) -> bool:
    """Return whether a passport is equal to another in everything that it states."""
    return not differences(card, with_)


def differences(card: Mapping[str, Any], with_: Mapping[str, Any]) -> list[str]:
    """Return what differs, each as "key: this instead of that".

    A key that only the other passport has does not count for a record whose role leaves it out.
    """
    partial = {"backbone", "dim"} - set(card)
    found = []
    for key in sorted(set(card) | set(with_)):
        if key not in card and _left_out(key, partial):
            continue
        mine, theirs = card.get(key), with_.get(key)
        if mine is theirs or (type(mine) is type(theirs) and mine == theirs):
            continue  # the usual case, and a hundred times faster than comparing JSON
        if canonical_json(mine) != canonical_json(theirs):
            found.append(f"{key}: {_short(mine)} instead of {_short(theirs)}")
    return found


def passport_hash(card: Mapping[str, Any]) -> str:
    """Return the first 12 hex digits of the hash of a passport."""
    return digest(dict(card))


def _left_out(key: str, partial: set[str]) -> bool:
    if "backbone" in partial and key.startswith(("backbone", "training.", "dim")):
        return True
    return key == "dim" and "dim" in partial


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else canonical_json(value)
    return text if len(text) <= 40 else text[:12] + "…"
