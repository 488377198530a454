"""A run's id: stable, and changed by whatever may change its numbers."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from bench.engine.settings import Training
from bench.records.schema import digest
from bench.runs.spec import RunSpec

SPEC = {
    "schema": 1,
    "protocol": 1,
    "dataset": {"name": "d", "split": "d-1", "fingerprint": "ab" * 32},
    "backbone": {"name": "mf", "config": {"similarity": "dot"}},
    "dim": 64,
    "method": {"name": "m", "revision": 1, "config": {"rows": 5}},
    "budget": {"cap": 1000, "accounting": "bytes"},
    "training": Training().model_dump(mode="json"),
    "seed": 0,
}

CHANGES = {
    "protocol": 2,
    "dataset.split": "d-2",
    "dataset.fingerprint": "cd" * 32,
    "backbone.name": "other",
    "backbone.config": {"similarity": "cosine"},
    "dim": 32,
    "method.name": "n",
    "method.revision": 2,
    "method.config": {"rows": 6},
    "budget.cap": 1001,
    "budget.accounting": "values",
    "budget": None,
    "training.lr": 0.002,
    "training.epochs": 51,
    "training.refit": True,
    "training.user_pairs": 2,
    "training.objective": {"name": "softmax"},
    "training": None,
    "seed": 1,
}


def changed(path: str, value: object) -> dict:
    spec = json.loads(json.dumps(SPEC))
    *parts, last = path.split(".")
    place = spec
    for part in parts:
        place = place[part]
    place[last] = value
    return spec


def test_canonical_form_reads_back_to_the_same_spec():
    spec = RunSpec.model_validate(SPEC)
    assert RunSpec.model_validate(json.loads(json.dumps(spec.canonical()))) == spec
    assert spec.canonical() == SPEC
    assert digest(spec.canonical()) == spec.id


def test_records_from_before_user_pairs_keep_their_ids():
    assert "user_pairs" not in Training().model_dump()
    assert Training(user_pairs=2).model_dump()["user_pairs"] == 2


def test_id_does_not_depend_on_the_order_of_keys():
    spec = dict(reversed(SPEC.items()))
    assert RunSpec.model_validate(spec).id == RunSpec.model_validate(SPEC).id
    assert digest({"b": 1, "a": "é"}) == digest({"a": "é", "b": 1})


def test_id_is_the_first_of_the_sha256_of_sorted_compact_json():
    assert digest({}) == "44136fa355b3"  # sha256 of "{}"
    assert digest({"b": 1, "a": 2}) == "d3626ac30a87"  # of {"a":2,"b":1}


@pytest.mark.parametrize("path", CHANGES)
def test_every_part_of_a_spec_is_part_of_its_id(path):
    other = RunSpec.model_validate(changed(path, CHANGES[path]))
    assert other.id != RunSpec.model_validate(SPEC).id


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("dim", 0),
        ("seed", -1),
        ("extra", 1),
        ("training.lr", 0),
        ("training.momentum", 0.9),
        ("training.epochs", 0),
        ("training.optimizer", "sgd"),
        ("budget.accounting", "bits"),
        ("method.config", 3),
    ],
)
def test_what_makes_no_sense_is_refused(path, value):
    with pytest.raises(ValidationError):
        RunSpec.model_validate(changed(path, value))


def test_specs_cannot_be_changed():
    with pytest.raises(ValidationError):
        RunSpec.model_validate(SPEC).seed = 2
