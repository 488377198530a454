"""Methods that hide what they learned, or look for test data: a line that says so, or no gain."""

from __future__ import annotations

import os
import re

import pytest
import torch
from support.cheats import LOOKING, TRAINING
from support.conformance import Sound
from support.faults import Board, blocks, outcome

from bench.budget import Budget
from bench.data import load
from bench.judge.client import Judges, Seat
from bench.judge.model import Refused, Submission
from bench.method import Method, Table
from bench.method.file import OverBudget, read_file, write_file
from bench.method.identity import source_hash
from bench.method.registry import find_methods
from bench.records.schema import BackboneSpec, DatasetSpec, MethodSpec, Spec

DIM = 8
SCORED = BackboneSpec(name="mf", config={"similarity": "cosine"})


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return load(blocks(tmp_path_factory.mktemp("data") / "blocks"))


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    path = tmp_path_factory.mktemp("plugin") / "looking.py"
    path.write_text(LOOKING)
    return path


@pytest.fixture(scope="module")
def judges(data, plugin):
    os.environ["BENCH_DATA"] = "/somewhere/blocks"
    with Judges(data, [str(plugin)], "cpu", 1) as found:
        del os.environ["BENCH_DATA"]
        yield found


@pytest.fixture(scope="module")
def seat(judges):
    link = judges.connect()
    yield Seat(link)
    link.close()


def handed(data, kind: type[Method], **changes) -> Submission:
    """The file of a method that has been trained in this process."""
    table = Table(data.users, data.items, DIM, wide=True, backbone=SCORED.model_dump())
    table = Table(**{**vars(table), "counts": torch.from_numpy(data.counts())})
    method = kind(table, kind.Config())
    method.reset(torch.Generator().manual_seed(0))
    spec = Spec(
        dataset=DatasetSpec(name=data.name, split=data.split, fingerprint=data.fingerprint),
        backbone=SCORED,
        dim=DIM,
        method=MethodSpec(
            name=kind.name, revision=1, config=kind.Config().record(), source=source_hash(kind)
        ),
        budget=None,
        training={"numbering": "popularity", "refit": False},
        seed=0,
    )
    return Submission(spec.model_copy(update=changes), write_file(method))


@pytest.fixture(scope="module")
def kinds(plugin):
    return find_methods([plugin])


@pytest.fixture(scope="module")
def nothing_learned(data, kinds, seat):
    return seat(handed(data, kinds["one-row"]))


NO_GAIN = (
    "module-global",
    "other-module",
    "class-attribute",
    "closure",
    "garbage",
    "own-handles",
    "paths",
)


@pytest.mark.parametrize("name", NO_GAIN)
def test_what_is_hidden_in_memory_is_not_there(name, data, kinds, seat, nothing_learned):
    verdict = seat(handed(data, kinds[name]))
    assert verdict.metrics == nothing_learned.metrics


@pytest.mark.parametrize(
    ("name", "kind", "line"),
    [
        ("file", "NotAllowed", "hidden.pt was opened while the file of a method was read; a method"
         " may only use its file, its source and installed packages"),
        ("bytecode", "ModuleNotFoundError", "No module named 'more'"),
        ("counts", "AttributeError", "'NoneType' object has no attribute 'float'"),
        ("interactions", "AttributeError", "'NoneType' object has no attribute 'users'"),
        ("other-handles", "NotAllowed", "/fd was opened while the file of a method was read"),
        ("child", "NotAllowed", "subprocess.Popen was called while the file of a method is read; no"
         " process can be started there"),
        ("dies", "ReadingDied", "reading the file of dies ended with signal SIGSEGV"),
        ("small-claim", "BrokenContract", "bytes, and not 1$"),
    ],
)  # fmt: skip
def test_looking_for_more_ends_with_one_line(name, kind, line, data, kinds, seat):
    with pytest.raises(Refused, match=line) as caught:
        seat(handed(data, kinds[name]))
    assert caught.value.kind == kind
    assert "\n" not in str(caught.value)
    assert seat(handed(data, kinds["one-row"])).metrics.test  # the judge goes on


def test_a_plugin_that_was_edited_after_the_plan_is_refused(data, kinds, seat):
    one = handed(data, kinds["one-row"])
    method = one.spec.method.model_copy(update={"source": "0" * 12})
    changed = Submission(one.spec.model_copy(update={"method": method}), one.content)
    with pytest.raises(Refused, match="the file of one-row has changed since the run was planned"):
        seat(changed)


def test_knobs_of_the_header_have_to_be_those_of_the_run(data, kinds, seat):
    one = handed(data, kinds["one-row"])
    method = one.spec.method.model_copy(update={"config": {"bits": 8}})
    changed = Submission(one.spec.model_copy(update={"method": method}), one.content)
    with pytest.raises(Refused, match="has other knobs than the run"):
        seat(changed)


def test_the_backbone_of_the_header_has_to_be_that_of_the_run(data, kinds, seat):
    """Rows are made for one similarity, and the header tells whoever reads the file which."""
    backbone = SCORED.model_copy(update={"config": {"similarity": "dot"}})
    with pytest.raises(Refused, match="has other knobs than the run"):
        seat(handed(data, kinds["one-row"], backbone=backbone))


class TextKnob(Sound):
    """`plan` writes what it knows into a knob."""

    name = "text-knob"

    class Config(Sound.Config):
        rows: int = 1
        said: str = ""


def test_a_text_knob_is_in_the_file_and_counts():
    table = Table(30, 20, DIM)
    plain, talking = TextKnob.Config(), TextKnob.Config(said="x" * 1000)
    sizes = [TextKnob.file_size(table, one).bytes for one in (plain, talking)]
    assert sizes[1] >= sizes[0] + 1000
    method = TextKnob(table, talking)
    method.reset(torch.Generator().manual_seed(0))
    content = write_file(method)
    assert len(content) == sizes[1]
    with pytest.raises(OverBudget, match=r"text-knob stores 1,3\d\d bytes, more than its budget"):
        read_file(TextKnob, content, Budget(sizes[1] - 1))


SAID = {
    "reads-data": "test.txt was opened in training; a method learns from what it is given",
    "reads-link": "other.txt was opened in training",
    "reads-cache": "was opened in training",
    "garbage": "found: 0$",
    "handles": "/fd was opened in training; .* of other processes are closed to it",
    "environment": "found: False$",
    "child": "subprocess.Popen was called while a method is trained",
    "installs": "hidden.pt was opened to be written in training",
}


def test_test_data_cannot_be_found_in_training(tmp_path, monkeypatch):
    folder = blocks(tmp_path / "blocks")
    link, cache = tmp_path / "other.txt", tmp_path / "cache"
    monkeypatch.setenv("BENCH_CACHE", str(cache))
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    os.link(folder / "test.txt", link)
    plugin = tmp_path / "plugin" / "training.py"
    plugin.parent.mkdir()
    text = TRAINING.replace("PATH", str(folder / "test.txt")).replace("LINK", str(link))
    plugin.write_text(text.replace("CACHE", str(cache / "parsed")))
    board = Board(folder, tmp_path / "r", tuple(SAID), 1, (plugin,))
    board.run(workers=1)
    for record, _ in outcome(tmp_path / "r").values():
        name = record["method"]["name"]
        if name == "popularity":
            continue
        message = record["error"]["message"]
        assert re.search(SAID[name], message), (name, message)
        assert "\n" not in message
    assert len(outcome(tmp_path / "r")) == len(SAID) + 1
