"""Published numbers beside ours, and the engine beside independent computations."""

from __future__ import annotations

import io
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from rich.console import Console
from support.make_records import Toy, make, write

from bench import paths
from bench.backbones.registry import find_backbones
from bench.cli import main
from bench.cli.show_verify import comparison
from bench.errors import BenchError, SpecError
from bench.method.registry import find_methods
from bench.records.scan import scan
from bench.runs.settings import resolve
from bench.runs.suite import find_suite
from bench.verify import checks
from bench.verify.references import Published, Reference, compare, matching, read_references

PUBLISHED = Path(paths.folder("verify")) / "published.toml"
TOY = Toy("ml-100k", 100, 200, 0.3)

# The checks --------------------------------------------------------------------------------------


def test_all_checks_pass():
    found = checks.run_checks(seeds=(5,))
    assert len(found) == 4
    assert not [one for one in found if one.failed]
    assert all(one.skipped == "" or "RecBole" in one.name for one in found)


def test_random_splits_hold_the_awkward_cases():
    data = checks.random_split(0)
    sizes = data.test.degrees()
    assert int(sizes.min()) == 0
    assert int(sizes.max()) > 20  # more test items than the cutoff
    assert int((data.item_counts() == 0).sum()) > 0
    assert not set(data.train.keys()) & set(data.test.keys())


@pytest.mark.parametrize(
    "wrong",
    [
        lambda data, scores: checks.Evaluator(
            data.test, [data.train], data.items
        ),  # valid unmasked
        lambda data, scores: checks.Evaluator(data.valid, [data.train, data.valid], data.items),
    ],
)
def test_metrics_that_are_wrong_are_found_out(monkeypatch, wrong):
    def ours(data, scores):
        def look_up(users, order, out):
            out[:, : len(order)] = scores[users][:, order]
            return out

        return wrong(data, scores)(look_up).metrics

    monkeypatch.setattr(checks, "ours", ours)
    assert checks.check_metrics("metrics", checks.by_the_formula, [0]).failed


def test_recall_that_divides_by_the_cutoff_is_found_out(monkeypatch):
    """As published code does; it differs only for users with more test items than the cutoff."""
    right = checks.ours

    def ours(data, scores):
        found = right(data, scores)
        sizes = torch.from_numpy(data.test.degrees()).double()
        sizes = sizes[sizes > 0]
        inflated = float((sizes / sizes.clamp(max=20)).mean())
        return found | {"recall@20": found["recall@20"] * inflated}

    monkeypatch.setattr(checks, "ours", ours)
    assert checks.check_metrics("metrics", checks.by_the_formula, [0]).failed


@pytest.mark.parametrize("gradient", [False, True])
def test_propagation_that_is_wrong_is_found_out(monkeypatch, gradient):
    dense = checks.dense_propagation
    monkeypatch.setattr(
        checks, "dense_propagation", lambda data, rows, layers: dense(data, rows, layers + 1)
    )
    assert checks.check_propagation("propagation", gradient, [0]).failed


def test_a_difference_that_is_no_number_fails():
    assert checks.Check("x", float("nan"), 1.0).failed
    assert checks.Check("x", checks._largest([0.0, float("nan"), 0.0]), 1.0).failed
    assert not checks.Check("x", None, 1.0, "skipped").failed


