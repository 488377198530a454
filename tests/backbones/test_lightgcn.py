from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from support.backbones import random_data

from bench import compiled
from bench.backbones.graph import propagation
from bench.backbones.graph.propagation import mean_of_layers, normalised_graph, some_of_mean
from bench.backbones.lightgcn import LightGCN


def dense(data) -> torch.Tensor:
    """D^-1/2 [0 R; R^T 0] D^-1/2 in float64, entry by entry."""
    matrix = torch.zeros(data.ids, data.ids, dtype=torch.float64)
    for user, item in zip(data.train.rows(), data.train.indices, strict=True):
        matrix[user, data.users + item] = matrix[data.users + item, user] = 1
    scale = matrix.sum(1).clamp(min=1).rsqrt()
    return scale[:, None] * matrix * scale


@pytest.fixture(name="data", scope="module")
def data_fixture():
    return random_data(users=40, items=60, seed=1, empty_item=True)


@pytest.fixture(name="rows", scope="module")
def rows_fixture(data):
    return torch.randn(data.ids, 16, generator=torch.Generator().manual_seed(2))


@pytest.fixture(name="way", params=["compiled", "plain"])
def way_fixture(request, monkeypatch):
    """Both ways to compute the mean of layers."""
    if request.param == "plain":
        monkeypatch.setattr(propagation, "available", lambda: False)
    else:
        pytest.importorskip("numba")
    return request.param


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("layers", [0, 1, 2, 3, 5])
def test_propagation_equals_a_dense_computation_in_float64(data, rows, layers):
    backbone = LightGCN(data, 16, LightGCN.Config(layers=layers))
    power, total = rows.double(), rows.double()
    for _ in range(layers):
        power = dense(data) @ power
        total = total + power
    wanted = total / (layers + 1)
    torch.testing.assert_close(backbone.spread(rows).double(), wanted, atol=1e-6, rtol=1e-5)


def test_propagation_equals_the_formula_of_lightgcn_pytorch(data, rows):
    # dataloader.getSparseGraph and model.computer of gusye1234/LightGCN-PyTorch, in SciPy.
    ratings = sp.csr_matrix(
        (np.ones(data.train.nnz, np.float32), (data.train.rows(), data.train.indices)),
        shape=(data.users, data.items),
    )
    adjacency = sp.bmat([[None, ratings], [ratings.T, None]]).tocsr()
    with np.errstate(divide="ignore"):
        inverse = np.power(np.asarray(adjacency.sum(1)).ravel(), -0.5)
    inverse[np.isinf(inverse)] = 0.0
    graph = sp.diags(inverse) @ adjacency @ sp.diags(inverse)
    layers = [rows.numpy()]
    for _ in range(3):
        layers.append(graph @ layers[-1])
    ours = LightGCN(data, 16, LightGCN.Config()).spread(rows)
    np.testing.assert_allclose(ours.numpy(), np.mean(layers, axis=0), atol=1e-5)


def mean_in_float64(data, rows, layers):
    matrix, power = dense(data), rows
    total = rows
    for _ in range(layers):
        power = matrix @ power
        total = total + power
    return total / (layers + 1)


@pytest.mark.usefixtures("way")
def test_gradient_equals_that_of_a_dense_computation(data, rows):
    graph = normalised_graph(data.train, data.items)
    weights = torch.randn(rows.shape, generator=torch.Generator().manual_seed(3))
    ours = rows.clone().requires_grad_()
    (mean_of_layers(ours, graph, 3) * weights).sum().backward()
    theirs = rows.double().requires_grad_()
    (mean_in_float64(data, theirs, 3) * weights).sum().backward()
    torch.testing.assert_close(ours.grad.double(), theirs.grad, atol=1e-6, rtol=1e-5)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("dim", [1, 9, 16, 40])
