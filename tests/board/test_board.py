"""What a board says follows from the records alone, and from nothing else."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.make_records import Toy, make, make_many, write

from bench.board import Board, Entry, Group, load
from bench.board.build import gather, split_up
from bench.board.measure import measure
from bench.board.quantities import QUANTITIES, quantity
from bench.board.stats import holm
from bench.errors import BenchError
from bench.records.per_user import read
from bench.records.scan import scan

TOY = Toy("toy", 60, 90, 0.4)
NOTED = Toy("noted", 60, 90, 0.4, note="Sampled.")


def put(
    folder: Path, method: str, fraction: float | None = 0.1, seed: int = 0, **other: Any
) -> Path:
    backbone = other.pop("backbone", "mf")
    return write(folder, *make(other.pop("toy", TOY), backbone, method, fraction, seed, **other))


def board_of(folder: Path) -> Board:
    board = load(folder)
    assert not board.rejected
    return board


def entries(group: Group) -> dict[tuple[str, str], Entry]:
    return {
        (board.label, e.row.key): e
        for board in group.boards
        for e in (*board.entries, *board.apart)
    }


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    make_many(folder, toys=(TOY, NOTED), backbones=("mf",), budgets=(0.05, 0.1, 0.25))
    return folder


def test_one_row_a_run_and_one_column_a_quantity(many: Path) -> None:
    frame = board_of(many).frame
    assert len(frame) == len(list(many.rglob("*.json")))
    assert frame["id"].is_unique
    assert {q.key for q in QUANTITIES} <= set(frame.columns)
    record = json.loads((many / frame["path"][0]).read_text())
    assert frame["recall@20"][0] == record["metrics"]["test"]["recall@20"]


def test_missing_is_empty_and_never_zero(many: Path) -> None:
    frame = board_of(many).frame
    without = frame[frame["status"] != "ok"]
    assert len(without)
    assert without[[q.key for q in QUANTITIES]].isna().all().all()
    popularity = frame[frame["method"] == "popularity"]
    assert popularity["lookup_1"].isna().all()
    assert quantity("ndcg@20").text(None) == ""
    assert quantity("ndcg@20").text(float("nan")) == ""
    assert quantity("ndcg@20").text(0.0) == "0.0000"


def test_timings_of_runs_that_shared_the_machine_are_left_out(many: Path) -> None:
    frame = board_of(many).frame
    shared = frame[(frame["method"] == "ttrec") & (frame["status"] == "ok")]
    alone = frame[(frame["method"] == "cerp") & (frame["status"] == "ok")]
    for key in ("train_s", "latency", "lookup_1024"):
        assert shared[key].isna().all()
        assert alone[key].notna().all()


def test_mean_sd_and_derived_quantities(tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        put(tmp_path, "full", None, seed)
        put(tmp_path, "cerp", 0.1, seed)
    board = board_of(tmp_path)
    (group,) = board.groups
    row = group.boards[0].entries[0].row
    mine = board.frame[board.frame["method"] == "cerp"]["ndcg@20"]
    assert row.numbers["ndcg@20"].mean == pytest.approx(mine.mean())
    assert row.numbers["ndcg@20"].sd == pytest.approx(mine.std())
    top = board.frame[board.frame["method"] == "full"]["ndcg@20"].mean()
    assert group.kept(row) == pytest.approx(100 * mine.mean() / top)
    full_bytes = (60 + 90) * 64 * 4
    assert row.mean("compression") == pytest.approx(full_bytes / row.first.size.bytes)
    assert row.mean("latency") == pytest.approx(1e6 / row.mean("lookup_1"))


def test_quintiles_are_sums_over_their_users_and_items(tmp_path: Path) -> None:
    path = put(tmp_path, "cerp")
    board = board_of(tmp_path)
    users = np.load(path.with_suffix(".npz"))
    row = board.groups[0].boards[0].entries[0].row
    for q in range(5):
        assert row.mean(f"users_{q + 1}") == pytest.approx(
            users["recall@20"][users["activity"] == q].mean(), abs=1e-6
        )
        assert row.mean(f"items_{q + 1}") == pytest.approx(
            users["item_hits"][q] / users["item_total"][q]
        )


def test_rank_is_by_mean_ndcg_and_ceiling_and_reference_stand_aside(many: Path) -> None:
    for group in board_of(many).groups:
        assert group.ceiling is not None and group.ceiling.method == "full"
        assert [row.method for row in group.references] == ["popularity"]
        for board in group.boards:
            means = [e.row.mean("ndcg@20") or 0 for e in board.entries]
            assert means == sorted(means, reverse=True)
            assert [e.rank for e in board.entries] == list(range(1, len(means) + 1))
            assert not {"full", "popularity"} & {e.row.method for e in board.entries}


def test_a_row_without_all_seeds_is_shown_apart(many: Path) -> None:
    group = next(g for g in board_of(many).groups if g.dataset == "toy")
    board = group.boards[0]
    (apart,) = board.apart
    assert (apart.row.method, apart.rank) == ("ttrec", None)
    assert apart.reason == "2 of 3 seeds, 1 failed"
    assert apart.incomplete


def test_a_file_can_ask_for_more_seeds(tmp_path: Path) -> None:
    path = put(tmp_path, "cerp")
    assert board_of(tmp_path).groups[0].boards[0].entries
    asked = path.parents[2] / "board.json"
    asked.write_text('{"seeds": 3}')
    (board,) = board_of(tmp_path).groups[0].boards
    assert (board.seeds, board.entries) == (3, ())
    assert board.apart[0].reason == "1 of 3 seeds"
    for wrong in ("{}", "[", '{"seeds": 0}', '{"seeds": true}'):
        asked.write_text(wrong)
        with pytest.raises(BenchError, match=r"board\.json"):
            load(tmp_path)


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ({"epochs": 60}, "training.epochs: 60 instead of 30"),
        ({"refit": True}, "training.refit: true instead of false"),
        ({"objective": {"name": "softmax"}}, 'training.objective: {"name":"softmax"} instead'),
    ],
)
def test_another_protocol_is_shown_apart(
    tmp_path: Path, training: dict[str, Any], said: str
) -> None:
    for method in ("cerp", "pep", "dims"):
        put(tmp_path, method)
    put(tmp_path, "qr", training=training)
    (board,) = board_of(tmp_path).groups[0].boards
    (apart,) = board.apart
    assert apart.row.method == "qr"
    assert apart.reason.startswith("another protocol")
    assert said in apart.reason
    assert not apart.incomplete
    assert len(board.entries) == 3


def test_a_method_may_own_its_learning_rate_and_decay(tmp_path: Path) -> None:
    put(tmp_path, "cerp")
    put(tmp_path, "pep", training={"lr": 0.1, "l2": 0.0})
    (board,) = board_of(tmp_path).groups[0].boards
    assert {e.row.method for e in board.entries} == {"cerp", "pep"}


def test_an_old_revision_is_superseded(tmp_path: Path) -> None:
    put(tmp_path, "cerp", revision=1)
    put(tmp_path, "cerp", revision=2)
    (board,) = board_of(tmp_path).groups[0].boards
    assert [e.row.first.spec.method.revision for e in board.entries] == [2]
    assert "superseded by 2" in board.apart[0].reason


def test_several_settings_of_a_method_are_told_apart(tmp_path: Path) -> None:
    put(tmp_path, "cerp", config={"buckets": 10})
    put(tmp_path, "cerp", config={"buckets": 20})
    group = board_of(tmp_path).groups[0]
    labels = {e.row.label for e in group.boards[0].entries}
    assert labels == {"CERP (buckets=10)", "CERP (buckets=20)"}
    # The curve takes the one that validation prefers, not the one that tests best.
    (curve,) = group.curves
    best = max((e.row for e in group.boards[0].entries), key=lambda r: r.mean("valid_ndcg@20") or 0)
    assert curve.points[0].row.key == best.key


def test_infeasible_is_a_gap_and_failed_is_listed(many: Path) -> None:
    group = next(g for g in board_of(many).groups if g.dataset == "toy")
    gaps = {(board.label, gap.title): gap for board in group.boards for gap in board.gaps}
    assert gaps["5%", "Int8"].minimum == int(0.25 * 150 * 64 * 4)
    assert gaps["5%", "Int8"].seeds == (0, 1, 2)
    failed = gaps["5%", "TT-Rec"]
    assert (failed.status, failed.seeds, failed.message) == ("failed", (2,), "loss is not finite")
    int8 = next(curve for curve in group.curves if curve.method == "int8")
    assert [point.budget for point in int8.points] == ["25%"]


def test_significance_marks(tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        put(tmp_path, "dims", seed=seed)
        put(tmp_path, "cerp", seed=seed, shift=0.3)
        put(tmp_path, "dhe", seed=seed)
    put(tmp_path, "popularity", None, backbone="none", shift=0.1)
    (board,) = board_of(tmp_path).groups[0].boards
    found = {e.row.method: e for e in board.entries}
    assert board.control == "Fewer dimensions"
    assert found["cerp"].best and not found["cerp"].unbeaten
    assert found["cerp"].against_best is None
    against = found["dhe"].against_best
    assert against is not None and against.significant and against.difference < -0.2
    assert against.low < against.difference < against.high
    assert found["dhe"].unbeaten == ("Fewer dimensions",)
    assert found["dims"].unbeaten == () and found["dims"].against_control is None
    assert found["dhe"].below_reference and not found["cerp"].below_reference


def test_p_values_are_corrected_over_the_leaderboard(many: Path) -> None:
    for board in board_of(many).groups[0].boards:
        found = [e.against_best for e in board.entries if e.against_best]
        assert len(found) > 5
        assert [c.corrected for c in found] == holm([c.p for c in found])
        assert any(c.corrected > c.p for c in found)


def test_ahead_of_a_control_by_noise_is_not_beating_it(tmp_path: Path) -> None:
    record, users = make(TOY, "mf", "dims", 0.1, 0)
    assert users is not None
    write(tmp_path, record, users)
    other, _ = make(TOY, "mf", "cerp", 0.1, 0)
    wobble = np.random.default_rng(0).normal(0.0005, 0.02, TOY.users).astype(np.float32)
    wobble += np.float32(0.0005) - wobble.mean()
    users["ndcg@20"] = np.clip(users["ndcg@20"] + wobble, 0, 1)
    mean = float(users["ndcg@20"].mean(dtype=np.float64))
    other["metrics"]["test"] |= {
        "ndcg@20": mean,
        "recall@20": record["metrics"]["test"]["recall@20"],
        "recall@5": 0.0,
        "recall@10": 0.0,
        "recall@50": 1.0,
    }
    write(tmp_path, other, users)
    (board,) = board_of(tmp_path).groups[0].boards
    assert [e.row.method for e in board.entries] == ["cerp", "dims"]
    against = board.entries[0].against_control
    assert against is not None and against.difference > 0 and not against.significant
    assert board.entries[0].unbeaten == ("Fewer dimensions",)
    assert not board.entries[0].best


def test_without_users_significance_is_not_known(tmp_path: Path) -> None:
    for method, shift in (("dims", 0.0), ("cerp", 0.3)):
        put(tmp_path, method, shift=shift).with_suffix(".npz").unlink()
    (board,) = board_of(tmp_path).groups[0].boards
    first, second = board.entries
    assert first.row.method == "cerp"
    assert first.against_control is None and second.against_best is None
    assert not first.best  # nobody can say
    assert first.unbeaten == ()  # the means decide


def test_budgets_in_bytes_and_in_values_are_different_boards(tmp_path: Path) -> None:
    put(tmp_path, "cerp")
    record, users = make(TOY, "mf", "cerp", 0.1, 0)
    for part in (record["spec"]["budget"], record["budget"]):
        part.update(cap=960, accounting="values")
    write(tmp_path, record, users)
    (group,) = board_of(tmp_path).groups
    assert [board.accounting for board in group.boards] == ["bytes", "values"]
    assert {c.title for c in group.curves} == {"CERP (bytes budget)", "CERP (values budget)"}


def test_reference_of_other_data_stays_away(tmp_path: Path) -> None:
    put(tmp_path, "cerp")
    record, users = make(TOY, "none", "popularity", None, 0)
    record["spec"]["dataset"]["fingerprint"] = "0" * 64
    write(tmp_path, record, users)
    (group,) = board_of(tmp_path).groups
    assert group.references == ()


def test_only_a_reference(tmp_path: Path) -> None:
    put(tmp_path, "popularity", None, backbone="none")
    (group,) = board_of(tmp_path).groups
    assert (group.backbone, group.boards, group.ceiling) == ("none", (), None)


def test_only_failures(tmp_path: Path) -> None:
    put(tmp_path, "cerp", status="failed")
    (group,) = board_of(tmp_path).groups
    assert group.boards[0].gaps[0].status == "failed"
    assert group.curves == ()


def test_empty_and_missing_folders(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        board = board_of(folder)
        assert board.groups == () and len(board.frame) == 0


def test_pareto_front(many: Path) -> None:
    for group in board_of(many).groups:
        front = group.front("bytes", "ndcg@20")
        assert front
        rows = [e.row for board in group.boards for e in board.entries]
        for chosen in front:
            size, score = chosen.mean("bytes"), chosen.mean("ndcg@20")
            assert not any(
                r.mean("bytes") <= size and r.mean("ndcg@20") > score
                for r in rows
                if r is not chosen
            )
        sizes = [row.mean("bytes") for row in front]
        assert sizes == sorted(sizes)
        # One per budget at most: a few bytes fewer are no reason to be on the front.
        assert len({row.first.budget and row.first.budget.label for row in front}) == len(front)


@pytest.fixture(scope="module")
def whole(many: Path) -> Group:
    return next(g for g in load(many).groups if g.dataset == "toy")


def _numbers(group: Group) -> dict[tuple[str, str], Any]:
    return {key: dict(entry.row.numbers) for key, entry in entries(group).items()}


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_missing_seed_never_changes_another_row(
    many: Path, whole: Group, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    victims = [e.row.records[1].path for e in entries(whole).values() if len(e.row.records) == 3]
    gone = data.draw(st.sampled_from(sorted(victims)))
    folder = tmp_path_factory.mktemp("copy") / "results"
    shutil.copytree(many / "toy-v10-s0", folder / "toy-v10-s0")
    (folder / gone).unlink()
    (group,) = load(folder).groups
    touched = next(
        k for k, e in entries(whole).items() if any(r.path == gone for r in e.row.records)
    )
    before, after = _numbers(whole), _numbers(group)
    assert before.keys() == after.keys()
    assert after[touched] != before[touched]
    for key in before.keys() - {touched}:
        assert after[key] == before[key]
        old, new = entries(whole)[key], entries(group)[key]
        best = next(b for b in whole.boards if b.label == key[0]).entries[0]
        if touched[0] != key[0]:
            assert new.against_best == old.against_best and new.rank == old.rank
        elif best.row.key != touched[1] and old.against_best and new.against_best:
            # The correction may get milder with a row fewer; the test itself is the same.
            assert new.against_best.p == old.against_best.p
            assert new.against_best.low == old.against_best.low
    assert next(e for k, e in entries(group).items() if k == touched).rank is None


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(order=st.randoms(use_true_random=False))
def test_the_order_of_records_changes_nothing(many: Path, order: Any) -> None:
    records = [r for r in scan(many).records if r.spec.dataset.name == "toy"]
    users = {r.id: found for r in records if r.status == "ok" and (found := read(many, r))}
    measured = {r.id: measure(r, users.get(r.id)) for r in records}
    shuffled = list(records)
    order.shuffle(shuffled)
    groups = [
        [gather(chosen, many, measured, users) for chosen in split_up(some)]
        for some in (records, shuffled)
    ]
    assert groups[0] == groups[1]


def test_loading_twice_gives_the_same(many: Path) -> None:
    first, second = load(many), load(many)
    pd.testing.assert_frame_equal(first.frame, second.frame)
    assert first.groups == second.groups


def test_a_note_travels_with_its_data(many: Path) -> None:
    notes = {group.dataset: group.note for group in board_of(many).groups}
    assert notes == {"toy": "", "noted": "Sampled."}


def test_boards_and_reports_need_no_torch() -> None:
    code = (
        "import sys; import bench.board, bench.board.choose, bench.board.diff,"
        " bench.report.figures.draw,"
        " bench.report.markdown, bench.report.html.page, bench.report.pareto;"
        " sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
