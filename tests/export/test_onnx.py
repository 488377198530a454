"""The look-up as an ONNX graph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.exported import made, rows_of

from bench.errors import BenchError
from bench.export import onnx
from bench.method.file import write_file
from bench.method.registry import find_methods

METHODS = find_methods()


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setattr(onnx, "NEEDED", ("onnx-of-nowhere",))
    with pytest.raises(BenchError, match=r"onnx-of-nowhere.*pip install"):
        onnx.check_onnx()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "knobs"),
    [
        ("dims-quantised", {}),
        ("graded", {}),
        ("hashing", {"head": 0.5}),
        ("qr", {}),
        ("pep", {}),
        ("cerp", {}),
    ],
)
def test_rows_of_the_graph_are_those_of_the_program(name, knobs):
    runtime = pytest.importorskip("onnxruntime", reason="pip install .[onnx]")
    pytest.importorskip("onnxscript", reason="pip install .[onnx]")
    method = made(METHODS[name], **knobs)
    method.table = replace(method.table, wide=True)  # as under backbones of products
    graph = onnx.onnx_file(write_file(method), METHODS[name])
    session = runtime.InferenceSession(graph)
    for ids in (np.arange(method.table.ids), np.array([7])):
        [rows] = session.run(None, {"ids": ids})
        np.testing.assert_allclose(rows, rows_of(method)[ids], atol=1e-6)


@pytest.mark.slow
def test_a_look_up_that_depends_on_the_number_of_ids_is_refused():
    pytest.importorskip("onnxruntime", reason="pip install .[onnx]")
    pytest.importorskip("onnxscript", reason="pip install .[onnx]")
    with pytest.raises(BenchError, match="does not export to ONNX"):
        onnx.onnx_file(write_file(made(METHODS["ttrec"])), METHODS["ttrec"])
