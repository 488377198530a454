"""The training loop: phases, selection, and runs that go on where they were cut off."""

from __future__ import annotations

import os
import random
import signal
import time
from dataclasses import asdict
from pathlib import Path

import pytest
import safetensors.torch
import torch
from support.conformance import Continued
from support.faults import wait_for
from support.fit_child import make

from bench.backbones.lightgcn import LightGCN
from bench.backbones.mf import MF
from bench.backbones.mlp import MLP
from bench.check import tiny_data
from bench.engine.adam import Adam
from bench.engine.batches import seed_of
from bench.engine.evaluate import Evaluator
from bench.engine.loop import Diverged, Fit
from bench.engine.rank import rank
from bench.engine.settings import Training
from bench.method import Method, Phase, Table
from bench.method.registry import find_methods, get_method

ONE_PHASE, TWO_PHASES = "hashing", "cerp"
TIMES = ("seconds",)


class Killed(BaseException):
    """What no `except Exception` catches, as a kill."""


def outcome(fit: Fit) -> tuple:
    """Weights and history without times."""

    def timeless(entries):
        return [{k: v for k, v in entry.items() if k not in TIMES} for entry in entries]

    weights = {k: v.clone() for k, v in fit.method.state_dict().items()}
    return weights, timeless(fit.state.phases), timeless(fit.state.history)


def assert_same(one: tuple, other: tuple) -> None:
    assert one[1:] == other[1:]
    assert one[0].keys() == other[0].keys()
    for name, tensor in one[0].items():
        assert torch.equal(tensor, other[0][name]), name


def whole(name: str, **changes) -> tuple:
    fit = make(name, None, **changes)
    fit.run()
    return outcome(fit)


@pytest.fixture(autouse=True)
def saves_are_restored(monkeypatch):
    monkeypatch.setattr("bench.engine.checkpoint.SAVE_EVERY", 0.0)


def killing_at(count: int):
    seen = []

    def report(entry):
        seen.append(entry)
        if len(seen) == count:
            raise Killed

    return report


@pytest.mark.parametrize("name", [ONE_PHASE, TWO_PHASES, "pep", "full", "qr"])
def test_run_killed_after_every_epoch_ends_like_an_unbroken_one(name, tmp_path):
    """Killed in its report of epoch 1, then in the second of what is left, and so on."""
    expected = whole(name)
    checkpoint = tmp_path / "fit.safetensors"
    for _ in range(40):
        fit = make(name, checkpoint, killing_at(2))
        try:
            fit.run()
        except Killed:
            continue
        break
    else:
        pytest.fail("made no progress")
    assert_same(outcome(fit), expected)


@pytest.mark.parametrize("count", range(1, 11))
def test_two_phase_run_killed_once_at_any_epoch(count, tmp_path):
    expected = whole(TWO_PHASES, patience=6)
    checkpoint = tmp_path / "fit.safetensors"
    fit = make(TWO_PHASES, checkpoint, killing_at(count), patience=6)
    try:
        fit.run()
    except Killed:
        fit = make(TWO_PHASES, checkpoint, patience=6)
        fit.run()
    assert_same(outcome(fit), expected)