def command(monkeypatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["bench", "verify", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code or 0


def test_without_recbole_its_check_is_skipped_and_said_to_be(monkeypatch, capsys):
    @contextmanager
    def absent():
        raise BenchError("RecBole cannot be imported")
        yield

    monkeypatch.setattr(checks, "compatible", absent)
    assert command(monkeypatch, "--checks") == 0
    assert "skipped" in capsys.readouterr().out


def test_a_check_that_fails_is_status_1(monkeypatch, capsys):
    monkeypatch.setattr(checks, "run_checks", lambda: [checks.Check("some check", 2.0, 1.0)])
    assert command(monkeypatch, "--checks") == 1
    assert "FAIL" in capsys.readouterr().out


# References --------------------------------------------------------------------------------------


def test_published_numbers_are_those_of_their_sources():
    found = {(r.name, p.source): (p.recall, p.ndcg) for r in _all() for p in r.published}
    assert found == {
        ("MF-BPR", "BARS, 300 negatives"): (0.1627, 0.1378),
        ("MF-BPR", "MTandHJ/RePo"): (0.1491, 0.1235),
        ("MF-BPR", "NGCF paper"): (0.1291, None),
        ("LightGCN", "LightGCN paper"): (0.1830, 0.1554),
        ("LightGCN", "LightGCN-PyTorch"): (0.1824, 0.1547),
        ("LightGCN", "BARS"): (0.1820, 0.1547),
        ("LightGCN, contrastive loss", "LightGCN-PyTorch"): (0.1824, 0.1547),
        ("MF, best objective", "MF-CCL, BARS"): (0.1837, 0.1493),
        ("MF, Amazon CDs", "UltraGCN, RecZoo"): (0.1622, 0.1043),
        ("MF, Amazon CDs", "LightGCN, RecZoo"): (0.1542, 0.0971),
    }


def _all() -> tuple[Reference, ...]:
    return read_references(PUBLISHED)


@pytest.mark.parametrize("reference", _all(), ids=lambda one: one.name)
def test_reference_runs_can_be_planned(reference):
    suite = reference.resolved()
    assert suite.dataset in ("gowalla", "amazon-cds")
    kind = find_methods().get(reference.method, find_methods()["full"])
    found = resolve(suite, kind, None, suite.backbones[0])
    assert found.training.refit  # published numbers are reached without a validation part
    assert suite.dim == 64
    assert reference.method in {*find_methods(), "popularity"}
    assert set(suite.backbones) <= set(find_backbones())
    assert len(suite.backbones) == 1
    for published in reference.published:
        assert published.link.startswith("https://")
        assert published.tolerance or published.why


SUITE = """
dataset = "ml-100k"
methods = ["full"]
seeds = 2
dim = 64
budgets = ["10%"]
[training]
lr = 0.01
epochs = 2
batch = 4096
valid_users = 100
refit = true
"""


@pytest.fixture
def place(tmp_path) -> Path:
    (tmp_path / "own.toml").write_text(SUITE)
    return tmp_path


def reference(place: Path, *published: Published, method: str = "full") -> Reference:
    return Reference(
        name="Own", suite=str(place / "own.toml"), method=method, published=tuple(published)
    )


def record(place: Path, seed: int = 0, recall: float | None = None, **changes):
    """A record of the suite's run, with a difference."""
    suite = find_suite(str(place / "own.toml"))
    training = suite.training.model_dump(mode="json") | changes.pop("training", {})
    made, users = make(TOY, "mf", "full", None, seed, training=training)
    made["spec"]["backbone"]["config"] = changes.pop("backbone", {"similarity": "dot"})
    made["spec"].update(changes)
    if recall is not None:
        made["metrics"]["test"] |= {"recall@20": recall, "ndcg@20": recall, "recall@50": 1.0}
        made["metrics"]["test"] |= {"recall@5": 0.0, "recall@10": 0.0}
    return write(place / "results", made, users)


def read(place: Path):
    found = scan(place / "results")
    assert not found.rejected
    return found.records


def test_records_of_the_same_settings_are_found_and_no_others(place):
    for seed in (0, 1):
        record(place, seed)
    record(place, seed=2)  # more seeds than the suite has
    record(place, training={"lr": 0.02})
    record(place, training={"refit": False})
    record(place, backbone={"similarity": "cosine"})
    record(place, dim=32)
    write(place / "results", *make(TOY, "none", "popularity", None, 0))
    records = read(place)
    assert len(records) == 8
    found = matching(reference(place), records)
    assert sorted(one.spec.seed for one in found) == [0, 1]
    assert {one.spec.training["lr"] for one in found} == {0.01}
    (popularity,) = matching(reference(place, method="popularity"), records)
    assert popularity.method.name == "popularity"


@pytest.mark.parametrize("other", ["data set", "backbone", "budget"])
def test_the_same_settings_elsewhere_are_not_the_run_of_a_reference(place, other):
    """All that differs is what the case names; the others would be taken for the reference's."""
    suite = find_suite(str(place / "own.toml"))
    toy = Toy("other", 100, 200, 0.3) if other == "data set" else TOY
    backbone = "lightgcn" if other == "backbone" else "mf"
    training = suite.training.model_dump(mode="json")
    budget = 0.1 if other == "budget" else None
    made, users = make(toy, backbone, "full", budget, 0, training=training)
    kind = find_methods()["full"]
    made["spec"]["backbone"]["config"] = resolve(suite, kind, None, backbone).backbone.stored()
    write(place / "results", made, users)
    record(place, seed=1)
    records = read(place)
    assert len(records) == 2
    (found,) = matching(reference(place), records)
    assert found.spec.seed == 1


def test_records_of_other_knobs_are_not_those_of_a_reference(place):
    with (place / "own.toml").open("a") as stream:
        stream.write("[method.full]\nbits = 8\n")
    for seed, knobs in enumerate(({"bits": 8}, {"bits": 4}, {}, {"bits": 8, "scale": "side"})):
        record(place, seed % 2, method={"name": "full", "revision": 1, "config": knobs})
    found = matching(reference(place), read(place))
    assert [one.spec.method.config["bits"] for one in found] == [8, 8]


def test_records_of_tuned_settings_are_found(place):
    (place / "t.toml").write_text(
        "[[override]]\nwhen = { method = 'full' }\nset = { 'training.lr' = 0.02 }\n"
    )
    with (place / "own.toml").open("a") as stream:
        stream.write(f"[[override]]\ntuned = '{place / 't.toml'}'\n")
    record(place, 0)
    record(place, 1, training={"lr": 0.02})
    (found,) = matching(reference(place), read(place))
    assert found.spec.training["lr"] == 0.02


def test_records_of_a_backbones_own_learning_rate_are_found(place):
    with (place / "own.toml").open("a") as stream:
        stream.write("[[override]]\nwhen = { backbone = 'mf' }\nset = { 'training.lr' = 0.02 }\n")
    record(place, 0)
    record(place, 1, training={"lr": 0.02})
    (found,) = matching(reference(place), read(place))
    assert found.spec.seed == 1


def test_a_metric_stays_in_one_line_of_80_characters(place):
    published = Published(source="BARS, 300 negatives", recall=0.2, ndcg=0.2, tolerance=0.05)
    for seed in (0, 1):
        record(place, seed, recall=0.2)
    screen = Console(width=80, record=True, file=io.StringIO())
    screen.print(*comparison(compare([reference(place, published)], read(place))))
    lines = screen.export_text().splitlines()
    (recall,) = (line for line in lines if "Recall@20" in line)
    for part in ("BARS, 300 negatives", "0.2000±.0000", "±5.0%", "agrees"):
        assert part in recall
    (ndcg,) = (line for line in lines if "NDCG@20" in line)
    assert "BARS" not in ndcg  # said once


def test_differences_are_shown_as_shares_of_the_published_value(place):
    record(place, 0, recall=0.3)
    (grid,) = comparison(
        compare([reference(place, Published(source="s", recall=0.2, ndcg=0.4))], read(place))
    )
    at = [column.name for column in grid.columns].index("off by")
    assert [row[at] for row in grid.rows] == ["+50.0%", "-25.0%"]


@pytest.mark.parametrize(
    ("ours", "verdict", "failed"),
    [(0.2, "agrees", False), (0.2095, "agrees", False), (0.2105, "higher", True),
     (0.1895, "lower", True)],
)  # fmt: skip
def test_verdicts_are_by_the_share_of_the_published_value(place, ours, verdict, failed):
    record(place, 0, recall=ours)
    one = reference(place, Published(source="s", recall=0.2, ndcg=0.1, tolerance=0.05))
    recall, ndcg = compare([one], read(place))
    assert (recall.metric, recall.verdict, recall.failed) == ("recall@20", verdict, failed)
    assert recall.difference == pytest.approx(ours - 0.2)
    assert ndcg.verdict == "higher"


def test_seeds_are_averaged(place):
    for seed, recall in ((0, 0.19), (1, 0.21)):
        record(place, seed, recall=recall)
    line = compare([reference(place, Published(source="s", recall=0.2))], read(place))[0]
    assert (line.ours, line.seeds) == (pytest.approx(0.2), 2)
    assert line.sd == pytest.approx(0.02 / 2**0.5)
    assert line.verdict == "for orientation"
    assert not line.failed


def test_what_is_not_published_and_what_is_not_run_are_said(place):
    sources = Published(source="s", recall=0.2, tolerance=0.05), Published(source="t", recall=0.2)
    lines = compare([reference(place, *sources)], [])
    assert [(one.verdict, one.failed) for one in lines] == [
        ("not run", True), ("not found", False), ("not run", False), ("not found", False),
    ]  # fmt: skip
    nobody = compare([reference(place)], [])
    assert [one.verdict for one in nobody] == ["not found", "not found"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[reference]\n", "cannot be read as TOML"),
        ("[[reference]]\nname = 'x'\nsuite = 'smoke'\n", "reference.0.method"),
        (
            "[[reference]]\nname = 'x'\nsuite = 'smoke'\nmethod = 'full'\n"
            "published = [{ source = 's', recall = 18.3 }]\n",
            "published.0.recall",
        ),
    ],
)
def test_bad_files_are_named_with_the_key(tmp_path, text, said):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(SpecError, match=said) as caught:
        read_references(path)
    assert str(path) in str(caught.value)


# The command -------------------------------------------------------------------------------------


def own_file(place: Path, recall: float) -> Path:
    path = place / "references.toml"
    path.write_text(
        f"[[reference]]\nname = 'Own'\nsuite = '{place / 'own.toml'}'\nmethod = 'full'\n"
        f"published = [{{ source = 'A paper', recall = {recall}, tolerance = 0.05 }}]\n"
        f"[[reference]]\nname = 'Pop'\nsuite = '{place / 'own.toml'}'\nmethod = 'popularity'\n"
    )
    return path


@pytest.mark.parametrize(("recall", "code"), [(0.2, 0), (0.3, 1)])
def test_reading_needs_no_data_and_differences_are_status_1(
    place, monkeypatch, capsys, recall, code
):
    monkeypatch.setattr("bench.data.load", None)
    record(place, 0, recall=0.2)
    file = own_file(place, recall)
    before = sorted(place.rglob("*"))
    assert command(monkeypatch, "--read", "--file", file, "--results", place / "results") == code
    said = capsys.readouterr().out
    assert "A paper" in said
    assert "not found" in said
    assert sorted(place.rglob("*")) == before


def test_a_reference_that_is_not_there_is_named(place, monkeypatch, capsys):
    file = own_file(place, 0.2)
    given = ("--read", "--file", file, "--reference", "Other", "--results", place)
    assert command(monkeypatch, *given) == 2
    assert "no reference 'Other'; there are Own, Pop" in capsys.readouterr().err


@pytest.mark.usefixtures("runs_here")
def test_what_is_missing_is_run_once(place, monkeypatch, capsys):
    pytest.importorskip("recbole", reason="MovieLens 100k comes with RecBole")
    (place / "own.toml").write_text(SUITE.replace("seeds = 2", "seeds = 1").replace("64", "8"))
    given = ("--file", own_file(place, 0.9), "--results", place / "results")
    monkeypatch.setattr(checks, "run_checks", lambda: [])
    assert command(monkeypatch, *given) == 1  # 0.9 is out of reach
    said = capsys.readouterr().out
    assert "lower" in said
    records = read(place)
    assert sorted(one.method.name for one in records) == ["full", "popularity"]
    assert len(matching(_one(place), records)) == 1
    stamps = {path: path.stat().st_mtime_ns for path in place.rglob("*.json")}
    assert command(monkeypatch, *given) == 1
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*.json")} == stamps
    assert command(monkeypatch, "--read", *given) == 1


def _one(place: Path) -> Reference:
    return read_references(place / "references.toml")[0]
