import copy
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch
from support.recbole import world

from bench.budget import Budget
from bench.errors import BenchError, Infeasible, SpecError
from bench.method import Phase, Rounding
from bench.method.registry import get_method
from bench.recbole import compact
from bench.recbole.tables import Lookup

SETTINGS = {
    "BPR": {},
    "LightGCN": {"n_layers": 2},
    "NeuMF": {
        "mf_embedding_size": 16,
        "mlp_embedding_size": 8,
        "mlp_hidden_size": [16, 8],
        "train_neg_sample_args": {"distribution": "uniform", "sample_num": 4},
    },
    "SimpleX": {
        "train_neg_sample_args": {"distribution": "uniform", "sample_num": 4},
        "history_len": 20,
        "aggregator": "mean",
        "gamma": 0.5,
        "margin": 0.5,
        "negative_weight": 10,
        "reg_weight": 1e-5,
        "dropout_prob": 0.0,
        "require_pow": False,
    },
}


# Tests of searches and sizes: defaults of few bits can keep every value of so small a model.
PLAIN = {"bits": None}

QUICK = {("BPR", "cerp"), ("LightGCN", "pep"), ("NeuMF", "cerp"), ("SimpleX", "cerp")}


@pytest.mark.parametrize(
    ("name", "method"),
    [
        pytest.param(name, method, marks=[] if (name, method) in QUICK else pytest.mark.slow)
        for name in sorted(SETTINGS)
        for method in ("cerp", "pep", "qr")
    ],
)
def test_recboles_trainer_and_evaluator_run_unchanged(tmp_path, monkeypatch, name, method):
    with world(
        tmp_path, monkeypatch, name, epochs=3, train_batch_size=4096, **SETTINGS[name]
    ) as here:
        model = here.model()
        full = sum(m.weight.numel() for m in model.modules() if isinstance(m, torch.nn.Embedding))
        others = sum(parameter.numel() for parameter in model.parameters()) - full
        small = compact(model, method, "30%", config=PLAIN)
        assert small.full_bytes == 4 * full
        assert small.other_values == others
        trainer = here.trainer(model)
        small.prepare(trainer, here.train, search_epochs=1)
        _, valid = trainer.fit(here.train, here.valid, verbose=False)
        losses = list(trainer.train_loss_dict.values())
        assert len(losses) == 3
        assert losses[-1] < losses[0]
        assert valid["recall@20"] > 0
        before = trainer.evaluate(here.test)
        size = small.size()
        assert 0.8 * small.table.budget.cap < size.bytes <= small.table.budget.cap
        assert len(small.pack()) == size.bytes
        assert small.deploy() == size
        assert trainer.evaluate(here.test, load_best_model=False) == before


@pytest.mark.slow
@pytest.mark.parametrize("name", ["BPR", "LightGCN"])
def test_cerp_keeps_most_of_the_full_table_at_10_percent(tmp_path, monkeypatch, name):
    recalls = {}
    for method in ("full", "cerp"):
        settings = {"epochs": 20, "embedding_size": 64, "stopping_step": 5, "users": 943}
        with world(tmp_path, monkeypatch, name, **settings) as here:
            model = here.model()
            trainer = None
            if method == "cerp":
                small = compact(model, "cerp", "10%")
                trainer = here.trainer(model)
                small.prepare(trainer, here.train, search_epochs=8)
                assert small.size().bytes <= small.full_bytes / 10
            trainer = trainer or here.trainer(model)
            trainer.fit(here.train, here.valid, verbose=False)
            recalls[method] = trainer.evaluate(here.test)["recall@20"]
    assert recalls["full"] > 0.05
    assert recalls["cerp"] > 0.7 * recalls["full"], recalls


def test_methods_without_a_search_need_no_preparation(tmp_path, monkeypatch):
    with world(tmp_path, monkeypatch, "BPR") as here:
        model = here.model()
        compact(model, "qr", "30%", config=PLAIN)
        trainer = here.trainer(model)
        trainer.fit(here.train, here.valid, verbose=False)
        assert trainer.train_loss_dict[1] < trainer.train_loss_dict[0]


def test_methods_with_a_search_say_that_they_need_preparation(tmp_path, monkeypatch):
    with world(tmp_path, monkeypatch, "BPR") as here:
        model = here.model()
        compact(model, "cerp", "30%")
        with pytest.raises(BenchError, match="prepare"):
            here.trainer(model).fit(here.train, here.valid, verbose=False)


