"""The protocol of a run: the settings that two runs must share to be ranked together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.records.schema import Record, canonical_json, digest

OWNED_TRAINING = ("lr", "l2")
"""Training settings that each method may choose for itself.

Learning rate and decay are tuned per method with an equal number of trials. All rows of a board
share the others (objective, optimiser, batch, epochs, patience, initial scale, refit).
"""


TRACED_FROM = 2
"""From this protocol on, boards rank only runs of code that can be found again."""


def untraced(record: Record) -> str:
    """Return why nobody can find the code of a run, with the remedy; empty if it can be found."""
    commit = str(record.env.get("commit") or "unknown")
    if record.spec.protocol < TRACED_FROM:
        return ""
    if commit == "unknown":
        return (
            "code of an unknown state; run it again from a clone of the repository or from an"
            " installed package"
        )
    if commit.endswith("-dirty"):
        return f"code with uncommitted changes ({commit}); commit them and run it again"
    return ""


def protocol_of(record: Record) -> dict[str, Any]:
    """Return the protocol of a record as a flat mapping.

    The protocol of a reference holds only the data. The protocol of a control leaves out the
    number of dimensions, because a control is compared at the same bytes.
    """
    spec = record.spec
    protocol: dict[str, Any] = {
        "protocol": spec.protocol,
        "dataset": spec.dataset.name,
        "split": spec.dataset.split,
        "fingerprint": spec.dataset.fingerprint,
    }
    if record.method.role == "reference":
        return protocol
    protocol["backbone"] = spec.backbone.name
    protocol |= {f"backbone.{key}": value for key, value in sorted(spec.backbone.config.items())}
    if record.method.role != "control":
        protocol["dim"] = spec.dim
    for key, value in sorted((spec.training or {}).items()):
        if key not in OWNED_TRAINING:
            protocol[f"training.{key}"] = value
    return protocol


def agrees(protocol: Mapping[str, Any], with_: Mapping[str, Any]) -> bool:
    """Return whether `differences` finds nothing."""
    return not differences(protocol, with_)


def differences(protocol: Mapping[str, Any], with_: Mapping[str, Any]) -> list[str]:
    """Return the differences of two protocols, each as "key: this instead of that".

    A key that the role of the record leaves out does not count.
    """
    partial = {"backbone", "dim"} - set(protocol)
    found = []
    for key in sorted(set(protocol) | set(with_)):
        if key not in protocol and _left_out(key, partial):
            continue
        mine, theirs = protocol.get(key), with_.get(key)
        if mine is theirs or (type(mine) is type(theirs) and mine == theirs):
            continue  # the usual case, and a hundred times faster than comparing JSON
        if canonical_json(mine) != canonical_json(theirs):
            found.append(f"{key}: {_short(mine)} instead of {_short(theirs)}")
    return found


def protocol_hash(protocol: Mapping[str, Any]) -> str:
    """Return the first 12 hex digits of the hash of a protocol."""
    return digest(dict(protocol))


def _left_out(key: str, partial: set[str]) -> bool:
    if "backbone" in partial and key.startswith(("backbone", "training.", "dim")):
        return True
    return key == "dim" and "dim" in partial


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else canonical_json(value)
    return text if len(text) <= 40 else text[:12] + "…"
