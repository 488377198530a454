"""Teachers: what methods are given that start from a trained table."""

from __future__ import annotations

import multiprocessing

import numpy as np
import pytest
import torch
from support import conformance
from support.judge import JudgeHere

from bench.backbones.mf import MF
from bench.backbones.neumf import NeuMF
from bench.check import tiny_data
from bench.data import Interactions
from bench.engine.settings import Training
from bench.method import Method, Pairs
from bench.method.registry import find_methods
from bench.records.scan import scan
from bench.records.schema import BackboneSpec
from bench.records.store import Store
from bench.runs import environment
from bench.runs.execute import execute
from bench.runs.pipeline import Pipeline
from bench.runs.plan import plan
from bench.runs.settings import override
from bench.runs.spec import Run
from bench.runs.suite import Suite
from bench.runs.teacher import Lender, teacher_spec

METHODS: dict[str, type[Method]] = {
    **find_methods(),
    **{kind.name: kind for kind in (conformance.Taught, conformance.TaughtOn, conformance.Sound)},
}
TRAINING = Training(lr=0.05, batch=64, epochs=4, search_epochs=3, patience=4)
SUITE = Suite(title="t", backbones=("mf",), budgets=("60%",), seeds=1, dim=16, training=TRAINING)


def runs(data: Interactions, *names: str, settings: tuple[str, ...] = ()) -> list[Run]:
    suite = override(SUITE.model_copy(update={"methods": names}), settings)
    return [one.run for one in plan(suite, data, METHODS, "bench run")][1:]


def teachers(store: Store) -> list[str]:
    return sorted(path.name for path in (store.root / ".work").glob("teacher-*.safetensors"))


def test_teacher_is_the_table_that_full_trains_and_runs_share_it(tiny, store):
    full, taught, more = runs(
        tiny, "full", "taught", "taught", settings=('budgets=["60%", "70%"]',)
    )
    assert teacher_spec(taught.spec).id == teacher_spec(more.spec).id == full.spec.id
    pipeline = Pipeline(taught.spec, tiny, METHODS, lender=Lender(store))
    method, _ = pipeline.build(pipeline.data)
    reference = execute(full, tiny, METHODS, store, JudgeHere(tiny, METHODS))
    assert method.table.teacher.shape == (tiny.ids, 16)
    [phase] = pipeline.lent[0].phases
    assert phase["name"] == "teacher"
    [own] = reference.phases
    assert (phase["epochs"], phase["best_epoch"]) == (own.epochs, own.best_epoch)
    before = teachers(store)
    assert before == [f"teacher-{full.spec.id}.safetensors"]
    stamp = store.work(f"teacher-{full.spec.id}").stat().st_mtime_ns
    for run in (taught, more):
        record = execute(run, tiny, METHODS, store, JudgeHere(tiny, METHODS))
        assert record.status == "ok", record.error
        [phase] = record.phases
        assert (phase.name, phase.epochs) == ("teacher", own.epochs)
    assert store.work(f"teacher-{full.spec.id}").stat().st_mtime_ns == stamp
    assert scan(store.root).rejected == ()


def test_whole_teacher_has_the_metrics_of_full(tiny, store):
    """All columns of the teacher, stored as they are, are the full table."""
    full, taught = runs(tiny, "full", "taught", settings=("taught.columns=16", 'budgets=["200%"]'))
    one, other = (
        execute(run, tiny, METHODS, store, JudgeHere(tiny, METHODS)) for run in (full, taught)
    )
    assert one.metrics == other.metrics
    assert [phase.name for phase in other.phases] == ["teacher"]
    assert other.history == ()
    assert other.timings.train_s >= 0.5 * other.phases[0].seconds


def test_method_that_needs_nothing_has_nothing_trained_for_it(tiny, store):
    [run] = runs(tiny, "sound")
    assert run.spec.teacher is None
    assert "teacher" not in run.spec.canonical()
    pipeline = Pipeline(run.spec, tiny, METHODS, lender=Lender(store))
    method, _ = pipeline.build(pipeline.data)
    assert method.table.teacher is None and method.table.interactions is None
    assert not (store.root / ".work").exists()


def test_settings_of_full_decide_the_teacher_and_the_id(tiny):
    one, other = (
        runs(tiny, "taught", settings=more)[0] for more in ((), ("full.training.lr=0.01",))
    )
    assert one.spec.training == other.spec.training
    assert one.spec.id != other.spec.id
    assert teacher_spec(one.spec).id != teacher_spec(other.spec).id
    one, own = (
        runs(tiny, "taught-on", settings=more)[0] for more in ((), ("taught-on.training.lr=0.01",))
    )
    assert one.spec.id != own.spec.id
    assert teacher_spec(own.spec).id == teacher_spec(one.spec).id


def test_passes_of_the_teacher_count_towards_the_cap(tiny, store):
    [run] = runs(tiny, "taught-on", settings=("training.epochs=8", "training.patience=8"))
    assert run.spec.teacher is not None
    short = run.spec.teacher.model_copy(update={"epochs": 3})
    spec = run.spec.model_copy(update={"teacher": short})
    judge = JudgeHere(tiny, METHODS)
    record = execute(Run(spec, "60%", 0.6, "bench run"), tiny, METHODS, store, judge)
    assert [phase.epochs for phase in record.phases] == [3, 5]


