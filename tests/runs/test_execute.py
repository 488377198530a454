"""One run, from spec to record: good, infeasible, failed and dishonest ones."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch
from support import conformance
from support.judge import JudgeHere
from torch import Tensor

from bench.backbones.mf import MF
from bench.check import tiny_data
from bench.data.numbering import number
from bench.engine.checkpoint import Checkpoint
from bench.engine.evaluate import Evaluator
from bench.engine.settings import Training
from bench.errors import Infeasible, SpecError
from bench.judge import ranking
from bench.method import Budget, Method, Table, file
from bench.method.identity import source_hash
from bench.method.registry import find_methods
from bench.records.scan import scan
from bench.records.schema import BackboneSpec, BudgetSpec, DatasetSpec, MethodSpec, Record
from bench.runs import environment, pipeline
from bench.runs.execute import execute as run_it
from bench.runs.popularity import Popularity
from bench.runs.record import infeasible, new_record
from bench.runs.spec import Run, RunSpec

DIM = 16
SCORED = BackboneSpec(name="mf", config=MF.Config().stored())
TRAINING = Training(lr=0.05, batch=64, epochs=6, search_epochs=3, patience=6)


class OverTheLine(conformance.Sound):
    """Declares less than it packs."""

    name = "liar"

    @classmethod
    def arrays(cls, table: Table, config):
        return {"stored.weight": (torch.float32, (config.rows, table.dim))}

    def pack(self) -> dict[str, Tensor]:
        return super().pack() | {"more": torch.zeros(5000)}


class WrongShape(conformance.Sound):
    """Looks up rows of another width once it is deployed."""

    name = "shape"

    def forward(self, ids: Tensor) -> Tensor:
        rows = super().forward(ids)
        return rows if self.table.counts is not None else rows[..., :-1]


class NotFinite(conformance.Sound):
    name = "nan"

    def forward(self, ids: Tensor) -> Tensor:
        rows = super().forward(ids)
        return rows if self.table.counts is not None else rows / 0


class Crashing(conformance.Sound):
    name = "crash"

    def reset(self, generator: torch.Generator) -> None:
        raise RuntimeError("out of luck")


METHODS: dict[str, type[Method]] = {
    **find_methods(),
    **{
        kind.name: kind
        for kind in (
            OverTheLine,
            WrongShape,
            NotFinite,
            Crashing,
            conformance.Sound,
            conformance.SoundPruned,
        )
    },
}


def execute(run, data, methods, store, **named):
    """The record as JSON holds it."""
    judge = named.pop("judge", None) or JudgeHere(data, methods)
    return run_it(run, data, methods, store, judge, **named).stored()


def run_of(
    name: str, share: float | None = 0.6, training: Training = TRAINING, **knobs: object
) -> Run:
    data = tiny_data()
    budget = None
    if share is not None:
        budget = BudgetSpec(cap=int(share * data.ids * DIM * 4), accounting="bytes")
    if name == Popularity.name:
        part, training = MethodSpec(name=name, revision=1, config={}), None
    else:
        kind = METHODS[name]
        table = Table(
            data.users,
            data.items,
            DIM,
            budget.budget() if budget else None,
            wide=True,
            backbone=SCORED.model_dump(),
        )
        config = kind.plan(table, kind.Config(**knobs))
        part = MethodSpec(
            name=name, revision=kind.revision, config=config.record(), source=source_hash(kind)
        )
    spec = RunSpec(
        schema=1,
        dataset=DatasetSpec(name=data.name, split=data.split, fingerprint=data.fingerprint),
        backbone=SCORED,
        dim=DIM,
        method=part,
        budget=budget,
        training=training,
        teacher=training if name in METHODS and "teacher" in METHODS[name].needs else None,
        seed=3,
    )
    return Run(spec, f"{share:.0%}" if share else None, share, f"bench run --method {name}")


def timeless(record: dict) -> dict:
    kept = {k: v for k, v in record.items() if k in ("id", "status", "spec", "size", "metrics")}
    for key in ("phases", "history"):
        kept[key] = [{k: v for k, v in e.items() if k != "seconds"} for e in record[key]]
    return kept


@pytest.mark.parametrize("name", [*find_methods(), Popularity.name])
def test_every_method_leaves_a_record_that_the_reader_accepts(name, tiny, store):
    free = name == Popularity.name or not METHODS[name].budgeted
    run = run_of(name, None if free else 0.6)
    record = execute(run, tiny, METHODS, store)
    assert record["status"] == "ok", record["error"]
    found = scan(store.root)
    assert [r.id for r in found.records] == [run.spec.id]
    assert found.rejected == ()
    assert json.loads(store.path(run.spec, run.spec.id).read_text()) == record
    assert not store.work(run.spec.id).exists()
    test = record["metrics"]["test"]
    users = store.per_user(run.spec, run.spec.id)
    assert float(users["recall@20"].mean(dtype=np.float64)) == pytest.approx(test["recall@20"])
    assert set(record["metrics"]["valid"]) <= set(test)
    if run.spec.budget:
        assert record["size"]["bytes"] <= run.spec.budget.cap
        assert record["size"]["bytes"] == record["size"]["file_bytes"]


def test_a_record_says_what_the_method_made_of_its_budget(tiny, store):
    record = execute(run_of("dims"), tiny, METHODS, store)
    width = record["spec"]["method"]["config"]["width"]
    assert record["method"]["outcome"] == f"{width} columns of 32 bits"


def test_a_record_says_what_was_mended_in_the_data_and_what_a_reader_must_know(tiny):
    data = replace(tiny, note="A sample.", repairs={"duplicate pairs dropped": 7})
    found = new_record(run_of("dims"), data, METHODS).stored()["data"]
    assert found["note"] == "A sample."
    assert found["repairs"] == {"duplicate pairs dropped": 7}


def test_a_method_gets_the_seed_and_the_start_of_its_run(tiny):
    run = run_of("dims", training=TRAINING.model_copy(update={"init_std": 0.03}))
    built = pipeline.Pipeline(run.spec, tiny, METHODS)
    table = built.build(built.data)[0].table
    assert (table.seed, table.std) == (run.spec.seed, 0.03)
    assert run.spec.seed != Table(1, 1, 1).seed


def test_a_search_that_ends_above_its_budget_is_infeasible(tiny, store):
    training = TRAINING.model_copy(update={"init_std": 30.0})  # beyond all thresholds below 1/2
    record = execute(run_of("pep", training=training, gain=1.0), tiny, METHODS, store)
    assert record["status"] == "infeasible"
    assert record["error"]["type"] == "Unreachable"
    assert record["error"]["message"].startswith("with gain = 1 the thresholds end below 0.5")
    assert scan(store.root).rejected == ()


def test_metrics_are_those_of_the_stored_artefact(tiny, store, monkeypatch):
    """The packed state is altered on its way to the file: metrics must follow."""
    run = run_of("dims")
    honest = execute(run, tiny, METHODS, store)["metrics"]["test"]
    assert honest["recall@5"] > 0.5
    save = safetensors.torch.save

    def spoil(tensors, metadata):
        if "bench" not in metadata:  # a checkpoint
            return save(tensors, metadata)
        generator = torch.Generator().manual_seed(0)
        noise = {k: torch.randn(v.shape, generator=generator) for k, v in tensors.items()}
        return save(noise, metadata)

    monkeypatch.setattr(file.safetensors.torch, "save", spoil)
    spoilt = execute(run, tiny, METHODS, store)["metrics"]["test"]
    assert spoilt["recall@5"] < honest["recall@5"] - 0.2


@pytest.mark.parametrize("name", ["hashing", "pep"])
def test_equal_specs_give_equal_numbers(name, tiny, store):
    first, second = (timeless(execute(run_of(name), tiny, METHODS, store)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("name", ["hashing", "cerp"])
def test_interrupted_run_ends_with_the_numbers_of_an_unbroken_one(name, tiny, store, monkeypatch):
    monkeypatch.setattr("bench.engine.checkpoint.SAVE_EVERY", 0.0)
    run = run_of(name)
    expected = timeless(execute(run, tiny, METHODS, store))
    store.path(run.spec, run.spec.id).unlink()
    for count in (3, 2):
        entries = []

        def interrupt(entry, entries=entries, count=count):
            entries.append(entry)
            if len(entries) == count:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            execute(run, tiny, METHODS, store, report=interrupt)
        assert store.work(run.spec.id).exists()
        assert store.read(run.spec, run.spec.id) is None
    assert timeless(execute(run, tiny, METHODS, store)) == expected


def broken_off(run, data, store, last) -> None:
    """Execute a run until `last` is true of an entry."""

    def report(entry):
        if last(entry):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(run, data, METHODS, store, report=report)


def in_refit(entry) -> bool:
    return entry.get("refit", False) and entry["epoch"] == 2


REFIT = TRAINING.model_copy(update={"refit": True})


@pytest.mark.parametrize(
    ("name", "training", "last"),
    [
        ("hashing", TRAINING, lambda entry: entry["epoch"] == 3),
        ("hashing", REFIT, in_refit),
    ],
)
def test_what_other_code_has_begun_is_begun_anew(name, training, last, tiny, store, monkeypatch):
    monkeypatch.setattr("bench.engine.checkpoint.SAVE_EVERY", 0.0)
    run, entries = run_of(name, training=training), []
    for state in ("0123456789ab-dirty", "0123456789ab"):
        monkeypatch.setattr(environment, "code_state", lambda state=state: state)
        entries.clear()
        broken_off(run, tiny, store, lambda entry: entries.append(entry) or last(entry))
        assert (entries[0]["epoch"], entries[0].get("refit", False)) == (1, False)
    entries.clear()
    execute(run, tiny, METHODS, store, report=entries.append)  # of the same code
    assert (entries[0]["epoch"], entries[0].get("refit", False)) != (1, False)


@pytest.mark.parametrize(
    ("name", "training", "last"),
    [
        ("hashing", TRAINING, lambda entry: entry["epoch"] == 3),
        ("hashing", REFIT, in_refit),
        ("rq", TRAINING, lambda entry: entry["phase"] == "teacher" and entry["epoch"] == 3),
    ],
)
def test_seconds_of_a_run_that_was_broken_off_count(name, training, last, tiny, store, monkeypatch):
    monkeypatch.setattr("bench.engine.checkpoint.SAVE_EVERY", 0.0)
    run = run_of(name, training=training)
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "seconds", 1000.0)
        broken_off(run, tiny, store, last)
    times = execute(run, tiny, METHODS, store)["timings"]
    expected = 2000 if training.refit else 1000
    assert expected <= times["train_s"] < expected + 100
    if name != "rq":  # the seconds of a teacher are those of several runs
        assert times["train_s"] < times["total_s"]


def test_a_peak_that_is_of_earlier_runs_too_is_not_recorded(tiny, store, monkeypatch):
    run = run_of("dims")
    assert execute(run, tiny, METHODS, store)["peak_memory_bytes"] > 0
    monkeypatch.setattr("bench.runs.execute.reset_peak", lambda: False)
    assert execute(run, tiny, METHODS, store)["peak_memory_bytes"] is None
    found = scan(store.root)
    assert [record.peak_memory_bytes for record in found.records] == [None]
    assert found.rejected == ()


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("liar", "OverBudget", "liar stores .* bytes, more than its budget of"),
        ("shape", "BrokenContract", r"\(88, 15\), not torch.float32 \(88, 16\)"),
        ("nan", "BrokenContract", "not finite"),
        ("crash", "RuntimeError", "out of luck"),
    ],
)
def test_what_goes_wrong_is_a_failed_record(name, kind, message, tiny, store):
    run = run_of(name)
    record = execute(run, tiny, METHODS, store)
    assert record["status"] == "failed"
    assert record["error"]["type"].startswith(kind)
    assert re.search(message, record["error"]["message"])
    assert "Traceback" in record["error"]["traceback"]
    assert record["metrics"] is None
    assert not store.work(run.spec.id).exists()
    assert [r.status for r in scan(store.root).records] == ["failed"]


def test_a_setting_that_only_training_can_refuse_fails_without_a_traceback(
    tiny, store, monkeypatch
):
    def refuse(*_, **__):
        raise SpecError("mlp: use the objective bpr")

    monkeypatch.setattr("bench.runs.execute._trained", refuse)
    error = execute(run_of("dims"), tiny, METHODS, store)["error"]
    assert error["type"] == "SpecError"
    assert error["message"] == "mlp: use the objective bpr"
    assert not error["traceback"]


def test_budget_binds_even_a_method_that_is_right_until_it_trains(tiny, store):
    methods = {**METHODS, "sound-pruned": conformance.Grows}
    record = execute(run_of("sound-pruned"), tiny, methods, store)
    assert record["status"] == "failed"
    assert record["error"]["type"].startswith("OverBudget")


def test_infeasible_is_a_result_with_its_minimum(tiny, store):
    with pytest.raises(Infeasible) as caught:
        kind = METHODS["qr"]
        kind.plan(Table(tiny.users, tiny.items, DIM, Budget(100)), kind.Config())
    run = run_of("qr")
    record = infeasible(new_record(run, tiny, METHODS), caught.value)
    assert record.status == "infeasible"
    assert record.error.minimum == caught.value.minimum
    store.write(record)
    found = scan(store.root)
    assert [r.status for r in found.records] == ["infeasible"]
    assert found.rejected == ()


def test_refit_uses_the_chosen_epochs_and_validation_data(tiny, store):
    # Epochs after the best one, so that those are not all that were trained.
    training = TRAINING.model_copy(update={"lr": 0.5, "epochs": 12, "patience": 2})
    run = run_of("dims", training=training.model_copy(update={"refit": True}))
    record = execute(run, tiny, METHODS, store)
    assert record["status"] == "ok", record["error"]
    first, second = record["phases"]
    assert second["epochs"] == first["best_epoch"] < first["epochs"]
    assert record["metrics"]["valid"] is None
    assert scan(store.root).rejected == ()
    plain = execute(run_of("dims", training=training), tiny, METHODS, store)
    assert plain["id"] != record["id"]
    assert plain["metrics"]["test"] != record["metrics"]["test"]


@pytest.mark.parametrize("method", ["svd", "ptq", "pq"])
def test_validation_prefers_the_better_file_of_a_method_that_learns_nothing(tiny, store, method):
    """The score of its teacher is the same for all sizes."""
    training = TRAINING.model_copy(update={"refit": True})
    found = []
    for share in (0.45, 1.1):
        record = execute(run_of(method, share, training), tiny, METHODS, store)
        assert record["status"] == "ok", record["error"]
        assert record["phases"][-1]["name"] == "built"
        found.append(Record.model_validate(record).selection)
    assert found[0] != found[1]


@pytest.mark.parametrize("parallel", [True, False])
def test_a_record_says_whether_other_runs_shared_the_machine(parallel, tiny, store):
    record = execute(run_of(Popularity.name, None), tiny, METHODS, store, parallel=parallel)
    assert record["timings"]["parallel"] is parallel


def test_test_data_is_touched_once(tiny, store, monkeypatch):
    ranked = []

    class Counting(Evaluator):
        def __init__(self, part, *rest, **named):
            super().__init__(part, *rest, **named)
            self.part = part

        def __call__(self, scores):
            ranked.append("test" if self.part is tiny.test else "valid")
            return super().__call__(scores)

        def metrics(self, scores):
            return self(scores).metrics

    # Keeps the parts.
    monkeypatch.setattr(pipeline, "number", lambda data, _: number(data, "file"))
    monkeypatch.setattr(ranking, "number", lambda data, _: number(data, "file"))
    monkeypatch.setattr(ranking, "Evaluator", Counting)
    monkeypatch.setattr("bench.engine.loop.Evaluator", Counting)
    execute(run_of("hashing"), tiny, METHODS, store)
    assert ranked.count("test") == 1
    assert ranked.count("valid") == TRAINING.epochs + 1
    assert ranked.index("test") >= TRAINING.epochs


def test_training_and_validation_items_are_masked_at_test_time(tiny, store):
    """Popularity is known without training, so its metrics can be worked out beside."""
    record = execute(run_of(Popularity.name, None), tiny, METHODS, store)
    counts = torch.from_numpy(tiny.item_counts()).float()
    found = {}
    for label, seen in (("both", [tiny.train, tiny.valid]), ("train", [tiny.train])):
        evaluator = Evaluator(tiny.test, seen, tiny.items)

        def scores(users, order, out):
            out[:, : len(order)] = counts[order]

        found[label] = evaluator(scores).metrics
    assert found["both"] != found["train"]
    assert found["both"].items() <= record["metrics"]["test"].items()


def test_selection_does_not_depend_on_test_data(tiny, store):
    other = replace(tiny, test=tiny.valid)
    one = execute(run_of("hashing"), tiny, METHODS, store)
    two = execute(run_of("hashing"), other, METHODS, store)
    assert timeless(one)["history"] == timeless(two)["history"]
    assert one["metrics"]["valid"] == two["metrics"]["valid"]


def test_popularity_ranks_by_training_counts(tiny, store):
    record = execute(run_of(Popularity.name, None), tiny, METHODS, store)
    assert record["method"]["role"] == "reference"
    assert record["size"]["arrays"]["counts"]["bytes"] == tiny.items * 4
    assert record["phases"] == []
