import pytest
import torch
from support.backbones import random_data

from bench.backbones import network
from bench.backbones.mlp import MLP
from bench.backbones.neumf import NeuMF
from bench.backbones.registry import find_backbones
from bench.engine.evaluate import Evaluator
from bench.engine.losses import mean_loss
from bench.engine.objectives import BPR, Softmax
from bench.engine.rank import rank
from bench.errors import SpecError

DIM = 10


@pytest.fixture(name="data", scope="module")
def data_fixture():
    return random_data(users=30, items=70, seed=4)


@pytest.fixture(name="rows", scope="module")
def rows_fixture(data):
    return torch.randn(data.ids, DIM, generator=torch.Generator().manual_seed(5))


def built(kind, data, dim=DIM, **config):
    backbone = kind(data, dim, kind.Config(**config))
    backbone.reset(torch.Generator().manual_seed(6))
    return backbone


def test_the_four_backbones_are_found():
    assert set(find_backbones()) >= {"mf", "lightgcn", "neumf", "mlp"}


def test_neumf_equals_the_formula_of_the_paper(data, rows):
    backbone = built(NeuMF, data, widths=(1.0, 0.6))
    backbone.user_layer.bias.data.normal_()
    backbone.weights.data.normal_()
    user, item = rows[3], rows[data.users + 7]
    first = torch.cat((backbone.user_layer.weight, backbone.item_layer.weight), 1)
    hidden = torch.relu(first @ torch.cat((user[1::2], item[1::2])) + backbone.user_layer.bias)
    hidden = torch.relu(backbone.hidden[0].weight @ hidden + backbone.hidden[0].bias)
    joined = torch.cat((user[::2] * item[::2], hidden))
    wanted = torch.cat((backbone.weights, backbone.last.weight[0])) @ joined
    torch.testing.assert_close(backbone.pairs(user[None], item[None])[0], wanted)


def test_neumf_gives_odd_columns_to_the_dot_product(data):
    backbone = built(NeuMF, data, dim=7)
    assert backbone.weights.shape == (4,)
    assert backbone.user_layer.in_features == 3


def test_a_table_of_few_columns_feeds_both_branches_of_neumf(data, rows):
    """Methods with fewer columns leave the last ones zero."""
    backbone, few = built(NeuMF, data), rows.clone()
    few[:, 2:] = 0
    (gmf, _), (_, mlp) = backbone.user_side(few), backbone.item_side(few)
    assert gmf.any() and (mlp - backbone.item_layer(torch.zeros(5))).any()


def test_neumf_needs_two_columns(data):
    with pytest.raises(SpecError, match="dim is 1"):
        built(NeuMF, data, dim=1)


@pytest.mark.parametrize("norm", [False, True])
def test_mlp_equals_the_reference_up_to_its_constant_factor(data, rows, norm):
    backbone = built(MLP, data, widths=(2.0, 1.0), norm=norm).eval()
    backbone.first.bias.data.normal_()
    for module in backbone.norms:
        module.running_mean.normal_()
        module.running_var.uniform_(0.5, 2)
    user, item = rows[3].clone(), rows[data.users + 7]
    user[:6] = 0
    pair = torch.cat((user, item))
    hidden = pair / (pair != 0).sum() * (2 * DIM)  # the reference without the last factor
    for number, layer in enumerate((backbone.first, *backbone.rest)):
        hidden = layer(hidden[None])[0]
        hidden = backbone.norms[number](hidden[None])[0] if norm else hidden
        hidden = torch.relu(hidden)
    wanted = backbone.last(hidden)[0]
    torch.testing.assert_close(backbone.pairs(user[None], item[None])[0], wanted)


@pytest.mark.parametrize(("dim", "reference"), [(64, 694_529), (128, 2_765_313)])
def test_mlp_has_the_parameters_of_the_reference_less_the_last_bias(data, dim, reference):
    backbone = MLP(data, dim, MLP.Config())
    assert sum(parameter.numel() for parameter in backbone.parameters()) == reference - 1


