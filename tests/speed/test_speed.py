"""`bench speed`: what is timed, compared and printed. No time is judged."""

from __future__ import annotations

import contextlib
import json
import time

import pytest
import torch
from typer.testing import CliRunner

from bench.check import tiny_data
from bench.cli import app, main
from bench.cli.show_speed import against_left_out, explain
from bench.engine.settings import Training
from bench.errors import BenchError
from bench.method.registry import find_methods
from bench.runs.plan import plan
from bench.runs.suite import validated
from bench.speed import floors, versus
from bench.speed.floors import Floor, Part, evaluation_floor, step_floor
from bench.speed.measure import Effort, chosen, measure
from bench.speed.probe import Probe
from bench.speed.probe import tested as of_test

METHODS = find_methods()
SOFTMAX = {"name": "softmax", "negatives": 32, "temperature": 0.1}


def planned(*methods: str, backbone: str = "mf", **training):
    content = {
        "methods": list(methods),
        "budgets": ["40%"],
        "seeds": 2,
        "dim": 16,
        "backbones": [backbone],
        "training": {"batch": 64, "objective": SOFTMAX, "epochs": 3, **training},
    }
    return plan(validated(content, "test"), tiny_data(), METHODS, "bench run")


def probe(method: str = "full", phase: int = 0, **knobs) -> Probe:
    (one,) = chosen(planned(method, **knobs))
    return Probe(one.run.spec, tiny_data(), METHODS, phase)


def test_every_phase_of_the_first_seed_is_timed_and_ratios_are_of_one_round():
    steps, rounds = 2, 3
    told: list[tuple[int, int]] = []
    result = measure(
        planned("full", "cerp"),
        tiny_data(),
        METHODS,
        Effort(steps, rounds),
        tell=lambda done, total, what: told.append((done, total)),
    )
    rows = {(row["method"], row["phase"]): row for row in result["rows"]}
    assert set(rows) == {("full", "train"), ("cerp", "search"), ("cerp", "retrain")}
    for row in rows.values():
        assert row["steps_timed"] == steps * rounds
        assert row["epoch_s"] == pytest.approx(row["steps"] * row["step_s"] + row["around_s"])
        assert row["positives_per_s"] == pytest.approx(tiny_data().train.nnz / row["epoch_s"])
        assert row["floor_s"] == pytest.approx(sum(row["floor"].values()))
        assert row["ratio"] > 0
    # A search is not ranked: what it ends with is not what is deployed.
    assert rows["cerp", "search"]["evaluation"] is None
    assert rows["cerp", "retrain"]["evaluation"]["users_timed"] == of_test(tiny_data())
    assert rows["full", "train"]["epoch_ratio_to_full"] == 1
    share = rows["cerp", "search"]["epoch_s"] / rows["full", "train"]["epoch_s"]
    assert rows["cerp", "search"]["epoch_ratio_to_full"] == pytest.approx(share)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert {total for _, total in told} == {3 * (1 + rounds)}


def test_nothing_to_time_is_said():
    with pytest.raises(BenchError, match="nothing to time"):
        measure(planned("popularity"), tiny_data(), METHODS, Effort(1, 1))


def test_a_floor_counts_its_parts_as_often_as_the_work_needs_them():
    ran = []
    floor = Floor(
        (Part("once", lambda: ran.append(1)), Part("thrice", lambda: ran.append(3), 3)),
        torch.device("cpu"),
    )
    found = floor.measure()
    assert set(found) == {"once", "thrice"}
    assert ran == [1, 3]  # timed once, counted three times


def test_floor_of_a_softmax_step():
    data = tiny_data()
    names = [part.name for part in step_floor(probe()).parts]
    assert names[0] == "64 x 32 scores, 64 rows at a time: 3 GEMM by 16, exp"
    assert names[1].endswith(f"of {data.ids} x 16")
    assert names[2].startswith("fused Adam over ")
    assert probe("dims").width < 16
    narrow = [part.name for part in step_floor(probe("dims")).parts]
    assert f"3 GEMM by {probe('dims').width}, exp" in narrow[0]
    searched = [part.name for part in step_floor(probe("pep")).parts]
    # Thresholds decay, whether a step reads them or not.
    entries = data.ids * 16
    assert int(searched[-1].split()[3].replace(",", "")) > entries


def test_scores_are_computed_in_blocks_that_count_as_often_as_a_batch_has_them(monkeypatch):
    monkeypatch.setattr(floors, "_SCORES", 8 * 32)
    part = step_floor(probe()).parts[0]
    assert part.times == 8
    assert "8 rows at a time" in part.name
    part.run()