def test_what_a_method_trains_itself_has_a_third_of_the_passes(tiny):
    for method, epochs in (("taught", 9), ("taught-on", 6)):
        [run] = runs(tiny, method, settings=("training.epochs=9",))
        assert run.spec.training.epochs == 9
        assert run.spec.teacher.epochs == epochs


def test_damaged_teacher_is_made_again(tiny, store, caplog):
    [run] = runs(tiny, "taught")
    lender = Lender(store)
    rows = lender.teacher(run.spec, tiny).rows
    path = store.work(f"teacher-{teacher_spec(run.spec).id}")
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    for damage in (bytes(content), b"", content[:100]):
        path.write_bytes(damage)
        caplog.clear()
        assert torch.equal(lender.teacher(run.spec, tiny).rows, rows)
        assert "trained again" in caplog.text
        assert abs(path.stat().st_size - len(content)) < 50  # seconds have more or fewer digits


def test_teacher_of_other_code_is_made_again(tiny, store, monkeypatch):
    [run] = runs(tiny, "taught")
    epochs = []
    for code, made in (("a-dirty", True), ("a-dirty", False), ("a", True), ("a", False)):
        monkeypatch.setattr(environment, "code_state", lambda code=code: code)
        epochs.clear()
        Lender(store, report=epochs.append).teacher(run.spec, tiny)
        assert bool(epochs) == made
    assert len(teachers(store)) == 1


def test_interrupted_teacher_of_other_code_does_not_go_on(tiny, store, monkeypatch):
    monkeypatch.setattr("bench.engine.checkpoint.SAVE_EVERY", 0.0)
    [run] = runs(tiny, "taught")
    told = []

    def interrupt(entry):
        told.append(entry)
        if len(told) == 3:
            raise KeyboardInterrupt

    for code in ("a-dirty", "a"):
        monkeypatch.setattr(environment, "code_state", lambda code=code: code)
        told.clear()
        with pytest.raises(KeyboardInterrupt):
            Lender(store, report=interrupt).teacher(run.spec, tiny)
        assert told[0]["epoch"] == 1


def test_interrupted_teacher_goes_on_and_ends_the_same(tiny, store, tmp_path, monkeypatch):
    monkeypatch.setattr("bench.engine.checkpoint.SAVE_EVERY", 0.0)
    [run] = runs(tiny, "taught")
    expected = Lender(Store(tmp_path / "other")).teacher(run.spec, tiny)
    told = []

    def interrupt(entry):
        told.append(entry)
        if len(told) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Lender(store, report=interrupt).teacher(run.spec, tiny)
    assert teachers(store) == []
    more = []
    found = Lender(store, report=more.append).teacher(run.spec, tiny)
    assert {entry["phase"] for entry in told + more} == {"teacher"}
    assert len(more) < TRAINING.epochs
    assert torch.equal(found.rows, expected.rows)
    assert not list((store.root / ".work").glob("*.checkpoint"))


def _make(root: str, queue) -> None:
    torch.set_num_threads(1)
    data = tiny_data()
    [run] = runs(data, "taught")
    epochs = []
    rows = Lender(Store(root), report=epochs.append).teacher(run.spec, data).rows
    queue.put((len(epochs), rows.sum().item()))


def test_two_processes_train_one_teacher(store):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    started = [context.Process(target=_make, args=(store.root, queue)) for _ in range(2)]
    for process in started:
        process.start()
    found = sorted(queue.get(timeout=60) for _ in started)
    for process in started:
        process.join()
    assert [epochs for epochs, _ in found] == [0, TRAINING.epochs]
    assert found[0][1] == found[1][1]


def test_refit_has_a_teacher_for_each_of_its_trainings(tiny, store):
    for name in ("taught", "taught-on"):
        [run] = runs(tiny, name, settings=("training.refit=true",))
        record = execute(run, tiny, METHODS, store, JudgeHere(tiny, METHODS))
        assert record.status == "ok", record.error
        names = [phase.name for phase in record.phases]
        own = [p.name for p in METHODS[name].phases]
        assert names == ["teacher", "teacher"] + (2 * own or ["built"])
        first, again = record.phases[:2]
        assert again.epochs == first.best_epoch
    assert len(teachers(store)) == 4


def test_backbone_that_learns_starts_from_the_teachers(tiny, store):
    spec = runs(tiny, "taught")[0].spec
    network = BackboneSpec(name="neumf", config=NeuMF.Config().stored())
    spec = spec.model_copy(update={"backbone": network})
    pipeline = Pipeline(spec, tiny, METHODS, lender=Lender(store))
    _, backbone = pipeline.build(pipeline.data)
    teacher = Lender(store).teacher(spec, pipeline.data)
    assert backbone.start.keys() == teacher.backbone.keys() == backbone.state_dict().keys()
    run = Run(spec, "60%", 0.6, "bench run")
    record = execute(run, tiny, METHODS, store, JudgeHere(tiny, METHODS))
    assert record.status == "ok", record.error
    assert MF.Config().stored() != network.config


def test_interactions_are_the_training_pairs_alone(tiny):
    pairs = Pairs.of(tiny.train, tiny.items)
    dense = np.zeros((tiny.users, tiny.items), dtype=np.float32)
    dense[tiny.train.rows(), tiny.train.indices] = 1
    assert np.array_equal(pairs.matrix().to_dense().numpy(), dense)
    assert torch.equal(pairs.users(), torch.from_numpy(tiny.train.rows()))
    pairs.items.zero_()
    assert tiny.train.indices.any()
