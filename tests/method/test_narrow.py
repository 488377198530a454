"""Methods that work in fewer columns than the board has: how many, what is stored, what is zero."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

from bench.backbones.lightgcn import LightGCN
from bench.backbones.mf import MF
from bench.budget import Budget
from bench.check import tiny_data
from bench.check.subject import Subject
from bench.engine.evaluate import Evaluator
from bench.engine.loop import Fit
from bench.engine.rank import rank
from bench.engine.settings import Training
from bench.method import Progress, Table
from bench.method.file import write_file
from bench.method.narrow import Narrow, columns, solve_width
from bench.method.registry import find_methods, get_method
from bench.runs.plan import plan
from bench.runs.settings import override
from bench.runs.suite import validated

NARROW = sorted(name for name, kind in find_methods().items() if issubclass(kind.Config, Narrow))
# A trained table has no more columns than it was trained with.
WIDENED = [name for name in NARROW if "teacher" not in get_method(name).needs]


def test_methods_that_take_part():
    assert {"pep", "cerp", "hashing", "qr", "ttrec", "magnitude"} <= set(WIDENED)
    assert not {"full", "dims"} & set(NARROW)


@pytest.mark.parametrize(
    ("cap", "accounting", "wide", "width"),
    [
        (160, "values", 2.0, 4),  # 160 values for 80 ids are two columns
        (640, "bytes", 2.0, 4),
        (640, "bytes", 1.4, 3),
        (640, "bytes", 0.1, 1),  # one at least
        (640, "bytes", 100.0, 16),  # and no more than the table has
        (640, "bytes", None, 16),
    ],
)
def test_width_is_a_multiple_of_what_a_plain_table_would_have(cap, accounting, wide, width):
    table = Table(30, 50, 16, Budget(cap, accounting))
    assert columns(table, solve_width(table, Narrow(wide=wide))) == width


def test_a_given_width_stays():
    table = Table(30, 50, 16, Budget(640))
    assert solve_width(table, Narrow(wide=2.0, width=7)).width == 7


@pytest.mark.parametrize("name", NARROW)
def test_narrow_rows_are_what_is_stored_and_zeros(name):
    kind = get_method(name)
    table = Table(30, 50, 16, Budget(2000))  # 25 bytes an id: six columns
    config = kind.plan(table, kind.Config(wide=1.5))
    assert config.width == round(1.5 * 2000 / 4 / 80) == 9
    method = kind(Subject(kind).given(table), config)
    method.reset(torch.Generator().manual_seed(0))
    ids = torch.arange(80)
    with torch.no_grad():
        rows = method(ids)
        assert rows.shape == (80, 16)
        assert bool((rows[:, 9:] == 0).all())
        assert rows[:, :9].std() > 0.01
    for phase in kind.phases:
        method.begin(phase, Progress(0, 10, 0, 1), 0.01)
        rows = method(ids)
        (rows.square().sum() + method.penalty(rows, Progress(0, 10, 0, 1))).backward()
        method.finish(phase)
    packed = method.pack()
    size = kind.file_size(table, config)
    assert len(write_file(method)) == size.bytes
    assert 0.8 * 2000 < size.bytes <= 2000
    with torch.no_grad():
        assert torch.equal(kind.rows(packed, table, config, ids), method(ids))


def test_the_regulariser_counts_the_columns_that_are_there():
    kind = get_method("cerp")
    table = Table(6, 4, 12)
    wide = kind(Table(6, 4, 3), kind.Config(buckets=4, kept=12))
    narrow = kind(table, kind.Config(buckets=4, kept=12, width=3))
    for method in (wide, narrow):
        method.reset(torch.Generator().manual_seed(0))
        method.begin(kind.phases[0], Progress(0, 10, 0, 1), 0.01)
    ids = torch.arange(10)
    first = [m.penalty(m(ids), Progress(0, 10, 0, 1)) for m in (wide, narrow)]
    assert first[0].item() == pytest.approx(first[1].item(), rel=1e-6)


def test_narrow_tables_store_more_rows_or_entries():
    table = Table(29_858, 40_981, 64, Budget(1_813_478))
    for name, knob in (("hashing", "rows"), ("pep", "kept"), ("cerp", "buckets")):
        kind = get_method(name)
        plain, narrow = (kind.plan(table, kind.Config(wide=wide)) for wide in (None, 2.0))
        assert getattr(narrow, knob) > getattr(plain, knob)
        assert plain.width is None
    # Fewer bits for a column's number: 4 a kept entry for 13 columns, 6 for 64.
    assert get_method("pep").plan(table, get_method("pep").Config(wide=2.0)).kept == 424_493


CONTENT = {
    "methods": ["pep", "hashing"],
    "budgets": ["10%", "20%"],
    "seeds": 1,
    "dim": 16,
    "method": {"pep": {"wide": 4.0, "first": 0.02}},
    "override": [{"when": {"method": "pep", "budget": "10%"}, "set": {"wide": 2.0}}],
}


def settings(suite) -> dict[tuple[str, str], dict]:
    planned = plan(suite, tiny_data(), find_methods(), "bench run")
    return {
        (one.run.spec.method.name, one.run.label): one.run.spec.method.config for one in planned
    }


def test_a_suite_can_set_a_method_at_one_budget():
    found = settings(validated(CONTENT, "test"))
    assert found["pep", "10%"]["wide"] == 2.0
    assert found["pep", "10%"]["first"] == 0.02  # the rest is as at all budgets
    assert found["pep", "20%"]["wide"] == 4.0
    assert "wide" not in found["hashing", "10%"]  # ids of runs without it are as before


def test_what_is_typed_goes_before_what_holds_at_one_budget():
    found = settings(override(validated(CONTENT, "test"), ["pep.wide=3.0"]))
    assert found["pep", "10%"]["wide"] == found["pep", "20%"]["wide"] == 3.0


@pytest.mark.parametrize("backbone", [MF, LightGCN])
@pytest.mark.parametrize("name", [*NARROW, "dims"])
def test_training_leaves_the_columns_of_zeros_out(name, backbone, monkeypatch):
    """The losses of a run are those of rows with all columns, and so is the ranking."""
    data, kind = tiny_data(), get_method(name)
    table = Table(data.users, data.items, 16, Budget(2600))
    asked = kind.Config(wide=1.5) if name in NARROW else kind.Config()
    training = Training(lr=0.05, batch=64, epochs=3, search_epochs=3)

    def run(narrow: bool) -> tuple[list[float], float, int]:
        monkeypatch.setattr(backbone, "narrow", narrow)
        given = Subject(kind).given(table, data.train)
        method, seen = kind(given, kind.plan(table, asked)), []
        scored = backbone(data, 16, backbone.Config(similarity="cosine"))
        embed = scored.embed
        monkeypatch.setattr(scored, "embed", lambda rows: seen.append(rows.shape[1]) or embed(rows))
        state = Fit(method, scored, data, training, seed=0).run()
        with torch.no_grad():
            rows = method(torch.arange(table.ids))
        result = rank(scored, rows, Evaluator(data.test, [data.train], data.items))
        assert set(seen) == {method.width if narrow else 16}
        return [entry["loss"] for entry in state.history], result.metrics["ndcg@20"], method.width

    left_out, all_columns = run(True), run(False)
    assert left_out[2] < 16
    assert left_out[0][:1] == pytest.approx(all_columns[0][:1], rel=0.01)
    # A cut that falls on another row, by the last bit of a sum, is seen in later epochs.
    assert left_out[0] == pytest.approx(all_columns[0], rel=0.03)
    assert left_out[1] == pytest.approx(all_columns[1], abs=0.04)


def test_a_knob_that_was_renamed_is_read_and_recorded_under_its_old_name():
    """Records of earlier boards keep their ids."""
    kind = find_methods()["pep"]
    assert kind.Config(wide=2.0) == kind.Config(width_factor=2.0)
    assert kind.Config(width_factor=2.0).record() == {"first": 0.01, "kept": 0, "wide": 2.0}
    with pytest.raises(ValidationError):
        kind.Config(wide=2.0, width_factor=3.0)


WIDE = Table(2_000, 3_000, 64, wide=True)
FILLED = {(0.05, 4), (0.2, 1)}  # columns are added to few methods, and to all


@pytest.mark.parametrize(
    ("share", "bits"),
    [
        pytest.param(share, bits, marks=[] if (share, bits) in FILLED else pytest.mark.slow)
        for share in (0.05, 0.2)
        for bits in (8, 4, 3, 2, 1)
    ],
)
@pytest.mark.parametrize("name", WIDENED)
def test_few_bits_leave_no_budget_unused(name, share, bits):
    """Rows, divisors and ranks end somewhere; then columns are added."""
    kind, cap = get_method(name), round(share * WIDE.ids * 64 * 4)
    table = replace(WIDE, budget=Budget(cap))
    config = kind.plan(table, kind.Config(bits=bits))
    used = kind.file_size(table, config).bytes
    assert 0.97 * cap <= used <= cap
    assert kind.plan(table, config) == config


@pytest.mark.parametrize("name", NARROW)
def test_columns_are_added_to_nothing_else(name):
    """Not to float32, not where a backbone takes `dim` columns, not where somebody set them."""
    kind = get_method(name)
    table = replace(WIDE, budget=Budget(round(0.5 * WIDE.ids * 64 * 4)))
    plain = kind.Config(width_factor=None)  # some have few columns unless they are told otherwise
    assert kind.plan(table, plain).width is None
    few = plain.model_copy(update={"bits": 1})
    assert kind.plan(replace(table, wide=False), few).width is None
    assert kind.plan(table, few.model_copy(update={"width": 64})).width == 64


def test_a_train_of_many_columns_has_three_factors():
    """A multiple of the plain table's columns may be a prime number."""
    kind, table = get_method("ttrec"), replace(WIDE, budget=Budget(128_000))
    config = kind.plan(table, kind.Config(bits=4, width_factor=2.0))
    assert config.width == 96  # 2 x 49 columns, to the next multiple of 16
    assert kind.factors(table, 96)[1] == (4, 4, 6)
    assert kind.plan(table, kind.Config(width_factor=2.0)).width == 13
