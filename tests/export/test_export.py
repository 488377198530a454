"""`bench export`: from a table of clicks with own ids to a folder that a service reads."""

from __future__ import annotations

import csv
import random
import re
import shutil
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from support.exported import made, rows_of, write
from support.here import run_all_here
from support.make_records import Toy, make
from support.make_records import write as write_record
from typer.testing import CliRunner

import compact_lookup
from bench.cli import app
from bench.data import load_labels
from bench.errors import BenchError
from bench.export.again import Table
from bench.export.card import Card
from bench.export.find import find_run
from bench.export.folder import Sizes, own_reader, write_files
from bench.method.registry import find_methods
from bench.records.per_user import read
from bench.records.scan import scan
from bench.runs import schedule

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/export.md")
PLUGIN = """
from bench.method import Method, Rows

class Mine(Method):
    name = title = "mine"
    def build(self): self.stored = Rows(self.table.ids, self.table.dim)
    def reset(self, generator): self.stored.normal(0.1, generator)
    def forward(self, ids): return -self.stored(ids)
"""
READER = """
def reader(file):
    from compact_lookup import Values
    table = Values(file, "stored.weight", (file.ids, file.columns))
    return lambda ids: SIGN table(ids)
"""


def bench(*words: object) -> str:
    """Output of a command that has to succeed."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(name="clicks", scope="module")
def clicks_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Users like one sixth of the items; ids are text, and some are not ASCII."""
    draw, file = random.Random(0), tmp_path_factory.mktemp("data") / "clicks.csv"
    items = [f"片-{n}" for n in range(90)]
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["user", "item"])
        for user in range(120):
            own = [item for n, item in enumerate(items) if n % 6 == user % 6]
            chosen = draw.sample(own, 10) + draw.sample(items, 2)
            writer.writerows([f"u{user}", item] for item in dict.fromkeys(chosen))
    return file


@pytest.fixture(name="results", scope="module")
def results_fixture(clicks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schedule, "run_all", run_all_here)
        for method in ("dims-quantised", "popularity"):
            bench(
                *("run", "-m", method, "-b", "20%", "-d", clicks, "--results", folder),
                *("--set", "dim=16", "--set", "training.epochs=8", "--set", "training.lr=0.03"),
            )
    for path in folder.rglob("*.json"):  # boards rank runs of committed code only
        text = path.read_text(encoding="utf-8")
        path.write_text(re.sub(r'"commit": ".*"', '"commit": "0123456789ab"', text))
    return folder


@pytest.fixture(name="record", scope="module")
def record_fixture(results: Path):
    return next(one for one in scan(results).records if one.method.name == "dims-quantised")


