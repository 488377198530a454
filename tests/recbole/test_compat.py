import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from support.recbole import world

from bench.errors import BenchError
from bench.recbole import compat, compatible


def test_nothing_stays_changed():
    from recbole.data.dataset import Dataset
    from recbole.trainer import Trainer

    places = (np, sparse.dok_matrix, Trainer, Dataset)
    before = [dict(vars(place)) for place in places]
    with compatible():
        assert vars(np)["float"] is np.float64
        assert vars(Trainer)["_save_checkpoint"] is not before[2]["_save_checkpoint"]
    assert [dict(vars(place)) for place in places] == before


def test_names_that_numpy_2_removed_are_there_and_go_again(tmp_path, monkeypatch):
    for name in ("float_", "complex_", "unicode_"):
        monkeypatch.delattr(np, name, raising=False)
    with world(tmp_path, monkeypatch, "BPR") as here:  # RecBole's Config reads them
        assert here.train.dataset.user_num == here.ours.users + 1
    assert not {"float", "float_", "unicode_"} & set(vars(np))


def test_names_are_restored_after_an_error():
    before = vars(np).get("float")
    with pytest.raises(ZeroDivisionError), compatible():
        raise ZeroDivisionError
    assert vars(np).get("float") is before


def test_checkpoints_are_read_without_unpickling_objects(tmp_path, monkeypatch):
    with world(tmp_path, monkeypatch, "BPR") as here:
        trainer = here.trainer(here.model())
        trainer.fit(here.train, here.valid, verbose=False)
        stored = torch.load(trainer.saved_model_file, weights_only=True)
        assert stored["config"] == {"model": "BPR"}
        weights = {name: value.clone() for name, value in trainer.model.state_dict().items()}
        # RecBole's own two readers of the file.
        other = here.trainer(here.model())
        assert not torch.equal(other.model.user_embedding.weight, weights["user_embedding.weight"])
        other.resume_checkpoint(trainer.saved_model_file)
        assert other.start_epoch == stored["epoch"] + 1
        best = other.evaluate(here.test, model_file=trainer.saved_model_file)
        assert best == trainer.evaluate(here.test)
        for name, value in other.model.state_dict().items():
            assert torch.equal(value, stored["state_dict"][name])


@pytest.mark.parametrize(("alone", "rank", "written"), [(0, 0, 1), (0, 1, 0), (1, 1, 1)])
def test_of_several_processes_the_first_writes_the_checkpoint(alone, rank, written, tmp_path):
    from recbole.trainer import Trainer

    model, path = torch.nn.Linear(2, 1), tmp_path / "c.pth"
    model.other_parameter = dict
    trainer = SimpleNamespace(
        config={"single_spec": bool(alone), "local_rank": rank, "model": "BPR"},
        saved_model_file=path,
        cur_step=2,
        best_valid_score=0.5,
        model=model,
        optimizer=torch.optim.Adam(model.parameters()),
    )
    with compatible():
        Trainer._save_checkpoint(trainer, 3, verbose=False)
    assert path.exists() == written
    if written:
        assert torch.load(path, weights_only=True)["epoch"] == 3


def test_quick_start_is_imported_without_ray(monkeypatch):
    monkeypatch.setattr(compat, "find_spec", lambda name: None)
    for name in [*sys.modules]:
        if name.partition(".")[0] == "ray" or name.startswith("recbole.quick_start"):
            monkeypatch.delitem(sys.modules, name)
    with compatible():
        from recbole.quick_start import run_recbole
    assert callable(run_recbole)
    assert "ray" not in sys.modules


def test_missing_features_are_filled_in_as_recbole_means_it():
    from recbole.data.dataset import Dataset
    from recbole.utils import FeatureType

    dataset = SimpleNamespace(
        field2type={
            "a": FeatureType.FLOAT,
            "b": FeatureType.TOKEN,
            "c": FeatureType.TOKEN_SEQ,
        },
        feat_name_list=["item_feat"],
        item_feat=pd.DataFrame(
            {"a": [1.0, np.nan, 3.0], "b": [2.0, np.nan, 1.0], "c": [np.nan, [1], [2]]}
        ),
    )
    with compatible():
        Dataset._fill_nan(dataset)
    assert dataset.item_feat["a"].tolist() == [1.0, 2.0, 3.0]
    assert dataset.item_feat["b"].tolist() == [2.0, 0.0, 1.0]
    assert len(dataset.item_feat["c"][0]) == 0


def test_absence_is_one_clear_line(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "recbole"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "recbole", None)
    with pytest.raises(BenchError, match=r"RecBole cannot be imported.*recbole==1\.2\.1"):
        compatible().__enter__()


@pytest.mark.parametrize(
    ("python", "remedy"),
    [((3, 11), "pip install recbole"), ((3, 12), "--no-deps"), ((3, 13), "--no-deps")],
)
def test_absence_names_the_remedy_for_this_python(monkeypatch, python, remedy):
    monkeypatch.setitem(sys.modules, "recbole", None)
    monkeypatch.setattr(compat, "sys", SimpleNamespace(version_info=python))
    with pytest.raises(BenchError, match=remedy):
        compat.require()
