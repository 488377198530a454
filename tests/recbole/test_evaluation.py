import numpy as np
import pytest
import torch
from support.recbole import TOPK, world

from bench.data import load
from bench.engine.evaluate import Evaluator
from bench.recbole import compact


def measured(ours, part, seen, scores):
    """Our metrics of a score matrix in our ids."""

    def look_up(users, order, out):
        out[:, : len(order)] = scores[users][:, order]
        return out

    return Evaluator(part, seen, ours.items)(look_up).metrics


def assert_agree(here, ours, theirs, tolerance):
    for metric in ("recall", "ndcg"):
        for k in TOPK:
            assert abs(ours[f"{metric}@{k}"] - theirs[f"{metric}@{k}"]) < tolerance, (metric, k)


@pytest.mark.parametrize("part", ["valid", "test"])
def test_evaluators_agree_on_random_scores(tmp_path, monkeypatch, part):
    with world(tmp_path, monkeypatch, "BPR", users=943) as here:
        ours = here.ours
        scores = torch.rand(ours.users, ours.items, generator=torch.Generator().manual_seed(1))
        users, items = (torch.from_numpy(ids) for ids in here.ids())
        model = here.model()
        theirs = torch.zeros(model.n_users, model.n_items)
        theirs[users[:, None], items] = scores
        model.full_sort_predict = lambda interaction: theirs[interaction["user_id"]]
        result = here.trainer(model).evaluate(getattr(here, part), load_best_model=False)
        seen = [ours.train] if part == "valid" else [ours.train, ours.valid]
        # Equal to rounding, not only to 1e-4: the masks, the users and the formulas are the same.
        assert_agree(here, measured(ours, getattr(ours, part), seen, scores), result, 1e-6)


@pytest.mark.parametrize("name", ["BPR", "LightGCN"])
@pytest.mark.parametrize("method", ["full", "cerp"])
def test_evaluators_agree_on_trained_models(tmp_path, monkeypatch, name, method):
    with world(tmp_path, monkeypatch, name, users=943, epochs=1) as here:
        model = here.model()
        small = compact(model, method, "10%") if method != "full" else None
        trainer = here.trainer(model)
        if small is not None:
            small.prepare(trainer, here.train, search_epochs=1)
        trainer.fit(here.train, here.valid, verbose=False)
        result = trainer.evaluate(here.test)
        users, items = (torch.from_numpy(ids) for ids in here.ids())
        with torch.no_grad():
            flat = model.full_sort_predict({"user_id": users})
        scores = flat.view(len(users), -1)[:, items]
        ours = here.ours
        got = measured(ours, ours.test, [ours.train, ours.valid], scores)
        # Pruned rows give equal scores, which the two programs put in different orders.
        assert_agree(here, got, result, 1e-4 if small is None else 3e-3)


def test_our_split_reaches_recbole_and_comes_back(tmp_path, monkeypatch):
    with world(tmp_path, monkeypatch, "BPR", users=943) as here:
        users, items = here.ids()
        for part, loader in (("train", here.train), ("valid", here.valid), ("test", here.test)):
            features, matrix = loader.dataset.inter_feat, getattr(here.ours, part)
            theirs = set(zip(*(features[f].tolist() for f in ("user_id", "item_id")), strict=True))
            ours = set(zip(users[matrix.rows()], items[matrix.indices], strict=True))
            assert len(features) == matrix.nnz
            assert theirs == {(int(user), int(item)) for user, item in ours}
        again = load(tmp_path / here.ours.name, cache_dir=tmp_path / "cache")
        assert again.fingerprints == here.ours.fingerprints
        assert np.array_equal(again.train.indices, here.ours.train.indices)
