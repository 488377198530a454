"""RecBole on the split of MovieLens 100k that the benchmark uses."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.data import first_users

pytest.importorskip("recbole", reason="RecBole is not installed")

from bench.data import Interactions, export_recbole, load
from bench.recbole import compatible

TOPK = [5, 10, 20, 50]


@dataclass
class World:
    """RecBole's configuration, data loaders, and the data that they were exported from."""

    config: Any
    train: Any
    valid: Any
    test: Any
    ours: Interactions

    def model(self) -> Any:
        from recbole.utils import get_model, init_seed

        init_seed(0, True)
        return get_model(self.config["model"])(self.config, self.train.dataset)

    def trainer(self, model: Any) -> Any:
        from recbole.utils import get_trainer

        kind = get_trainer(self.config["MODEL_TYPE"], self.config["model"])
        return kind(self.config, model)

    def ids(self) -> tuple[np.ndarray, np.ndarray]:
        """RecBole's id of each of our users and items."""
        names = [np.arange(n).astype(str) for n in (self.ours.users, self.ours.items)]
        dataset = self.train.dataset
        return dataset.token2id("user_id", names[0]), dataset.token2id("item_id", names[1])


@contextmanager
def world(folder: Path, monkeypatch, model: str, users: int = 300, **settings):
    """RecBole inside `compatible`, with our split of MovieLens 100k as benchmark files.

    There are 943 users; the first ones do where numbers do not matter.
    """
    # Under another name: RecBole reads its own copy for "ml-100k", whatever the path.
    ours = replace(first_users(load("ml-100k"), users), name="movies")
    export_recbole(ours, folder / ours.name)
    monkeypatch.chdir(folder)  # RecBole logs into the current folder
    monkeypatch.setattr("sys.argv", ["test"])  # and reads the command line
    with warnings.catch_warnings(), compatible():
        warnings.simplefilter("ignore")  # RecBole's own, of its age
        from recbole.config import Config
        from recbole.data import create_dataset, data_preparation

        config = Config(
            model=model,
            dataset=ours.name,
            config_dict={
                "data_path": str(folder),
                "benchmark_filename": ["train", "valid", "test"],
                "load_col": {"inter": ["user_id", "item_id"]},
                "checkpoint_dir": str(folder / "saved"),
                "epochs": 2,
                "learning_rate": 5e-3,
                "embedding_size": 16,
                "metrics": ["Recall", "NDCG"],
                "topk": TOPK,
                "valid_metric": "NDCG@20",
                "metric_decimal_place": 8,
                "use_gpu": False,
                "show_progress": False,
                **settings,
            },
        )
        train, valid, test = data_preparation(config, create_dataset(config))
        yield World(config, train, valid, test, ours)
