"""Running RecBole 1.2.1 with libraries that are newer than it, without touching its files."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np
import torch
from scipy import sparse

from bench.errors import BenchError

_ABSENT = object()

# Attributes of NumPy that RecBole's Config sets or reads; NumPy 2 removed some of them.
_NUMPY = {
    "bool": np.bool_,
    "int": np.int_,
    "float": np.float64,
    "complex": np.complex128,
    "object": np.object_,
    "str": np.str_,
    "long": np.int_,
    "unicode": np.str_,
    "float_": np.float64,
    "complex_": np.complex128,
    "unicode_": np.str_,
}


@contextmanager
def compatible() -> Iterator[None]:
    """Let RecBole 1.2.1 run with the installed libraries inside a `with` block.

    All use of RecBole, from its Config to its evaluation, belongs inside. The block changes:

    - NumPy: the names that RecBole's Config sets, and those that it needs (NumPy 2 removed
      `float_` and others), exist inside the block only.
    - SciPy: `dok_matrix._update`, by which RecBole's graph models fill their matrix, was removed
      from SciPy. It exists inside.
    - pandas: since 3.0 RecBole's code that fills in missing features has no effect. Inside, tokens
      are padded and numbers get their mean, as RecBole intends.
    - PyTorch: since 2.6 `torch.load` refuses RecBole's checkpoints, which hold pickled objects.
      Inside, its trainer writes the same checkpoint, but only the model's name of the
      configuration: tensors, numbers and text, which `torch.load` reads safely.
      `recbole.quick_start.load_data_and_model` cannot read them, because it needs the whole
      configuration.
    - ray: `recbole.quick_start` imports it for tuning alone. The release that RecBole pins has no
      wheels for Python 3.12 and later. Where ray is missing, an empty module can be imported in
      its place, so that all but tuning with ray works.

    Raises:
        BenchError: RecBole is not installed.
    """
    recbole = require()
    with ExitStack() as stack:
        if "ray" not in sys.modules and find_spec("ray") is None:
            sys.modules["ray"] = _ray()
            stack.callback(sys.modules.pop, "ray", None)
        for name, value in _NUMPY.items():
            _put(stack, np, name, value)
        if not hasattr(sparse.dok_matrix, "_update"):
            _put(stack, sparse.dok_matrix, "_update", _update)
        _put(stack, recbole.data.dataset.Dataset, "_fill_nan", _fill_nan)
        _put(stack, recbole.trainer.trainer.Trainer, "_save_checkpoint", _save_checkpoint)
        yield


def require() -> Any:
    """Import RecBole.

    Raises:
        BenchError: it is not installed; the message says how to install it.
    """
    try:
        import recbole.data.dataset
        import recbole.trainer.trainer
    except ImportError as error:
        remedy = "pip install recbole==1.2.1"
        if sys.version_info >= (3, 12):  # its ray has no wheels
            remedy = (
                "pip install --no-deps recbole==1.2.1, and what it imports: pip install"
                " 'compact-embedding-benchmark[recbole]'"
            )
        raise BenchError(f"RecBole cannot be imported ({error}); {remedy}") from None
    return recbole


def _ray() -> ModuleType:
    """A module with ray's name, for `from ray import tune`."""
    ray = ModuleType("ray", "Stands in for ray, which is not installed.")
    ray.tune = ModuleType("ray.tune")  # type: ignore[attr-defined]
    return ray


def _put(stack: ExitStack, place: Any, name: str, value: object) -> None:
    """Set an attribute until the stack is closed."""
    before = vars(place).get(name, _ABSENT)
    setattr(place, name, value)
    if before is _ABSENT:
        stack.callback(_take, place, name)
    else:
        stack.callback(setattr, place, name, before)


def _take(place: Any, name: str) -> None:
    """Delete an attribute if it exists."""
    if name in vars(place):
        delattr(place, name)


def _update(matrix: Any, entries: dict[tuple[int, int], float]) -> None:
    """Add entries without checks, as `dok_matrix._update` did."""
    matrix._dict.update(entries)


def _fill_nan(dataset: Any) -> None:
    """Fill in missing features: padding for tokens, the mean for numbers, empty lists."""
    for name in dataset.feat_name_list:
        features = getattr(dataset, name)
        for field in features:
            kind, column = dataset.field2type[field].value, features[field]
            if kind == "token":
                features[field] = column.fillna(0)
            elif kind == "float":
                features[field] = column.fillna(column.mean())
            else:
                empty = np.array([], dtype=np.int64 if kind == "token_seq" else np.float64)
                features[field] = [empty if isinstance(entry, float) else entry for entry in column]


def _save_checkpoint(trainer: Any, epoch: int, verbose: bool = True, **kwargs: Any) -> None:
    """Write RecBole's checkpoint in a form that `torch.load` reads with weights_only."""
    if not trainer.config["single_spec"] and trainer.config["local_rank"] != 0:
        return
    path = kwargs.pop("saved_model_file", trainer.saved_model_file)
    state = {
        "config": {"model": trainer.config["model"]},
        "epoch": epoch,
        "cur_step": int(trainer.cur_step),
        "best_valid_score": float(trainer.best_valid_score),
        "state_dict": trainer.model.state_dict(),
        "other_parameter": trainer.model.other_parameter(),
        "optimizer": trainer.optimizer.state_dict(),
    }
    torch.save(state, path)
    if verbose:
        trainer.logger.info(f"Saving current: {path}")
