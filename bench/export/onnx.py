"""The look-up of a table as an ONNX graph, from ids to rows; needs the extra `onnx`."""

from __future__ import annotations

import importlib.util
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.export import Dim

from bench.errors import BenchError
from bench.method import Method
from bench.method.file import read_file

NEEDED = ("onnx", "onnxscript", "onnxruntime")
_SOME = 1000  # rows that are compared, at most


def check_onnx() -> None:
    """Refuse where the packages are missing.

    Raises:
        BenchError: naming them.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise BenchError(
            f"--onnx needs {', '.join(missing)}: pip install 'compact-embedding-benchmark[onnx]'"
        )


def onnx_file(content: bytes, kind: type[Method]) -> bytes:
    """The content of an ONNX file with the input `ids`, int64 [n], and the output `rows`.

    The graph holds decoded float32 values, so it is larger than the file that it is made of.

    Args:
        content: the file of the table.
        kind: its method.

    Raises:
        BenchError: the look-up cannot be written as a graph for any number of ids.
    """
    _, method = read_file(kind, content)
    ids = torch.arange(min(5, method.table.ids))
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        # Without gradients, as rows are looked up: training reads them in other ways.
        quiet = warnings.catch_warnings()
        with torch.no_grad(), quiet, tempfile.TemporaryDirectory() as folder:
            warnings.simplefilter("ignore")
            options: dict[str, Any] = {"input_names": ["ids"], "output_names": ["rows"]}
            shapes = {"ids": {0: Dim("n", min=1)}}
            program = torch.onnx.export(
                method.eval(), (ids,), dynamo=True, dynamic_shapes=shapes, verbose=False, **options
            )
            assert program is not None
            path = Path(folder) / "table.onnx"
            program.save(str(path), external_data=False)
            found = path.read_bytes()
        _compare(found, method)
    except Exception as error:  # whatever the exporter or the runtime raises
        reason = str(error).strip().partition("\n")[0]
        raise BenchError(f"{kind.name}: its look-up does not export to ONNX ({reason})") from error
    finally:
        logger.setLevel(level)
    return found


def _compare(content: bytes, method: Method) -> None:
    """Compare rows of the graph with the program's.

    Raises:
        ValueError: they differ.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    total = method.table.ids
    some = np.unique(np.linspace(0, total - 1, min(total, _SOME)).astype(np.int64))
    for ids in (some, some[:1]):
        [rows] = session.run(None, {"ids": ids})
        with torch.no_grad():
            wanted = method(torch.from_numpy(ids)).numpy()
        if not np.allclose(rows, wanted, rtol=1e-5, atol=1e-6):
            raise ValueError("rows differ")