def test_the_last_part_of_the_training_sees_rounded_rows(tmp_path, monkeypatch):
    with world(tmp_path, monkeypatch, "BPR", epochs=4, train_batch_size=8192) as here:
        model, seen = here.model(), []
        small = compact(model, "qr", "30%", config={"bits": 4, "aware": 0.5})
        trainer = here.trainer(model)
        with pytest.raises(BenchError, match="prepare"):
            trainer.fit(here.train, here.valid, verbose=False)
        small.prepare(trainer, here.train)
        straight = Rounding.straight

        def counted(self, rows, index=None):
            found = straight(self, rows, index)
            seen.append(bool((found != rows).any()))
            return found

        monkeypatch.setattr(Rounding, "straight", counted)
        trainer.fit(here.train, None, verbose=False, saved=False)
        # Two tables, users, positives and negatives, in two of the four epochs.
        assert len(seen) == 2 * 3 * 2 * len(here.train)
        assert all(seen)
        rows = model.user_embedding(torch.arange(5))
        small.deploy()
        assert torch.equal(rows, model.user_embedding(torch.arange(5)))


def test_a_search_needs_adam(tmp_path, monkeypatch):
    with world(tmp_path, monkeypatch, "BPR", learner="sgd") as here:
        model = here.model()
        small = compact(model, "pep", "30%")
        with pytest.raises(BenchError, match="learner: adam"):
            small.prepare(here.trainer(model), here.train)


def test_the_learner_may_be_written_as_people_write_it(tmp_path, monkeypatch):
    with world(tmp_path, monkeypatch, "BPR", users=40, learner="Adam") as here:
        model = here.model()
        small = compact(model, "pep", "30%", config=PLAIN)
        small.prepare(here.trainer(model), here.train, search_epochs=1)
        assert int(small.method.mask.sum()) == small.method.config.kept


def test_a_search_that_is_the_whole_training_is_cut_to_the_budget(tmp_path, monkeypatch):
    with world(tmp_path, monkeypatch, "BPR", users=40) as here:
        model = here.model()
        small = compact(model, "cerp-noretrain", "15%", config=PLAIN)
        small.prepare(here.trainer(model), here.train)
        assert small.method.live() > small.method.target()
        size = small.deploy()
        assert 0.8 * small.table.budget.cap < size.bytes <= small.table.budget.cap


def test_scores_of_before_are_not_kept_when_rows_are_deployed(tmp_path, monkeypatch):
    with world(tmp_path, monkeypatch, "LightGCN", users=40, n_layers=1) as here:
        model = here.model()
        small = compact(model, "cerp-noretrain", "15%", config=PLAIN)
        model.eval()
        batch = next(iter(here.test))[0]
        with torch.no_grad():
            before = model.full_sort_predict(batch)
            small.deploy()
            after = model.full_sort_predict(batch)
        assert not torch.equal(before, after)  # most values are cut now


@pytest.mark.parametrize("fresh", [True, False])
def test_a_phase_goes_on_with_the_optimiser_of_the_last_unless_it_asks_for_a_new_one(
    fresh, tmp_path, monkeypatch
):
    class Twice(get_method("dims")):
        name = "twice"
        phases = (Phase("first"), Phase("second", rewind=False, fresh_optimizer=fresh))

    monkeypatch.setitem(compact.__globals__, "get_method", lambda name: Twice)
    with world(tmp_path, monkeypatch, "NeuMF", users=40, **SETTINGS["NeuMF"]) as here:
        model = here.model()
        small, trainer = compact(model, "twice", "50%"), here.trainer(model)
        before = trainer.optimizer
        small.prepare(trainer, here.train, search_epochs=2)
        assert trainer.optimizer is not before
        steps = {float(state["step"]) for state in trainer.optimizer.state.values()}
        assert steps == (set() if fresh else {2.0 * len(here.train)})
        if not fresh:
            known = {id(one) for group in trainer.optimizer.param_groups for one in group["params"]}
            assert {id(one) for one in trainer.optimizer.state} == known


def test_search_leaves_the_exact_mask_the_initial_weights_and_a_fresh_trainer(
    tmp_path, monkeypatch
):
    with world(tmp_path, monkeypatch, "NeuMF", **SETTINGS["NeuMF"]) as here:
        model = here.model()
        tower = {name: value.clone() for name, value in model.mlp_layers.state_dict().items()}
        small = compact(model, "pep", "30%", config=PLAIN | {"width_factor": None})
        start = small.method.stored.weight.detach().clone()
        trainer = here.trainer(model)
        small.prepare(trainer, here.train, search_epochs=2)
        mask = small.method.mask
        assert int(mask.sum()) == small.method.config.kept
        assert torch.equal(small.method.stored.weight, start * mask)
        assert not torch.equal(
            mask, start.abs() >= start.abs().flatten().sort().values[-mask.sum()]
        )
        for name, value in model.mlp_layers.state_dict().items():
            assert torch.equal(value, tower[name])
        assert not trainer.optimizer.state
        assert (trainer.start_epoch, trainer.epochs, trainer.train_loss_dict) == (0, 2, {})


