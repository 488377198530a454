"""Training a run again: the same method, for as many epochs as were best, on what is asked for."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import pytest
from support.data import pairs
from support.judge import JudgeHere

from bench.check import tiny_data
from bench.engine.settings import Training
from bench.errors import BenchError
from bench.export.again import train_again
from bench.method.registry import find_methods
from bench.records.schema import BackboneSpec
from bench.records.store import Store
from bench.runs.execute import execute
from bench.runs.plan import plan
from bench.runs.settings import override
from bench.runs.suite import Suite

METHODS = find_methods()
# Epochs after the best one, so that those are not all that are trained.
TRAINING = Training(lr=0.5, batch=64, epochs=12, search_epochs=3, patience=2)


@pytest.fixture(name="record_of", scope="module")
def record_of_fixture(tmp_path_factory):
    """The record of a run on tiny data, with changes of its settings."""
    data, store = tiny_data(), Store(tmp_path_factory.mktemp("results"))

    @cache
    def record_of(*settings):
        suite = Suite(budgets=("60%",), seeds=1, dim=16, methods=("dims",), training=TRAINING)
        _, one = plan(override(suite, settings), data, METHODS, "bench run")
        record = execute(one.run, data, METHODS, store, JudgeHere(data, METHODS))
        assert record.status == "ok", record.error
        return record

    return record_of


def trained(record, **options):
    """The table, and the epochs of each training of it as they were reported."""
    told: list[dict] = []
    found = train_again(record, tiny_data(), METHODS, report=told.append, **options)
    starts = [n for n, entry in enumerate(told) if entry["epoch"] == 1]
    return found, [told[start:end] for start, end in pairwise([*starts, len(told)])]


def best_epoch(entries) -> int:
    return max(entries, key=lambda entry: entry["ndcg@20"])["epoch"]


@pytest.mark.parametrize("everything", [True, False])
def test_a_second_training_has_the_epochs_that_were_best_in_the_first(everything, record_of):
    record = record_of() if everything else record_of("training.refit=true")
    _, (first, second) = trained(record, everything=everything)
    assert len(second) == best_epoch(first) < len(first)
    assert not any("ndcg@20" in entry for entry in second)  # nothing is held out from it


def test_a_run_without_a_refit_is_trained_once(record_of):
    record = record_of()
    found, (first,) = trained(record)
    assert [entry["ndcg@20"] for entry in first] == [entry["ndcg@20"] for entry in record.history]
    assert found.test.items() <= record.metrics.test.items()


def test_a_refit_has_the_metrics_of_its_run(record_of):
    record = record_of("training.refit=true")
    found, _ = trained(record)
    assert found.test.items() <= record.metrics.test.items()


def test_all_interactions_are_trained_on_where_that_is_asked_for(record_of):
    data, (found, _) = tiny_data(), trained(record_of(), everything=True)
    assert set(pairs(found.split.train)) == {*pairs(data.train), *pairs(data.test)}
    assert found.split.test.nnz == 0
    assert pairs(found.split.valid) == pairs(data.valid)  # chooses the epochs
    assert found.test is None


@pytest.mark.parametrize("what", ["revision", "source"])
def test_a_method_that_has_changed_since_is_refused(what, record_of):
    record = record_of()
    other = {"revision": record.spec.method.revision + 1, "source": "0" * 12}[what]
    method = record.spec.method.model_copy(update={what: other})
    spec = record.spec.model_copy(update={"method": method})
    with pytest.raises(BenchError, match=r"dims is not the method that .*its code has changed"):
        train_again(record.model_copy(update={"spec": spec}), tiny_data(), METHODS)


def test_a_backbone_that_has_new_settings_is_refused(record_of):
    record = record_of()
    backbone = BackboneSpec(name="neumf", config={"widths": [1.0, 0.5]})
    spec = record.spec.model_copy(update={"backbone": backbone})
    with pytest.raises(BenchError, match=r"neumf is not the backbone that .* it has columns now"):
        train_again(record.model_copy(update={"spec": spec}), tiny_data(), METHODS)


def test_a_method_that_is_not_there_is_named(record_of):
    with pytest.raises(BenchError, match=r"there is no method 'dims' here.*--plugin"):
        train_again(record_of(), tiny_data(), {})