@pytest.mark.parametrize("layers", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("used", ["mean", "own", "both"])
def test_some_rows_and_their_gradient_equal_a_dense_computation(data, layers, dim, used):
    generator = torch.Generator().manual_seed(layers + dim)
    rows = torch.randn(data.ids, dim, generator=generator)
    lonely = data.users + int(np.flatnonzero(data.item_counts() == 0)[0])
    ids = torch.tensor([0, 3, 17, 39, 41, lonely, 99]).unique()
    factors = torch.randn(2, len(ids), dim, generator=generator)
    factors *= torch.tensor([used != "own", used != "mean"]).view(2, 1, 1)
    graph = normalised_graph(data.train, data.items)

    ours = rows.clone().requires_grad_()
    got = some_of_mean(ours, graph, layers, ids)
    parts = zip(("mean", "own"), got, factors, strict=True)
    sum((a * b).sum() for name, a, b in parts if used in (name, "both")).backward()
    theirs = rows.double().requires_grad_()
    wanted = mean_in_float64(data, theirs, layers)[ids], theirs[ids]
    sum((a * b).sum() for a, b in zip(wanted, factors, strict=True)).backward()
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one.double(), other, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(ours.grad.double(), theirs.grad, atol=1e-6, rtol=1e-5)


def test_compiled_loops_are_used_here():
    pytest.importorskip("numba")
    assert compiled.available()


def test_without_numba_the_mean_is_computed_in_the_plain_way(data, rows, monkeypatch):
    monkeypatch.setattr(propagation, "available", lambda: False)
    graph = normalised_graph(data.train, data.items)
    wanted = mean_in_float64(data, rows.double(), 3)
    got = mean_of_layers(rows, graph, 3)
    torch.testing.assert_close(got.double(), wanted, atol=1e-6, rtol=1e-5)


def test_any_number_of_threads_gives_the_same_numbers(data):
    rows = torch.randn(data.ids, 40, generator=torch.Generator().manual_seed(5))
    graph, ids = normalised_graph(data.train, data.items), torch.arange(0, data.ids, 3)
    found, before = [], torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            given = rows.clone().requires_grad_()
            mean, _ = some_of_mean(given, graph, 3, ids)
            mean.square().sum().backward()
            found.append(torch.cat((mean.detach(), given.grad)))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_graph_is_symmetric_and_rows_are_sorted(data):
    starts, columns, values, scale = vars(normalised_graph(data.train, data.items)).values()
    graph = sp.csr_matrix(
        (values.numpy(), columns.numpy(), starts.numpy()), shape=(data.ids, data.ids)
    )
    assert abs(graph - graph.T).max() == 0
    assert all((np.diff(columns[a:b].numpy()) > 0).all() for a, b in pairwise(starts))
    assert columns.dtype == torch.int32
    rows = torch.arange(data.ids).repeat_interleave(starts.diff())
    torch.testing.assert_close(values, scale[rows] * scale[columns.long()])


def test_ids_without_interactions_keep_a_share_of_their_own_row(data, rows):
    lonely = data.users + int(np.flatnonzero(data.item_counts() == 0)[0])
    got = LightGCN(data, 16, LightGCN.Config(layers=3)).spread(rows)
    torch.testing.assert_close(got[lonely], rows[lonely] / 4)


def test_graph_is_neither_a_parameter_nor_in_a_checkpoint(data):
    backbone = LightGCN(data, 16, LightGCN.Config())
    assert not list(backbone.parameters())
    assert not backbone.state_dict()


def test_cosine_scales_propagated_rows_to_length_one(data, rows):
    backbone = LightGCN(data, 16, LightGCN.Config(similarity="cosine"))
    got = backbone.embed(backbone.spread(rows))
    torch.testing.assert_close(got.norm(dim=1), torch.ones(data.ids))


def test_equals_recbole_on_the_same_graph(data, rows):
    pytest.importorskip("recbole", reason="RecBole is not installed")
    from types import SimpleNamespace

    from bench.recbole import compatible

    with compatible():
        from recbole.model.general_recommender.lightgcn import LightGCN as Theirs

        matrix = sp.coo_matrix(
            (np.ones(data.train.nnz), (data.train.rows(), data.train.indices)),
            shape=(data.users, data.items),
        )
        config = {
            "USER_ID_FIELD": "user_id",
            "ITEM_ID_FIELD": "item_id",
            "NEG_PREFIX": "neg_",
            "device": torch.device("cpu"),
            "embedding_size": 16,
            "n_layers": 3,
            "reg_weight": 0.0,
            "require_pow": False,
        }
        sizes = {"user_id": data.users, "item_id": data.items}
        theirs = Theirs(
            config, SimpleNamespace(num=sizes.__getitem__, inter_matrix=lambda form: matrix)
        )
        theirs.user_embedding.weight.data.copy_(rows[: data.users])
        theirs.item_embedding.weight.data.copy_(rows[data.users :])
        wanted = torch.cat(theirs.forward()).detach()
    ours = LightGCN(data, 16, LightGCN.Config()).spread(rows)
    torch.testing.assert_close(ours, wanted, atol=1e-5, rtol=0)