def test_penalty_sees_the_distinct_ids_of_a_step(tmp_path, monkeypatch):
    with world(tmp_path, monkeypatch, "BPR", users=100, train_batch_size=64) as here:
        model = here.model()
        small = compact(model, "cerp", "30%", config=PLAIN)
        rows = []
        original = type(small.method).penalty

        def penalty(self, found, progress):
            rows.append((found, progress))
            return original(self, found, progress)

        monkeypatch.setattr(type(small.method), "penalty", penalty)
        small.prepare(here.trainer(model), here.train, search_epochs=2)
        found, progress = rows[0]
        batch = next(iter(here.train))
        assert all(len(one) <= 3 * len(batch) for one, _ in rows)
        assert found.shape[1] == 16
        assert found.shape[0] <= 3 * len(batch)
        assert len(torch.unique(found, dim=0)) > 0.9 * len(found)
        assert progress.step == 0
        assert progress.steps == 2 * len(here.train)
        assert [one.step for _, one in rows] == list(range(len(rows)))
        assert [one.epoch for _, one in rows] == [n // len(here.train) for n in range(len(rows))]


def test_penalty_stands_beside_losses_that_a_model_tells_apart(tmp_path, monkeypatch):
    with world(tmp_path, monkeypatch, "BPR", users=40) as here:
        model = here.model()
        loss = type(model).calculate_loss
        monkeypatch.setattr(type(model), "calculate_loss", lambda *a: (loss(*a), loss(*a) / 2))
        small = compact(model, "cerp-noretrain", "30%", config=PLAIN)
        small.prepare(here.trainer(model), here.train)
        first, second, penalty = model.calculate_loss(next(iter(here.train)))
        assert float(second) == pytest.approx(float(first) / 2)
        assert penalty.requires_grad and penalty.ndim == 0


def test_lookups_answer_like_the_tables_that_they_replace(tmp_path, monkeypatch):
    with world(tmp_path, monkeypatch, "SimpleX", **SETTINGS["SimpleX"]) as here:
        model = here.model()
        before = torch.cat((model.user_emb.weight, model.item_emb.weight)).std()
        small = compact(model, "full")
        users, items = model.user_emb, model.item_emb
        assert isinstance(items, Lookup)
        assert items.weight.shape == (model.n_items, 16)
        assert users.weight.shape == (model.n_users, 16)
        assert torch.equal(items(torch.tensor([[0, 5]])), items.weight[[0, 5]][None])
        assert not items.weight[0].any()  # padding_idx
        assert users.weight[0].any()
        stored = small.method.stored.weight
        assert torch.equal(items.weight[1:], stored[model.n_users + 1 :])
        assert torch.equal(users.weight, stored[: model.n_users])
        assert abs(float(stored.detach().std() / before) - 1) < 0.02
        items.weight.sum().backward()
        assert stored.grad[model.n_users + 1 :].eq(1).all()
        assert not stored.grad[: model.n_users + 1].any()


def test_rows_kept_for_evaluation_follow_the_weights(tmp_path, monkeypatch):
    with world(tmp_path, monkeypatch, "BPR") as here:
        model = here.model()
        small = compact(model, "qr", "30%")
        ids = torch.tensor([3, 4])
        with torch.no_grad():
            first = model.user_embedding(ids)
            assert torch.equal(first, small.method(ids))
            next(small.method.parameters()).mul_(2)
            assert not torch.equal(model.user_embedding(ids), first)
            assert torch.equal(model.user_embedding(ids), small.method(ids))
            model.load_state_dict({k: v * 3 for k, v in model.state_dict().items()})
            assert torch.equal(model.user_embedding(ids), small.method(ids))


def test_two_pairs_share_one_table_by_columns(tmp_path, monkeypatch):
    with world(tmp_path, monkeypatch, "NeuMF", **SETTINGS["NeuMF"]) as here:
        model = here.model()
        small = compact(model, "full")
        rows = small.method(torch.arange(model.n_users))
        assert rows.shape[1] == 24
        both = rows[:, :16]  # 16 columns of the dot product and 8 of the network, in turn
        assert torch.equal(model.user_mlp_embedding.weight, both[:, 1::2])
        assert torch.equal(
            model.user_mf_embedding.weight, torch.cat((both[:, ::2], rows[:, 16:]), 1)
        )


def test_checkpoint_holds_the_table_once_and_copies_stand_alone(tmp_path, monkeypatch):
    with world(tmp_path, monkeypatch, "NeuMF", **SETTINGS["NeuMF"]) as here:
        model = here.model()
        small = compact(model, "full")
        names = [name for name in model.state_dict() if name.startswith("compact_table")]
        assert names == ["compact_table.method.stored.weight"]
        assert not any("embedding" in name for name in model.state_dict())
        twin = copy.deepcopy(model)
        with torch.no_grad():
            small.method.stored.weight.zero_()
        assert twin.item_mf_embedding.weight.any()
        assert not model.item_mf_embedding.weight.any()


def test_packed_content_is_a_safetensors_file_of_the_methods_arrays(tmp_path, monkeypatch):
    with world(tmp_path, monkeypatch, "BPR") as here:
        small = compact(here.model(), "dims", "50%")
        arrays = safetensors.torch.load(small.pack())
        assert {name: tuple(a.shape) for name, a in arrays.items()} == {
            name: tuple(a.shape) for name, a in small.method.pack().items()
        }
        assert small.size().values == sum(array.numel() for array in arrays.values())


@pytest.mark.parametrize(
    ("name", "settings", "told"),
    [
        ("FISM", {}, r"FISM cannot be compacted.*item_src_embedding"),
        ("Pop", {}, r"Pop cannot be compacted.*has none"),
    ],
)
def test_models_without_such_tables_are_told_why(tmp_path, monkeypatch, name, settings, told):
    with world(tmp_path, monkeypatch, name, **settings) as here:
        model = here.model()
        with pytest.raises(BenchError, match=told):
            compact(model, "cerp")


def test_models_of_another_kind_are_told_why():
    with pytest.raises(BenchError, match="Linear is not one of RecBole's general recommenders"):
        compact(torch.nn.Linear(2, 2), "cerp")


def test_mistakes_are_clear(tmp_path, monkeypatch):
    with world(tmp_path, monkeypatch, "BPR") as here:
        model = here.model()
        with pytest.raises(SpecError, match="there is no method 'cerb'"):
            compact(model, "cerb")
        with pytest.raises(SpecError, match=r"cerp: gama"):
            compact(model, "cerp", config={"gama": 1.0})
        with pytest.raises(SpecError, match="not an amount"):
            compact(model, "cerp", "ten")
        with pytest.raises(SpecError, match="optembed: "):  # against the default's few bits
            compact(model, "optembed", "10%", config={"item_columns": 0.5})
        with pytest.raises(Infeasible):
            compact(model, "dims", "0.1%")
        assert isinstance(model.user_embedding, torch.nn.Embedding)  # untouched by mistakes
        compact(model, "cerp")
        with pytest.raises(BenchError, match="compacted already"):
            compact(model, "cerp")


def test_a_table_larger_than_its_budget_is_not_deployed(tmp_path, monkeypatch):
    with world(tmp_path, monkeypatch, "BPR", users=40) as here:
        small = compact(here.model(), "qr", "30%", config=PLAIN)
        size = small.size()
        small.table = replace(small.table, budget=Budget(size.bytes - 1))
        said = rf"qr packs {size.bytes:,} bytes, more than its budget of {size.bytes - 1:,}"
        with pytest.raises(BenchError, match=said):
            small.deploy()
        small.table = replace(small.table, budget=Budget(size.bytes))
        assert small.deploy() == size


def test_defaults_round_nothing_where_values_are_counted(tmp_path, monkeypatch):
    with world(tmp_path, monkeypatch, "BPR", users=40) as here:
        bits = {
            unit: compact(here.model(), "cerp", "30%", accounting=unit).method.config.bits
            for unit in ("bytes", "values")
        }
    assert bits["bytes"] is not None and bits["bytes"] < 32
    assert bits["values"] is None


@pytest.mark.parametrize(("name", "kept"), [("BPR", False), ("LightGCN", True)])
def test_users_lengths_are_stored_where_scores_are_no_products(tmp_path, monkeypatch, name, kept):
    with world(tmp_path, monkeypatch, name, users=40) as here:

        def made(method, **knobs):
            return compact(here.model(), method, "30%", config=knobs).method.config

        assert bool(made("graded").user_lengths) is kept
        assert not made("graded", user_lengths=False).user_lengths
        assert made("dims-quantised").scale == ("row" if kept else "item")
        assert made("dims-quantised", scale="item").scale == "item"


def test_seed_decides_the_initial_weights(tmp_path, monkeypatch):
    with world(tmp_path, monkeypatch, "BPR") as here:
        first, again, other = (
            compact(here.model(), "full", seed=seed).method.stored.weight.detach().numpy()
            for seed in (0, 0, 1)
        )
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)