@pytest.fixture(name="exported", scope="module")
def exported_fixture(results: Path, record, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("exported") / "table"
    said = bench("export", record.id[:6], "--to", folder, "--results", results)
    return folder, said


def test_own_ids_give_the_accuracy_of_the_record(exported, record, clicks):
    """Recommendations by own ids hit as many test items as the run says."""
    table = compact_lookup.load(exported[0])
    data, users, items = load_labels(clicks)
    users, items = users.texts(), items.texts()
    parts = {
        name: {
            user: [items[i] for i in part.indices[part.indptr[n] : part.indptr[n + 1]]]
            for n, user in enumerate(users)
        }
        for name, part in (("train", data.train), ("valid", data.valid), ("test", data.test))
    }
    recalls = []
    for user, wanted in parts["test"].items():
        if wanted:
            seen = parts["train"][user] + parts["valid"][user]
            found = {name for name, _ in table.recommend(user, k=20, seen=seen)}
            recalls.append(len(found & set(wanted)) / len(wanted))
    assert np.mean(recalls) == pytest.approx(record.metrics.test["recall@20"], abs=2e-3)
    assert np.mean(recalls) > 0.5


def test_the_folder_and_its_description(exported, record):
    folder, said = exported
    names = {path.name for path in folder.iterdir()}
    assert names == {"embeddings.safetensors", "ids.safetensors", "README.md", "LICENSE"}
    assert (folder / "embeddings.safetensors").stat().st_size == record.size.bytes
    card = (folder / "README.md").read_text(encoding="utf-8")
    for part in (record.id, record.command, f"{record.metrics.test['ndcg@20']:.4f}", " to "):
        assert part in card
    assert f"{record.size.bytes:,}" in card and "codes" in card and "header" in card
    assert "MIT" in (folder / "LICENSE").read_text()
    assert f"{record.size.bytes:,} bytes" in said


def test_the_best_run_of_a_size(results, record, tmp_path):
    said = bench(
        *("export", "--best", "--max-bytes", "1MB", "--to", tmp_path / "t", "--results", results)
    )
    assert record.id in said
    assert record.id in (tmp_path / "t" / "README.md").read_text(encoding="utf-8")


def test_the_best_run_is_of_the_data_that_are_named(results, record, clicks, tmp_path):
    """A file elsewhere with the same content is the same data; one of the same name need not be."""
    words = ("export", "--best", "--max-bytes", "1MB", "--results", results, "--to", tmp_path / "t")
    moved = tmp_path / "moved" / clicks.name
    moved.parent.mkdir()
    lines = clicks.read_text(encoding="utf-8").splitlines(keepends=True)
    moved.write_text("".join(lines[:-5]), encoding="utf-8")
    with pytest.raises(BenchError, match="no runs for data set"):
        bench(*words, "-d", moved)
    moved.write_text("".join(lines), encoding="utf-8")
    assert record.id in bench(*words, "-d", moved)


def test_a_run_of_a_plugin_that_is_not_given_is_refused_in_one_line(
    results, record, tmp_path, monkeypatch
):
    monkeypatch.setattr("bench.method.registry.find_methods", lambda plugins=(): {})
    with pytest.raises(
        BenchError, match=r"of the method '[a-z-]+', which the program does not have"
    ):
        bench("export", record.id, "--to", tmp_path / "t", "--results", results)


def test_the_card_has_the_interval_of_a_mean_over_users(exported, results, record):
    card = (exported[0] / "README.md").read_text(encoding="utf-8")
    scores = read(results, record).ndcg.astype(float)
    error = scores.std(ddof=1) / len(scores) ** 0.5
    low, high = map(float, re.findall(r"NDCG@20 \| [.\d]+ \| ([.\d]+) to ([.\d]+)", card)[0])
    assert (high - low) / 2 == pytest.approx(1.96 * error, abs=1e-4)
    assert (high + low) / 2 == pytest.approx(scores.mean(), abs=1e-4)
    assert error > 1e-3


@pytest.mark.parametrize(
    ("name", "licence"), [("ml-100k", "GroupLens: research use"), ("clicks", "not stated; ")]
)
def test_the_card_has_the_licence_of_the_data_and_the_share_of_a_full_table(
    name, licence, tmp_path
):
    toy = Toy(name, 60, 40, 0.4)
    write_record(tmp_path, *make(toy, "mf", "dims", 0.1, 0))
    [record] = scan(tmp_path).records
    quarter = record.size.full_bytes // 4
    table = Table(b"", None, None)
    text = Card(tmp_path, kept=True).text(record, table, Sizes(quarter, 1, {}, read=True))
    assert f"| licence of the data | {licence}" in text
    assert ("not stated" in text) == (name == "clicks")
    assert f"{record.size.full_bytes:,} bytes; this is 25.0 % of it." in text


def test_a_kept_file_is_exported_byte_for_byte(exported, results, record):
    folder, said = exported
    kept = (results / record.path).with_suffix(".safetensors")
    assert "training" not in said
    assert (folder / "embeddings.safetensors").read_bytes() == kept.read_bytes()
    assert "this very file" in (folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("what", ["missing", "damaged"])
def test_without_its_file_a_run_is_trained_again(what, results, record, tmp_path):
    copy = tmp_path / "results"
    shutil.copytree(results, copy)
    kept = (copy / record.path).with_suffix(".safetensors")
    content = kept.read_bytes()
    if what == "missing":
        kept.unlink()
    else:
        kept.write_bytes(content[:-1] + b"x")
    said = bench("export", record.id, "--to", tmp_path / "t", "--results", copy)
    assert "again, because the file that it measured is gone or has changed" in said
    assert (tmp_path / "t" / "embeddings.safetensors").read_bytes() == content
    assert "trained again: NDCG" in (tmp_path / "t" / "README.md").read_text(encoding="utf-8")


def test_all_interactions_are_trained_on_for_a_service(results, record, tmp_path):
    said = bench("export", record.id, "--refit-all", "--to", tmp_path / "t", "--results", results)
    assert "all interactions" in said
    card = (tmp_path / "t" / "README.md").read_text(encoding="utf-8")
    assert "test data too" in card
    assert compact_lookup.load(tmp_path / "t").recommend("u7", k=3)


def test_a_folder_is_overwritten_on_request_only(exported, results, record):
    folder, _ = exported
    words = ("export", record.id, "--to", folder, "--results", results)
    with pytest.raises(BenchError, match="--force"):
        bench(*words)
    before = (folder / "embeddings.safetensors").read_bytes()
    (folder / "of-somebody-else").write_text("stays")
    (folder / "embeddings.onnx").write_bytes(b"the graph of another table")
    bench(*words, "--force")
    assert not (folder / "embeddings.onnx").exists()
    assert (folder / "of-somebody-else").read_text() == "stays"
    assert (folder / "embeddings.safetensors").read_bytes() == before


def test_an_export_that_is_killed_leaves_no_old_table_beside_new_ids(tmp_path, monkeypatch):
    write_files(tmp_path, b"old table", b"old ids", "old card")
    written = []

    def killed(path, content):
        written.append(path.name)
        raise KeyboardInterrupt

    monkeypatch.setattr("bench.export.folder._write", killed)
    with pytest.raises(KeyboardInterrupt):
        write_files(tmp_path, b"new table", b"new ids", "new card")
    assert written == ["ids.safetensors"]
    assert not (tmp_path / "embeddings.safetensors").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("fffffff",), "no run 'fffffff'"),
        (("", "--results", "."), "no run"),
        ((), "--best"),
        (("--best",), "--max-bytes"),
        (("abc", "--best", "--max-bytes", "1MB"), "not both"),
        (("--best", "--max-bytes", "64"), "no ranked table of 64 bytes"),
    ],
)
def test_what_cannot_be_exported_is_said(words, says, results, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if "--results" not in words:
        words = (*words, "--results", results)
    with pytest.raises(BenchError, match=says):
        bench("export", "--to", tmp_path / "t", *words)
    assert not (tmp_path / "t").exists()


def test_an_id_that_several_runs_begin_with_is_refused(tmp_path):
    for seed in range(17):  # more runs than there are digits
        write_record(tmp_path, *make(Toy("toy", 60, 40, 0.4), "mf", "dims", 0.1, seed))
    ids = sorted(record.id for record in scan(tmp_path).records)
    by_digit = [list(some) for _, some in groupby(ids, lambda one: one[0])]
    several = max(by_digit, key=len)
    with pytest.raises(BenchError, match=f"{len(several)} runs begin with .*{several[0]}"):
        find_run(tmp_path, several[0][0])
    assert find_run(tmp_path, several[0]).id == several[0]


def test_without_a_ranked_table_popularity_is_not_the_reason(results, record, tmp_path):
    copy = tmp_path / "results"
    shutil.copytree(results, copy)
    path = copy / record.path
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("0123456789ab", "0123456789ab-dirty"), encoding="utf-8")
    with pytest.raises(BenchError, match="no ranked table of 1,000,000 bytes"):
        bench("export", "--best", "--max-bytes", "1MB", "--to", tmp_path / "t", "--results", copy)


