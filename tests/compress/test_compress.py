"""Vectors that somebody has: read from every form, compressed, judged, written."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.numpy
import torch

import compact_lookup
from bench.budget import parse_budget
from bench.cli import main
from bench.compress import Judge, Vectors, compress, read_vectors, write
from bench.compress.tables import best, candidates
from bench.data import CSR, Interactions
from bench.errors import DataError, SpecError
from bench.method.registry import find_methods


def drawn(users: int = 120, items: int = 90, dim: int = 16) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    weights = np.exp(-np.arange(dim) / 4)
    return {
        "users": (generator.normal(size=(users, dim)) * weights).astype(np.float32),
        "items": (generator.normal(size=(items, dim)) * weights).astype(np.float32),
    }


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    names = [tuple(f"{side}{n}" for n in range(count)) for side, count in (("u", 120), ("i", 90))]
    return Vectors(**drawn(), user_ids=names[0], item_ids=names[1])


def test_all_forms_give_the_same(tmp_path: Path) -> None:
    arrays = drawn()
    np.savez(tmp_path / "a.npz", **arrays)
    safetensors.numpy.save_file(arrays, tmp_path / "a.safetensors")
    for side in ("users", "items"):
        np.save(tmp_path / f"{side}.npy", arrays[side].astype(np.float64))
    state = {f"{side[:-1]}_embedding.weight": torch.from_numpy(arrays[side]) for side in arrays}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "a.pth")
    found = [read_vectors(tmp_path / f"a.{end}") for end in ("npz", "safetensors", "pth")]
    found.append(read_vectors(tmp_path / "users.npy", tmp_path / "items.npy"))
    for one, numbered in found:
        assert numbered and one.user_ids[:2] == ("0", "1")
        assert np.array_equal(one.users, arrays["users"])
        assert np.array_equal(one.items, arrays["items"])


def test_own_ids_are_kept(tmp_path: Path) -> None:
    ids = np.array([f"u{n}" for n in range(120)]), np.arange(90) + 1000
    np.savez(tmp_path / "a.npz", **drawn(), user_ids=ids[0], item_ids=ids[1])
    found, numbered = read_vectors(tmp_path / "a.npz")
    assert not numbered
    assert (found.user_ids[3], found.item_ids[3]) == ("u3", "1003")
    np.savez(tmp_path / "b.npz", **drawn(), user_ids=ids[0].astype("S"), item_ids=ids[1])
    assert read_vectors(tmp_path / "b.npz")[0].user_ids == found.user_ids
    np.savez(tmp_path / "c.npz", **drawn(), item_ids=ids[1])
    found, numbered = read_vectors(tmp_path / "c.npz")
    assert not numbered
    assert (found.user_ids[3], found.item_ids[3]) == ("3", "1003")
    with pytest.raises(DataError, match="--items goes with an"):
        read_vectors(tmp_path / "b.npz", tmp_path / "items.npy")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"items": None}, "has no array `items`"),
        ({"items": np.zeros(4, np.float32)}, "floating point"),
        ({"items": np.zeros((4, 16), np.int64)}, "floating point"),
        ({"items": np.zeros((4, 5), np.float32)}, "16 columns and items 5"),
        ({"items": np.full((4, 16), np.nan, np.float32)}, "row 0 of `items`"),
        ({"user_ids": np.arange(3)}, "one id for each of 120 rows"),
        ({"user_ids": np.arange(120) // 2}, "one id for each of 120 rows, all different"),
        ({"user_ids": np.array([{}] * 120)}, r"ids\.astype\(str\)"),
        ({"user_ids": np.arange(120) / 1.0}, "`user_ids` is of type float64"),
        ({"user_ids": np.array([b"caf\xe9"] * 120)}, "not UTF-8"),
        ({"items": np.full((4, 16), 1e30, np.float32)}, r"`items` has a value of 1e\+30"),
        ({"items": np.full((4, 16), -1e30, np.float32)}, r"`items` has a value of 1e\+30"),
    ],
)
def test_other_content_is_refused_in_one_line(
    tmp_path: Path, changes: dict[str, np.ndarray], said: str
) -> None:
    arrays = {name: array for name, array in (drawn() | changes).items() if array is not None}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=said) as caught:
        read_vectors(tmp_path / "a.npz")
    assert "\n" not in str(caught.value)


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    for name in ("a.npz", "a.npy", "a.safetensors", "a.pth", "a.txt"):
        (tmp_path / name).write_bytes(b"nothing of the kind")
        with pytest.raises(DataError, match=name):
            read_vectors(tmp_path / name, tmp_path / name)
    torch.save({"state_dict": {}, "config": object()}, tmp_path / "b.pth")
    with pytest.raises(DataError, match="without executing"):
        read_vectors(tmp_path / "b.pth")
    names = "item_embedding", "a.user_embedding", "b.user_embedding"
    state = {f"{name}.weight": torch.ones(3, 2) for name in names}
    torch.save({"state_dict": state}, tmp_path / "c.pth")
    with pytest.raises(DataError, match=r"c\.pth: needs one table of users and one of items"):
        read_vectors(tmp_path / "c.pth")
    with pytest.raises(DataError, match="--items"):
        read_vectors(tmp_path / "a.npy")


def test_methods_of_a_given_table_keep_more_with_more_bytes(vectors: Vectors) -> None:
    judge, ids = Judge(vectors), 210
    budgets = {text: parse_budget(text, ids, 16) for text in ("15%", "60%")}
    found = compress(vectors, budgets, find_methods(), judge)
    names = {kind.name for kind, _ in candidates(find_methods())}
    assert {"svd", "ptq", "pq", "rq", "magnitude-post"} <= names
    assert {one.kind.name for one in found} == names
    for text, budget in budgets.items():
        these = [one for one in found if one.budget == text and one.metrics]
        kept = [one.metrics["kept"] for one in these if one.metrics]
        assert kept == sorted(kept, reverse=True)
        assert all(len(one.content) <= budget.cap for one in these)
    little, much = (best(found, text) for text in budgets)
    assert little and much and little.metrics and much.metrics
    assert 0.5 < little.metrics["kept"] < much.metrics["kept"] <= 1


def test_the_original_keeps_everything(vectors: Vectors) -> None:
    rows = torch.cat([torch.from_numpy(vectors.users), torch.from_numpy(vectors.items)])
    judge = Judge(vectors)
    assert judge(rows) == {"kept": 1.0}
    generator = torch.Generator().manual_seed(1)
    random = judge(torch.randn(rows.shape, generator=generator))["kept"]
    assert random == pytest.approx(20 / 90, abs=0.05)


def test_a_budget_that_is_too_small_is_a_reason(vectors: Vectors) -> None:
    found = compress(vectors, {"10B": parse_budget("10B", 210, 16)}, find_methods(), Judge(vectors))
    assert found and not any(one.content for one in found)
    assert all(one.reason for one in found)
    assert best(found, "10B") is None


def test_the_folder_gives_the_rows_by_own_ids(vectors: Vectors, tmp_path: Path) -> None:
    budgets = {"40%": parse_budget("40%", 210, 16)}
    winner = best(compress(vectors, budgets, find_methods(), Judge(vectors)), "40%")
    assert winner
    sizes = write(tmp_path / "table", winner, vectors)
    assert sizes.table == len(winner.content) <= budgets["40%"].cap and sizes.read
    card = (tmp_path / "table" / "README.md").read_text()
    assert f"{sizes.table:,} bytes, {sizes.table / 134.4:.1f} % of the\n13,440 bytes" in card
    table = compact_lookup.load(tmp_path / "table")
    scores = vectors.items @ vectors.users[17]
    mine = [name for name, _ in table.recommend("u17", k=20)]
    theirs = {vectors.item_ids[n] for n in np.argsort(-scores)[:20]}
    assert len(theirs & set(mine)) >= 12


def test_the_command_tests_on_interactions_and_writes_the_winner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    generator = np.random.default_rng(1)
    pairs = {(u, int(i)) for u in range(60) for i in generator.permutation(45)[:12]}
    folder = tmp_path / "data"
    folder.mkdir()
    lines = [f"u{u},i{i}" for u, i in sorted(pairs)]
    (folder / "clicks.csv").write_text("\n".join(["user,item", *lines]) + "\n")
    ids = {"user_ids": [f"u{n}" for n in range(60)], "item_ids": [f"i{n}" for n in range(45)]}
    file = tmp_path / "a.npz"
    np.savez(file, **drawn(60, 45), **ids)  # type: ignore[arg-type]
    words = ["bench", "compress", file, "-b", "40%", "-d", folder, "--to", tmp_path / "table"]
    monkeypatch.setattr("sys.argv", [str(word) for word in words])
    with pytest.raises(SystemExit) as done:
        main()
    out = capsys.readouterr().out
    assert not done.value.code, out
    assert "test NDCG@20" in out and "Original vectors" in out
    assert "is best: the highest NDCG@20 on validation interactions" in out
    assert (tmp_path / "table" / "embeddings.safetensors").stat().st_size <= 0.4 * 105 * 64
    assert "of own ids" in out


def with_pairs(vectors: Vectors, generator: np.random.Generator) -> Interactions:
    """Validation items have middling scores, so that poor tables find most of them."""
    count, items = len(vectors.users), len(vectors.items)
    best = np.argsort(-(vectors.users @ vectors.items.T), axis=1)
    people = np.repeat(np.arange(count), 3)
    drawn = best[:, 40:43].ravel(), best[:, generator.permutation(items)[:6]].ravel()
    valid = CSR.from_pairs(people, drawn[0], count)[0]
    others = CSR.from_pairs(np.repeat(np.arange(count), 6), drawn[1], count)[0]
    empty = CSR.empty(count)
    return SimpleNamespace(train=empty, valid=valid, test=others)  # type: ignore[return-value]


def test_validation_interactions_choose_and_test_interactions_do_not(vectors: Vectors) -> None:
    data = with_pairs(vectors, np.random.default_rng(0))
    judge = Judge(vectors, data)
    found = compress(vectors, {"20%": parse_budget("20%", 210, 16)}, find_methods(), judge)
    metrics = [one.metrics for one in found if one.metrics]
    by = {key: [one[key] for one in metrics] for key in metrics[0]}
    assert by["valid ndcg@20"] == sorted(by["valid ndcg@20"], reverse=True)
    assert by["test ndcg@20"] != sorted(by["test ndcg@20"], reverse=True)
    assert by["kept"] != sorted(by["kept"], reverse=True)
    assert judge.rule[0] == "valid ndcg@20" and Judge(vectors).rule[0] == "kept"


def test_rows_come_in_the_order_of_the_data_by_their_ids(vectors: Vectors) -> None:
    orders = ([119, 3, 40], [7, 89, 0, 12])
    users, items = (
        SimpleNamespace(texts=lambda names=[f"{side}{n}" for n in order]: names)
        for side, order in zip("ui", orders, strict=True)
    )
    data = SimpleNamespace(title="Toy")
    found = vectors.of(data, users, items, numbered=False)  # type: ignore[arg-type]
    assert np.array_equal(found.users, vectors.users[orders[0]])
    assert np.array_equal(found.items, vectors.items[orders[1]])
    assert found.user_ids == ("u119", "u3", "u40")
    assert found.item_ids == ("i7", "i89", "i0", "i12")


def test_ids_that_the_data_lack_are_named(vectors: Vectors) -> None:
    labels = SimpleNamespace(texts=lambda: ["u1", "nobody"])
    data = SimpleNamespace(title="Toy")
    with pytest.raises(DataError, match="1 of the 2 users of Toy have no vector, 'nobody'"):
        vectors.of(data, labels, labels, numbered=False)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="120 vectors of users, and Toy has 2 users"):
        vectors.of(data, labels, labels, numbered=True)  # type: ignore[arg-type]


def test_items_of_earlier_parts_are_left_out_of_the_rankings() -> None:
    """A user likes items in their order; the first is for training, the second for validation."""
    items = np.arange(30, 0, -1, dtype=np.float32)[:, None]
    ids = tuple(f"i{n}" for n in range(30))
    train, valid, test = (
        CSR.from_pairs(np.array([0]), np.array([item]), 1)[0] for item in range(3)
    )
    data = SimpleNamespace(train=train, valid=valid, test=test)
    vectors = Vectors(np.ones((1, 1), np.float32), items, ("u",), ids)
    found = Judge(vectors, data)(torch.cat([torch.ones(1, 1), torch.from_numpy(items)]))  # type: ignore[arg-type]
    assert found["valid ndcg@20"] == found["test ndcg@20"] == found["kept"] == 1


SVD = find_methods()["svd"]


def test_methods_that_train_or_have_no_budget_do_not_compress() -> None:
    class Trained(SVD):
        phases = find_methods()["dims"].phases

    class Unbudgeted(SVD):
        budgeted = False

    assert candidates({"svd": SVD})
    assert candidates({"trained": Trained, "unbudgeted": Unbudgeted}) == []


def test_the_same_knobs_come_out_once(vectors: Vectors) -> None:
    class Plain(find_methods()["ptq"]):
        """Its plan has 4 bits whatever is asked for."""

        @classmethod
        def plan(cls, table, config):  # type: ignore[no-untyped-def]
            return super().plan(table, cls.Config(bits=4))

    budgets = {text: parse_budget(text, 210, 16) for text in ("30%", "60%")}
    assert len(candidates({"plain": Plain})) > 1
    found = compress(vectors, budgets, {"plain": Plain}, Judge(vectors))
    assert [one.budget for one in found] == ["30%", "60%"]


def test_knobs_that_a_method_refuses_are_a_reason(vectors: Vectors) -> None:
    class Refusing(SVD):
        @classmethod
        def plan(cls, table, config):  # type: ignore[no-untyped-def]
            raise SpecError("odd knobs")

    methods = {"refusing": Refusing, "svd": SVD}
    found = compress(vectors, {"60%": parse_budget("60%", 210, 16)}, methods, Judge(vectors))
    assert {one.kind for one in found if one.content} == {SVD}
    assert {one.reason for one in found if not one.content} == {"odd knobs"}