def test_mlp_scores_and_gradients_are_finite_where_all_is_pruned(data):
    backbone = built(MLP, data, norm=False, widths=(1.0,))
    rows = torch.zeros(4, DIM, requires_grad=True)
    scores = backbone.pairs(rows, rows)
    scores.sum().backward()
    assert scores.isfinite().all()
    assert rows.grad.isfinite().all()


@pytest.mark.parametrize("kind", [NeuMF, MLP])
@pytest.mark.parametrize("block", [1, 300, 2**22])
def test_ranking_in_blocks_scores_each_pair_alone(data, rows, kind, block, monkeypatch):
    monkeypatch.setattr(network, "_BLOCK", block)
    backbone = built(kind, data).eval()
    people, things = rows[: data.users], rows[data.users :]
    whole = backbone.matrix(people, things)
    out = torch.full((data.users, 80), 7.0)
    backbone.matrix(people, things, out=out)
    each = backbone.pairs(people[:, None], things[None])
    torch.testing.assert_close(whole, each)
    torch.testing.assert_close(out[:, : data.items], each)
    assert (out[:, data.items :] == 7).all()


@pytest.mark.parametrize("kind", [NeuMF, MLP])
def test_metrics_do_not_depend_on_the_block_of_users(data, rows, kind):
    backbone = built(kind, data).eval()
    with torch.no_grad():
        results = [
            rank(backbone, rows, Evaluator(data.test, [data.train], data.items, block=block))
            for block in (1, 7, 30)
        ]
    assert results[0].metrics == results[1].metrics == results[2].metrics
    assert (results[0].top == results[2].top).all()


def test_batch_norm_sees_positives_and_negatives_together(data, rows):
    backbone = built(MLP, data, widths=(1.0,))
    users, positives = rows[:20], rows[40:60]
    negatives = rows[60:100].view(20, 2, DIM)
    above, below = backbone.contrast(users, positives, negatives)
    assert above.shape == (20, 1)
    assert below.shape == (20, 2)
    # Normalised apart, positives that are moved by any constant would score the same as before.
    apart = backbone.pairs(users, positives)
    assert not torch.allclose(above[:, 0], apart, atol=1e-3)


def test_shared_negatives_are_refused_under_batch_norm(data, rows):
    backbone = built(MLP, data)
    with pytest.raises(SpecError, match=r"mlp\.norm=false"):
        mean_loss(Softmax(), backbone, rows[:4], rows[4:8], rows[8:12])
    backbone = built(MLP, data, norm=False)
    assert mean_loss(Softmax(), backbone, rows[:4], rows[4:8], rows[8:12]).isfinite()


@pytest.mark.parametrize("kind", [NeuMF, MLP])
def test_reset_repeats_and_depends_on_the_seed(data, kind):
    first, second = built(kind, data), built(kind, data)
    second.reset(torch.Generator().manual_seed(7))
    names = [name for name, tensor in first.named_parameters() if tensor.dim() == 2]
    values = first.state_dict()
    assert all(not torch.equal(values[name], second.state_dict()[name]) for name in names)
    second.reset(torch.Generator().manual_seed(6))
    again = second.state_dict()
    assert all(torch.equal(value, again[name]) for name, value in values.items())


def test_dot_products_keep_their_two_calls(data, rows):
    backbone = built(find_backbones()["mf"], data)
    users, positives, negatives = rows[:5], rows[5:10], rows[10:20].view(5, 2, DIM)
    above, below = backbone.contrast(users, positives, negatives)
    torch.testing.assert_close(above[:, 0], (users * positives).sum(1))
    torch.testing.assert_close(below[:, 1], (users * negatives[:, 1]).sum(1))
    wanted = torch.nn.functional.softplus(below - above).mean()
    torch.testing.assert_close(mean_loss(BPR(), backbone, users, positives, negatives), wanted)