def test_a_ranking_without_a_table_has_nothing_to_export(results, tmp_path):
    record = next(one for one in scan(results).records if one.method.name == "popularity")
    with pytest.raises(BenchError, match="has no table"):
        bench("export", record.id, "--to", tmp_path / "t", "--results", results)


def test_other_data_are_refused(results, record, clicks, tmp_path):
    lines = clicks.read_text(encoding="utf-8").splitlines()
    other = tmp_path / "other.csv"
    other.write_text("\n".join(lines[:-5]) + "\n", encoding="utf-8")
    with pytest.raises(BenchError, match="not those of the run"):
        bench("export", record.id, "-d", other, "--to", tmp_path / "t", "--results", results)


@pytest.mark.parametrize(
    ("reader", "says"),
    [("", "no reader"), (READER.replace("SIGN", "-"), ""), (READER.replace("SIGN", "+"), "other")],
    ids=["none", "right", "wrong"],
)
@pytest.mark.usefixtures("runs_here")
def test_a_plugin_may_bring_a_reader(reader, says, clicks, tmp_path):
    plugin, results = tmp_path / "mine.py", tmp_path / "results"
    plugin.write_text(PLUGIN + reader)
    words = ("--plugin", plugin, "--set", "dim=8", "--set", "training.epochs=1", "-b", "200%")
    bench("run", "-m", "mine", "-d", clicks, "--results", results, *words)
    [record] = scan(results).records
    words = ("export", record.id, "--to", tmp_path / "t", "--results", results)
    if says == "other":
        with pytest.raises(BenchError, match="other rows"):
            bench(*words)
        assert not (tmp_path / "t" / "embeddings.safetensors").exists()
        return
    assert says in bench(*words)
    with pytest.raises(compact_lookup.NoReader, match="mine"):
        compact_lookup.load(tmp_path / "t")


@pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="needs a checkout")
def test_the_reader_on_the_page_reads_the_method_of_the_readme(tmp_path):
    pages = {name: (ROOT / name).read_text(encoding="utf-8") for name in PAGES}
    blocks = {
        name: re.findall(r"^```python\n(.*?)^```$", pages[name], re.M | re.S) for name in PAGES
    }
    [method] = [block for block in blocks["README.md"] if "(Method):" in block]
    [reader] = [block for block in blocks["docs/export.md"] if "def reader" in block]
    plugin = tmp_path / "pophash.py"
    plugin.write_text(method + "\n\n" + reader)
    kind = find_methods([plugin])["pophash"]
    for knobs in ({}, {"bits": 4}):
        made_of_it = made(kind, **knobs)
        table = compact_lookup.load(write(tmp_path / "t", made_of_it), reader=own_reader(kind))
        wanted = rows_of(made_of_it)[:, : table.columns]
        np.testing.assert_array_equal(table.rows(np.arange(len(wanted))), wanted)
