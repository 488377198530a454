"""Methods that start from a trained table or from training pairs: cases worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from bench.methods.distilled import Distilled
from bench.methods.dpq import DPQ, MGQE
from bench.methods.graded_post import GradedPost
from bench.methods.magnitude_post import MagnitudePost
from bench.methods.pq import PQ
from bench.methods.ptq import PTQ
from bench.methods.recjpq import RecJPQ, bins
from bench.methods.rq import RQ
from bench.methods.svd import SVD

from bench.budget import Budget
from bench.check import tiny_data
from bench.method import Method, Pairs, Table, components, directions, nearest, normalised
from bench.method.registry import find_methods
from bench.method.size import size_of

GOWALLA = 29_858, 40_981


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def table(share: float, users: int = 40, items: int = 30, dim: int = 8, **more) -> Table:
    cap = Budget(int(share * (users + items) * dim * 4))
    teacher = torch.randn(users + items, dim, generator=seeded(9))
    return Table(
        users, items, dim, cap, counts=torch.arange(users + items), teacher=teacher, **more
    )


def built(kind: type[Method], given: Table, **knobs) -> Method:
    method = kind(given, kind.plan(given, kind.Config(**knobs)))
    method.reset(seeded())
    return method


def rows(method: Method) -> torch.Tensor:
    with torch.no_grad():
        return method(torch.arange(method.table.ids))


def read_back(method: Method) -> torch.Tensor:
    ids = torch.arange(method.table.ids)
    return type(method).rows(method.store(), method.table, method.config, ids)


def product(found: torch.Tensor, users: int = 40) -> torch.Tensor:
    one, other = directions(found[:users]), directions(found[users:])
    return one @ other.T


def error(method: Method) -> float:
    users = method.table.users
    apart = product(rows(method), users) - product(method.table.teacher, users)
    return float(apart.square().mean().sqrt())


def set_books(method: PQ, books: list[list[list[float]]], codes: list[int]) -> None:
    """The same books for users and items; all lengths 1; the first user has these codes."""
    method.books.weight.data.copy_(torch.tensor([*books, *books]).flatten(0, 1))
    method.codes[0] = torch.tensor(codes)
    method.lengths.fill_(128)
    method.middle.fill_(1.0)


def test_residual_words_add_up():
    given = table(9.0, dim=2)
    method = built(RQ, given, bits=32, word_bits=1, parts=2, part=2)
    first, second = [[1.0, 0.0], [0.0, 1.0]], [[0.2, 0.3], [-0.2, 0.3]]
    row = torch.tensor([[1.1, 0.4]])
    one = nearest(row, torch.tensor(first))[0]
    two = nearest(row - torch.tensor(first)[one], torch.tensor(second))[0]
    assert (int(one), int(two)) == (0, 0)
    set_books(method, [first, second], [0, 0])
    assert rows(method)[0].tolist() == pytest.approx([1.2, 0.3])


def test_words_of_parts_stand_side_by_side():
    given = table(9.0, dim=4)
    method = built(PQ, given, bits=32, word_bits=1, parts=2, part=2)
    books = [[[0.0, 0.0], [1.0, 1.0]], [[0.0, 1.0], [2.0, 0.0]]]
    row = torch.tensor([0.9, 0.8, 1.5, 0.2])
    codes = [
        int(nearest(row[i : i + 2].view(1, 2), torch.tensor(books[i // 2]))[0]) for i in (0, 2)
    ]
    assert codes == [1, 1]
    set_books(method, books, codes)
    assert rows(method)[0].tolist() == [1.0, 1.0, 2.0, 0.0]


def test_query_chooses_its_nearest_words_and_a_rare_id_among_the_first():
    given = table(9.0, dim=4)
    books = torch.tensor([[[0.0, 0.0], [1.0, 1.0]], [[0.0, 1.0], [2.0, 0.0]]])
    query = torch.tensor([[0.9, 0.8, 1.5, 0.2]]).view(1, 2, 2)
    knobs = {"word_bits": 1, "parts": 2, "part": 2}
    method = built(DPQ, given, **knobs)
    ids, both = torch.tensor([0]), torch.stack((books, books))
    assert method.choose(ids, query, both).tolist() == [[1, 1]]
    many = built(MGQE, given, **(knobs | {"word_bits": 2, "tail_bits": 1}))
    wide = torch.cat((both, both + 0.01), 2)  # words 2 and 3 are a little farther along
    wide[:, :, 3] = query[0]
    chosen = many.choose(torch.tensor([0, 39]), query.expand(2, 2, 2), wide)
    assert chosen.tolist() == [[3, 3], [1, 1]]


def test_bins_have_equal_counts_in_the_order_of_values():
    component = torch.tensor([[0.3], [-0.2], [0.9], [0.1], [0.5], [-0.7]])
    assert bins(component, 3, seeded()).flatten().tolist() == [1, 0, 2, 1, 2, 0]
    assert bins(torch.zeros(8, 1), 4, seeded()).flatten().bincount().tolist() == [2, 2, 2, 2]


def test_components_are_the_singular_vectors():
    data = tiny_data()
    matrix = Pairs.of(data.train, data.items).matrix()
    left, right = components(matrix, 4, seeded())
    dense = matrix.to_dense()
    expected = torch.linalg.svdvals(dense)[:4]
    assert torch.allclose((left.T @ dense @ right).diagonal(), expected, rtol=1e-3)
    many, _ = components(matrix, 60, seeded())
    assert many.shape == (data.users, 60) and not many[:, data.items :].any()


def test_normalised_components_begin_with_the_degrees():
    data = tiny_data()
    matrix = Pairs.of(data.train, data.items).matrix()
    normal, users, items = normalised(matrix)
    dense = matrix.to_dense()
    assert torch.equal(users, dense.sum(1).clamp(min=1))
    expected = dense / (users.sqrt()[:, None] * items.sqrt()[None])
    assert torch.allclose(normal.to_dense(), expected)
    assert torch.linalg.svdvals(expected)[0] == pytest.approx(1, rel=1e-4)
    left = users.sqrt() / users.sum().sqrt()
    assert torch.allclose(expected.T @ left, items.sqrt() / users.sum().sqrt(), atol=1e-5)


@pytest.mark.parametrize("normal", [True, False])
def test_recjpq_has_codes_of_pairs_and_random_books(normal):
    data = tiny_data()
    pairs_of = Pairs.of(data.train, data.items)
    given = Table(data.users, data.items, 16, Budget(6000), interactions=pairs_of)
    method = built(RecJPQ, given, word_bits=2, normalised=normal)
    # Four blocks that share nothing: members of a block have the same codes more often.
    same = (method.codes[:, None] == method.codes[None]).float().mean(-1)
    block = torch.arange(data.users) % 4
    inside = block[:, None] == block[None]
    users = same[: data.users, : data.users]
    assert users[inside].mean() > users[~inside].mean() + 0.1
    assert float(rows(method).std()) == pytest.approx(given.std, rel=0.15)


def test_bytes_of_codes_at_the_size_of_gowalla():
    given = Table(*GOWALLA, 64, Budget(362_695))
    config = PQ.Config(parts=4, part=16)
    arrays = PQ.file_arrays(given, config)
    sizes = {name: math.prod(shape) for name, (_, shape) in arrays.items()}
    assert sizes["codes"] == 283_356
    assert sizes["lengths"] == 40_981
    assert sizes["books.weight.codes"] == 2 * 256 * 64
    assert sizes["books.weight.scale"] == 2 * 4 * 256 + 2  # a byte a word
    found = RQ.plan(given, RQ.Config(columns=16))
    assert (found.parts, found.part) == (4, 16)
    assert size_of(RQ.file_arrays(given, found)).bytes <= 362_695


def test_mgqe_stores_rare_ids_in_fewer_bits():
    given = Table(*GOWALLA, 64, Budget(362_695))
    config = MGQE.Config(parts=4, part=16)
    arrays = MGQE.file_arrays(given, config)
    frequent = round(0.1 * GOWALLA[0]) + round(0.1 * GOWALLA[1])
    assert arrays["codes"][1] == (4 * frequent,)
    assert arrays["codes.tail"][1] == (4 * (sum(GOWALLA) - frequent) * 6 // 8,)


@pytest.mark.parametrize("kind", [PQ, RQ, PTQ, SVD, MagnitudePost], ids=lambda kind: kind.name)
def test_more_bytes_are_nearer_to_the_teacher(kind):
    knobs = {"word_bits": 6 if kind is PQ else 3, "columns": 8} if issubclass(kind, PQ) else {}
    few, many = (built(kind, table(share, 400, 350), **knobs) for share in (0.14, 0.9))
    assert error(many) < 0.8 * error(few)


def test_whole_teacher_in_16_bits_has_its_scores():
    method = built(PTQ, table(0.9))
    assert method.config.bits == 16 and method.width == 8
    assert error(method) < 1e-3


def test_graded_teacher_is_nearer_with_more_bits_for_the_tail():
    one, three = (built(GradedPost, table(0.5, 400, 350), tail_bits=bits) for bits in (1, 3))
    assert one.width == three.width == 8
    assert error(three) < 0.6 * error(one)


def test_ptq_takes_more_bits_once_all_columns_fit():
    found = [
        PTQ.plan(given, PTQ.Config()) for given in (table(s, 400, 300) for s in (0.08, 0.22, 0.3))
    ]
    assert [one.bits for one in found] == [3, 6, 8]
    assert [one.width == 8 for one in found] == [False, True, True]


def test_pruned_teacher_keeps_its_largest_entries():
    method = built(MagnitudePost, table(0.4), principal=False)
    teacher, found = method.table.teacher, rows(method)
    kept = found != 0
    assert int(kept.sum()) == method.config.kept
    assert torch.equal(found[kept], teacher[kept])
    assert teacher[kept].abs().min() >= teacher[~kept].abs().max()


def test_principal_axes_make_pruning_cheaper():
    given = table(0.3, 400, 300)
    teacher = given.teacher * torch.logspace(0, -1.5, 8)
    turned = teacher @ torch.linalg.qr(torch.randn(8, 8, generator=seeded(3))).Q
    object.__setattr__(given, "teacher", turned)
    plain, principal = (built(MagnitudePost, given, principal=flag) for flag in (False, True))
    assert error(principal) < 0.7 * error(plain)


def test_lengths_of_users_are_stored_if_asked_for():
    given = table(2.0)
    plain, longer = (built(PQ, given, user_lengths=flag, word_bits=3) for flag in (False, True))
    assert len(longer.lengths) == len(plain.lengths) + given.users
    lengths = given.teacher.norm(dim=1)
    ids = torch.arange(given.ids)
    assert torch.allclose(longer.length(ids).squeeze(1), lengths, rtol=0.03)
    assert plain.length(ids)[: given.users].unique().numel() == 1


def test_codes_of_dpq_follow_the_queries_and_queries_are_not_stored():
    method = built(DPQ, table(2.0), word_bits=3)
    with torch.no_grad():
        method.queries.weight.add_(torch.randn(70, method.width, generator=seeded(5)))
    assert torch.equal(read_back(method), rows(method))
    assert not any(name.startswith("queries") for name in method.store())


def test_every_method_that_needs_a_teacher_says_what_it_is_made_of():
    taught = {name for name, kind in find_methods().items() if "teacher" in kind.needs}
    assert taught >= {
        "svd",
        "ptq",
        "magnitude-post",
        "pq",
        "rq",
        "pq-tuned",
        "rq-tuned",
        "dpq",
        "mgqe",
    }
    for name in taught:
        assert find_methods()[name].paper


@pytest.mark.parametrize(
    "kind",
    [
        one
        for one in find_methods().values()
        if "teacher" in one.needs and one.distillation is Method.distillation
    ],
    ids=lambda k: k.name,
)
@pytest.mark.parametrize("factor", [None, 6.0])
def test_a_trained_table_gives_rows_that_are_no_wider_in_large_budgets_of_few_bits(kind, factor):
    knobs = {} if kind.Config.own_precision else {"bits": 2}
    if "width_factor" in kind.Config.model_fields:
        knobs["width_factor"] = factor
    method = built(kind, table(0.9, wide=True), **knobs)
    assert rows(method).shape == (70, 8)
    assert torch.allclose(read_back(method), rows(method), atol=1e-6)


@pytest.mark.parametrize("share", [0.4, 0.9])
def test_distilled_codes_start_from_the_teachers_products(share):
    given = table(share, wide=True)
    method = built(Distilled, given, length_power=0.0)
    found, width = method.stored.weight.detach(), method.width
    assert (width > 8) == (share > 0.5)
    known = found[:, :8]
    assert float(known.std()) == pytest.approx(given.std, rel=1e-4)
    worth = (product(known) * product(given.teacher)).mean() / product(
        given.teacher
    ).square().mean()
    assert float(worth) > (0.999 if width > 8 else 0.3)
    if width > 8:
        assert float(found[:, 8:].std()) == pytest.approx(0.1 * given.std, rel=0.1)


@pytest.mark.parametrize("kind", [SVD, PTQ, PQ, RQ, GradedPost, MagnitudePost, Distilled])
def test_users_keep_their_lengths_where_rows_are_summed_over_a_graph(kind: type[Method]) -> None:
    """Under LightGCN a row is summed with those of its neighbours, by its length."""
    plain = table(1.1)
    assert plain.teacher is not None
    teacher = plain.teacher.clone()
    lengths = torch.linspace(1, 12, plain.users)
    teacher[: plain.users] = directions(teacher[: plain.users]) * lengths[:, None]
    given = replace(plain, teacher=teacher)
    for summed in (False, True):
        knobs = kind.with_user_lengths(kind.Config()) if summed else kind.Config()
        method = kind(given, kind.plan(given, knobs))
        method.reset(seeded())
        found = read_back(method)[: plain.users].norm(dim=1)
        # Rows that all have length 1 would have no correlation without the small addition.
        kept = torch.corrcoef(torch.stack((found + 1e-3 * lengths.flip(0), lengths)))[0, 1]
        assert bool(kept > 0.95) is summed


def test_settings_may_drop_users_lengths_all_the_same() -> None:
    quantised, graded = (find_methods()[name] for name in ("dims-quantised", "graded"))
    assert quantised.with_user_lengths(quantised.Config()).scale == "row"
    assert quantised.with_user_lengths(quantised.Config(scale="item")).scale == "item"
    for kind in (graded, SVD, PTQ, GradedPost, MagnitudePost, Distilled):
        for given, wanted in ((None, True), (True, True), (False, None)):
            knobs = kind.with_user_lengths(kind.Config(user_lengths=given))
            assert kind.plan(table(1.1), knobs).user_lengths is wanted
        assert "user_lengths" not in kind.plan(table(1.1), kind.Config()).record()
    for kind in (PQ, RQ):
        for flag in (False, True):
            assert kind.with_user_lengths(kind.Config(user_lengths=flag)).user_lengths is flag


@pytest.mark.parametrize("kind", [SVD, PTQ, MagnitudePost])
def test_a_scale_without_users_gives_way_to_their_lengths(kind: type[Method]) -> None:
    for given, wanted in ((None, "row"), (True, "row"), (False, "item")):
        knobs = kind.with_user_lengths(kind.Config(scale="item", user_lengths=given))
        assert kind.plan(table(1.1), knobs).scale == wanted
    assert kind.plan(table(1.1), kind.Config(scale="item")).scale == "item"