def test_killed_process_goes_on_to_the_same_weights(tmp_path):
    """SIGKILL at random moments, also in the middle of a write."""
    rng = random.Random(1)
    for name in (ONE_PHASE, TWO_PHASES):
        checkpoint = tmp_path / f"{name}.safetensors"
        child = os.fork()
        if child == 0:
            try:
                make(name, checkpoint, lambda entry: time.sleep(0.03)).run()
            finally:
                os._exit(0)
        wait_for(checkpoint.exists)
        time.sleep(rng.random() * 0.15)
        os.kill(child, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        assert checkpoint.exists()
        fit = make(name, checkpoint)
        fit.run()
        assert_same(outcome(fit), whole(name))


def test_continued_run_does_not_repeat_its_epochs(tmp_path):
    checkpoint = tmp_path / "fit.safetensors"
    with pytest.raises(Killed):
        make(ONE_PHASE, checkpoint, killing_at(4)).run()
    again = []
    make(ONE_PHASE, checkpoint, again.append).run()
    assert again[0]["epoch"] == 4  # three were saved; the fourth was killed before its save


@pytest.mark.parametrize("damage", ["empty", "short", "noise", "no state", "other state"])
def test_damaged_checkpoint_is_discarded_and_the_run_starts_anew(damage, tmp_path):
    checkpoint = tmp_path / "fit.safetensors"
    with pytest.raises(Killed):
        make(ONE_PHASE, checkpoint, killing_at(3)).run()
    content = checkpoint.read_bytes()
    tensors = safetensors.torch.load(content)
    checkpoint.write_bytes(
        {
            "empty": b"",
            "short": content[: len(content) // 2],
            "noise": bytes(range(256)) * 8,
            "no state": safetensors.torch.save(tensors),
            "other state": safetensors.torch.save(tensors, {"state": '{"stage": 1}'}),
        }[damage]
    )
    epochs = []
    fit = make(ONE_PHASE, checkpoint, epochs.append)
    fit.run()
    assert epochs[0]["epoch"] == 1
    assert_same(outcome(fit), whole(ONE_PHASE))


def test_checkpoints_are_written_now_and_then_only(tmp_path, monkeypatch):
    fit = make(ONE_PHASE, tmp_path / "fit.safetensors")
    monkeypatch.setattr("bench.engine.checkpoint.SAVE_EVERY", 3600.0)
    fit.run()
    assert list(tmp_path.iterdir()) == []


def test_equal_seeds_give_equal_runs_and_others_do_not():
    assert_same(whole(ONE_PHASE), whole(ONE_PHASE))
    fit = make(ONE_PHASE, None)
    fit.seed = 8
    fit.run()
    assert outcome(fit)[2] != whole(ONE_PHASE)[2]


def test_weights_of_the_best_epoch_are_kept():
    fit = make("full", None, epochs=12, patience=12)
    state = fit.run()
    best = max(state.history, key=lambda entry: entry["ndcg@20"])
    assert state.phases[0]["best_epoch"] == best["epoch"]
    again = fit.validate(fit._validate)
    assert again["ndcg@20"] == pytest.approx(best["ndcg@20"], abs=1e-12)


def test_training_items_are_no_candidates_in_validation():
    fit = make("full", None, epochs=1)
    (entry,) = fit.run().history
    data, found = fit.data, {}
    with torch.no_grad():
        rows = fit.method(torch.arange(data.ids))
    for label, seen in (("masked", [data.train]), ("all", [])):
        found[label] = rank(fit.backbone, rows, Evaluator(data.valid, seen, data.items)).metrics
    assert found["masked"]["ndcg@20"] != found["all"]["ndcg@20"]
    for name in ("recall@20", "ndcg@20"):
        assert entry[name] == pytest.approx(found["masked"][name], abs=1e-12)


def test_a_network_is_validated_with_the_statistics_of_its_training():
    data, generator = tiny_data(), torch.Generator().manual_seed(1)
    kind = get_method("full")
    backbone = MLP(data, 16, MLP.Config())
    fit = Fit(kind(Table(data.users, data.items, 16), kind.Config()), backbone, data, Training(), 7)
    fit.method.reset(generator)
    backbone.reset(generator)
    for norm in backbone.norms:
        norm.running_mean.normal_(generator=generator)
        norm.running_var.uniform_(0.1, 3, generator=generator)
    backbone.train()
    before = {name: one.clone() for name, one in backbone.state_dict().items()}
    evaluator = Evaluator(data.valid, [data.train], data.items)
    found = fit.validate(evaluator)
    assert backbone.training
    assert all(torch.equal(one, before[name]) for name, one in backbone.state_dict().items())
    rows = fit.method(torch.arange(data.users + data.items)).detach()
    assert found == rank(backbone.eval(), rows, evaluator).metrics
    assert found != rank(backbone.train(), rows, evaluator).metrics


def test_validation_ranks_for_as_many_users_as_asked():
    few, all_of_them = (make(ONE_PHASE, None, valid_users=number) for number in (20, 0))
    assert len(few._validate.users) == 20
    assert len(all_of_them._validate.users) > 20


def test_patience_counts_evaluations_without_a_better_score():
    state = make("full", None, epochs=60, patience=2, lr=0.2).run()
    phase = state.phases[0]
    assert phase["stopped"] == "patience"
    assert phase["epochs"] == phase["best_epoch"] + 2


def test_evaluations_are_as_far_apart_as_asked_and_the_last_epoch_has_one():
    history = make("full", None, epochs=7, patience=6, eval_every=3).run().history
    assert [entry["epoch"] for entry in history if "ndcg@20" in entry] == [3, 6, 7]


@pytest.mark.parametrize("cap", [5, 12])
def test_all_phases_share_one_cap_of_epochs(cap):
    fit = make("pep", None, lr=0.003, epochs=cap, search_epochs=6, patience=30)
    fit.method.target = lambda: -1  # a search that finds no end
    search, retrain = fit.run().phases
    assert search["epochs"] == min(cap - 1, 6)
    assert retrain["epochs"] == cap - search["epochs"]
    assert retrain["stopped"] == "epochs"


def test_a_falling_rate_ends_at_zero_with_the_last_phase(monkeypatch):
    shares = []
    step = Adam.step
    monkeypatch.setattr(Adam, "step", lambda self, share: (shares.append(share), step(self, share)))
    fit = make("pep", None, lr=0.003, epochs=8, search_epochs=3, patience=30, schedule="linear")
    fit.method.target = lambda: -1
    fit.run()
    assert set(shares[: 3 * fit.sampler.steps]) == {1.0}
    falling = shares[3 * fit.sampler.steps :]
    assert falling[0] == 1
    assert falling[-1] == pytest.approx(1 / len(falling))


def test_patience_waits_until_rounding_has_begun():
    kind = get_method("dims")
    fit = make("dims", None, epochs=40, patience=2, lr=0.2)
    method = kind(fit.method.table, fit.method.config.but(bits=4, aware=0.25))
    fit = Fit(method, fit.backbone, fit.data, fit.training, 7)
    phase = fit.run().phases[0]
    assert fit.method.settled()
    assert phase["epochs"] >= 32  # rounding begins with epoch 31; then two without a better one


def test_a_phase_says_what_its_last_fifth_gained():
    state = make("full", None, epochs=10, patience=10, lr=0.01).run()
    scores = [entry["ndcg@20"] for entry in state.history]
    assert state.phases[0]["gain"] == pytest.approx(max(scores) / max(scores[:8]) - 1)
    assert make("full", None, epochs=2, eval_every=2).run().phases[0]["gain"] is None


def test_search_ends_by_budget_and_retrains_from_the_initial_values():
    fit = make("pep", None, lr=0.003)
    state = fit.run()
    assert [phase["name"] for phase in state.phases] == ["search", "retrain"]
    assert state.phases[0]["stopped"] == "budget"
    assert state.phases[0]["best_epoch"] is None
    assert state.history[0]["live"] >= state.history[state.phases[0]["epochs"] - 1]["live"]
    assert int(fit.method.mask.sum()) == fit.method.config.kept


def test_search_that_does_not_reach_its_budget_is_cut_all_the_same():
    fit = make("pep", None, search_epochs=1)
    fit.method.target = lambda: -1
    state = fit.run()
    assert state.phases[0]["stopped"] == "epochs"
    assert int(fit.method.mask.sum()) == fit.method.config.kept


def refit(name: str, epochs: dict[str, int]) -> list[dict]:
    fit = make(name, None, lr=0.003)
    data = fit.data.refit()
    again = Fit(fit.method, MF(data, 16, MF.Config()), data, fit.training, 7, None, epochs=epochs)
    return again.run().phases


def test_refit_trains_as_many_epochs_as_it_is_told_without_validation():
    phases = refit(ONE_PHASE, {"train": 9})
    assert [(p["epochs"], p["best_epoch"], p["stopped"]) for p in phases] == [(9, None, "epochs")]


def test_search_in_a_refit_keeps_its_pace():
    """Its length follows from the thresholds; were it told how long it took, it would hurry."""
    first = make("pep", None, lr=0.003).run().phases[0]["epochs"]
    phases = refit("pep", {"search": 1, "retrain": 2})
    assert phases[0]["stopped"] == "budget"
    assert phases[0]["epochs"] == pytest.approx(first, abs=1)
    assert phases[0]["epochs"] > 1
    assert phases[1]["epochs"] == 2


def continued(kind: type[Method], checkpoint: Path | None, report=lambda entry: None) -> Fit:
    data = tiny_data()
    method = kind(Table(data.users, data.items, 16), kind.Config(rows=data.ids))
    training = Training(lr=0.05, batch=32, epochs=8, patience=4)
    return Fit(method, MF(data, 16, MF.Config()), data, training, 7, checkpoint, report)


def test_phase_may_keep_weights_and_optimiser(tmp_path):
    class Anew(Continued):
        phases = (Phase("first"), Phase("second", rewind=False))

    Anew.__name__ = Continued.__name__  # the same initial weights
    kept, anew = continued(Continued, None), continued(Anew, None)
    kept.run()
    anew.run()
    first = [entry["loss"] for entry in kept.state.history[:4]]
    assert first == [entry["loss"] for entry in anew.state.history[:4]]
    assert kept.state.history[4]["loss"] < first[0]  # weights go on
    assert kept.state.history[5]["loss"] != anew.state.history[5]["loss"]  # moments, too
    checkpoint = tmp_path / "fit.safetensors"
    for count in (4, 2):
        with pytest.raises(Killed):
            continued(Continued, checkpoint, killing_at(count)).run()
    resumed = continued(Continued, checkpoint)
    resumed.run()
    assert_same(outcome(resumed), outcome(kept))


def test_divergence_is_named_with_a_remedy():
    fit = make("full", None)
    fit.method.penalty = lambda rows, progress: rows.sum() * float("nan")
    with pytest.raises(Diverged, match=r"loss is nan in epoch 1 of phase train; lower lr"):
        fit.run()


def test_a_penalty_sees_the_distinct_rows_of_the_batch_under_a_graph_backbone_too():
    fit = make("full", None, epochs=1)
    backbone = LightGCN(fit.data, 16, LightGCN.Config())
    fit = Fit(fit.method, backbone, fit.data, fit.training, 7)
    seen = []
    fit.method.penalty = lambda rows, progress: seen.append(rows) or 0.0
    fit.run()
    batches = fit.sampler.epoch(seed_of(7, "train", 0))
    distinct = [len(torch.cat([part.reshape(-1) for part in batch]).unique()) for batch in batches]
    assert [len(rows) for rows in seen] == distinct
    assert max(distinct) < fit.data.ids


@pytest.mark.parametrize("scored", [MF, LightGCN])
@pytest.mark.parametrize("objective", [{"name": "bpr", "negatives": 3}, {"name": "softmax"}])
def test_a_step_on_a_gpu_reads_rows_again_and_comes_to_the_same(scored, objective):
    def losses(device):
        fit = make("full", None, objective=objective, l2=0.1)
        backbone = scored(fit.data, 16, scored.Config())
        fit = Fit(fit.method, backbone, fit.data, fit.training, 7)
        fit.device = torch.device(device)  # only the choice between the two ways depends on it
        _, steps = fit.practice(0)
        return torch.stack([next(steps) for _ in range(6)])

    assert torch.allclose(losses("cpu"), losses("meta"), rtol=1e-4)


def test_l2_shrinks_rows():
    plain, decayed = make("full", None), make("full", None, l2=1.0)
    plain.run()
    decayed.run()
    assert float(decayed.method.stored.weight.detach().norm()) < 0.8 * float(
        plain.method.stored.weight.detach().norm()
    )


@pytest.mark.parametrize("batch", [16, 64])
def test_l2_is_half_of_the_squares_of_a_positive_pair_and_its_negatives(batch):
    """It is a mean over pairs, so that its strength does not depend on the batch."""

    def first_loss(l2):
        fit = make("full", None, l2=l2, batch=batch, objective={"name": "bpr", "negatives": 3})
        _, steps = fit.practice(0)
        rows = fit.method.stored.weight.detach().clone()
        return fit, rows, float(next(steps))

    fit, rows, decayed = first_loss(3.0)
    users, positives, negatives = next(iter(fit.sampler.epoch(seed_of(fit.seed, 0))))
    assert len(users) == batch
    taken = torch.cat((users.unsqueeze(1), positives.unsqueeze(1), negatives), dim=1)
    assert taken.shape == (batch, 1 + 1 + 3)
    expected = 3.0 / 2 * float(rows[taken].square().sum((1, 2)).mean())
    assert decayed - first_loss(0.0)[2] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("objective", [{"name": "bpr", "negatives": 3}, {"name": "softmax"}])
def test_every_objective_learns(objective):
    fit = make("full", None, objective=objective, epochs=15, patience=15)
    history = fit.run().history
    assert history[-1]["loss"] < 0.8 * history[0]["loss"]


def test_state_survives_a_checkpoint_as_it_is(tmp_path):
    checkpoint = tmp_path / "fit.safetensors"
    fit = make(ONE_PHASE, checkpoint, killing_at(3))
    with pytest.raises(Killed):
        fit.run()
    other = make(ONE_PHASE, checkpoint)
    state, tensors = other.checkpoint.load(phases=1)
    assert state.epoch == 2
    assert asdict(state)["history"] == fit.state.history[:2]
    assert any(name.startswith("now.method.") for name in tensors)


def test_methods_with_names_used_here_exist():
    assert {ONE_PHASE, TWO_PHASES, "pep", "full", "qr"} <= set(find_methods())