def test_floor_of_lightgcn_has_products_of_all_rows_and_two_of_the_rows_of_the_batch():
    made = probe(backbone="lightgcn")
    (product,) = (part for part in step_floor(made).parts if "sparse" in part.name)
    # Two layers forward and two backward for all rows; 64 users have less than all entries.
    assert 4 < product.times < 6
    assert f"{2 * tiny_data().train.nnz:,} entries x 16" in product.name
    ranked = evaluation_floor(made)
    assert [part.times for part in ranked.parts if "sparse" in part.name] == [3]
    squared = probe(backbone="lightgcn", objective={"name": "squared"})
    assert [part.times for part in step_floor(squared).parts if "sparse" in part.name] == [6]


def test_floor_of_a_ranking_is_the_gemm_of_all_tested_users():
    made = probe()
    (part,) = evaluation_floor(made).parts
    users, items = of_test(tiny_data()), tiny_data().items
    assert part.name.startswith(f"GEMM {users:,} x 16 x {items:,} ")
    assert part.times == 1  # all of them are timed, because they are one block


def test_steps_go_on_from_each_other():
    made = probe()
    before = made.method.stored.weight.detach().clone()
    assert len(made.steps(3)) == 3
    made.close()
    assert not torch.equal(made.method.stored.weight, before)


def test_parts_of_a_floor_are_explained_once():
    result = measure(planned("full", "dims"), tiny_data(), METHODS, Effort(1, 1))
    text = explain(result)
    assert text.count("64 x 32 scores, 64 rows at a time: 3 GEMM by 16") == 1
    assert "Medians of 1 steps in 1 rounds" in text


def test_the_command_prints_tables_or_json():
    words = ["speed", "-d", "ml-100k", "-m", "full", "-b", "10%", "--rounds", "1", "--steps", "1"]
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 0, shown.output
    assert "Full ranking of 1,447 items" in shown.stdout
    data = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert data["dataset"] == "ml-100k"
    assert [row["method"] for row in data["rows"]] == ["full"]


class Clockwork:
    """Stands for RecBole's trainer: a step takes 2 s, a ranking 3 s."""

    batches = 7

    def steps(self, count):
        return 1.0, [2.0] * count

    def evaluation(self):
        return 3.0


@pytest.mark.parametrize(("rounds", "rankings"), [(1, 1), (4, 2)])
def test_recbole_is_timed_in_turns_with_progress(monkeypatch, rounds, rankings):
    monkeypatch.setattr(versus, "_recbole", lambda *_: contextlib.nullcontext(Clockwork()))
    told = []
    found = versus.against_recbole(
        tiny_data(),
        METHODS,
        16,
        Training(batch=64),
        Effort(6, rounds),
        float("inf"),
        lambda *progress: told.append(progress),
    )
    assert [row["model"] for row in found["rows"]] == ["BPR", "LightGCN"]
    assert [row["steps_timed"] for row in found["rows"]] == [[6 * rounds] * 2, [2 * rounds] * 2]
    for row in found["rows"]:
        assert row["epoch"]["theirs_s"] == 7 * 2.0 + 1.0
        assert row["evaluation"]["theirs_s"] == 3.0
    assert [done for done, _, _ in told] == list(range(len(told)))
    assert {total for _, total, _ in told} == {len(told)}
    assert sum("RecBole's ranking" in what for _, _, what in told) == 2 * rankings


def test_after_the_deadline_no_round_begins_but_the_first_and_that_is_said(monkeypatch):
    monkeypatch.setattr(versus, "_recbole", lambda *_: contextlib.nullcontext(Clockwork()))
    found = versus.against_recbole(
        tiny_data(), METHODS, 16, Training(batch=64), Effort(6, 3), time.monotonic() - 1
    )
    assert [row["steps_timed"] for row in found["rows"]] == [[6, 6], [2, 2]]
    said = against_left_out(found)
    for model in ("BPR", "LightGCN"):
        assert f"{model}: 1 of 3 rounds, for want of time" in said
    assert "rankings were timed in the first and the last round only" in said


def test_against_recbole_times_the_full_table_only(monkeypatch, capsys):
    monkeypatch.setattr(versus, "against_recbole", lambda *_: {"rows": [], "left_out": []})
    words = ["speed", "-d", "ml-100k", "--against", "recbole", "--rounds", "1", "--steps", "1"]
    monkeypatch.setattr("sys.argv", ["bench", *words, "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    shown = capsys.readouterr()
    assert not ended.value.code, shown.err
    assert [row["method"] for row in json.loads(shown.out)["rows"]] == ["full"]
    assert "only the full table is timed" in shown.err
