"""What is broken on purpose: kills at every stage, full and read-only disks, damaged files."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import resource
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from support.faults import Board, blocks, die, in_child, litter, outcome, timeless
from support.fit_child import make
from support.judge import JudgeHere

import bench
from bench.board import load as load_board
from bench.cli import main
from bench.engine import loop
from bench.engine.checkpoint import checksum
from bench.errors import BenchError, StoreError
from bench.files import write_atomic
from bench.judge import ranking
from bench.method import file
from bench.records.scan import scan
from bench.records.store import WORK, Store
from bench.runs import environment
from bench.runs.execute import execute
from bench.runs.leases import Leases
from bench.runs.schedule import finished, tidy
from bench.runs.worklist import LEASES

NOTE = Path(bench.__file__).parent.parent / "docs" / "faults.md"
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return blocks(tmp_path_factory.mktemp("data") / "blocks")


@pytest.fixture(autouse=True)
def saved_often(monkeypatch):
    monkeypatch.setattr("bench.engine.checkpoint.SAVE_EVERY", 0.0)


def board(data: Path, results: Path) -> Board:
    """One run that searches, retrains, and does both again on train + validation."""
    made = Board(data, results, ("cerp",), 1, refit=True)
    made.planned = [one for one in made.planned if one.run.spec.training]
    return made


def do(board: Board, report=lambda entry: None) -> dict:
    (one,) = board.planned
    judge = JudgeHere(board.data, board.methods)
    return execute(one.run, board.data, board.methods, board.store, judge, report=report)


@pytest.fixture(scope="module")
def expected(data, tmp_path_factory):
    results = tmp_path_factory.mktemp("undisturbed")
    do(board(data, results))
    return outcome(results)


# kill -9 at each stage ---------------------------------------------------------------------------


def at_epoch(phase: str, epoch: int, refit: bool = False):
    def report(entry):
        if (entry["phase"], entry["epoch"], entry.get("refit", False)) == (phase, epoch, refit):
            die()

    return report


def dies(*_, **__):
    die()


def half_written(stream, **arrays):
    stream.write(b"PK\x03\x04 half")
    stream.flush()
    die()


def replace_but(name: str, before: bool):
    """`os.replace` that dies before or after a file of that suffix takes its place."""
    really = os.replace

    def replace(source, target):
        if str(target).endswith(name) and before:
            die()
        really(source, target)
        if str(target).endswith(name):
            die()

    return replace


def record_named(one: Board) -> str:
    return f"{one.planned[0].run.spec.id}.json"


STAGES = {
    "first search": lambda m, b: at_epoch("search", 1),
    "retraining": lambda m, b: at_epoch("retrain", 1),
    "search of the refit": lambda m, b: at_epoch("search", 1, True),
    "retraining of the refit": lambda m, b: at_epoch("retrain", 1, True),
    "before the first checkpoint": lambda m, b: m.setattr(loop.Fit, "_save", dies),
    "writing a checkpoint": lambda m, b: m.setattr(
        os, "replace", replace_but(".safetensors", True)
    ),
    "after a checkpoint": lambda m, b: m.setattr(os, "replace", replace_but(".safetensors", False)),
    "between training and refit": lambda m, b: m.setattr(
        os, "replace", replace_but("selected.json", False)
    ),
    "packing": lambda m, b: m.setattr(file.safetensors.torch, "load", dies),
    "evaluation": lambda m, b: m.setattr(ranking, "rank", dies),
    "writing half of the arrays": lambda m, b: m.setattr(np, "savez_compressed", half_written),
    "replacing the arrays": lambda m, b: m.setattr(os, "replace", replace_but(".npz", True)),
    "between arrays and record": lambda m, b: m.setattr(os, "replace", replace_but(".npz", False)),
    "replacing the record": lambda m, b: m.setattr(
        os, "replace", replace_but(record_named(b), True)
    ),
    "after the record": lambda m, b: m.setattr(os, "replace", replace_but(record_named(b), False)),
}


@pytest.mark.parametrize("stage", STAGES)
def test_killed_at_any_stage_a_run_ends_like_an_unbroken_one(stage, data, tmp_path, expected):
    one = board(data, tmp_path)

    def killed():
        with pytest.MonkeyPatch.context() as patch:
            do(one, STAGES[stage](patch, one) or (lambda entry: None))

    for _ in range(2):
        if stage == "after the record" and finished(one.planned, one.store):
            break
        assert in_child(killed) == -signal.SIGKILL
        found = outcome(tmp_path)  # never half a record
        assert found in ({}, expected)
    again = board(data, tmp_path)
    done = finished(again.planned, again.store)
    tidy(again.planned, done, again.store)
    epochs = []
    if not done:
        do(again, epochs.append)
    assert outcome(tmp_path) == expected
    assert litter(tmp_path) == []
    if "refit" in stage and stage != "between training and refit":
        assert all(entry["refit"] for entry in epochs)  # the first training is not repeated
    if stage == "after the record":
        assert done


def test_checkpoint_of_a_finished_run_is_removed_at_the_next_start(data, tmp_path, expected):
    one = board(data, tmp_path)
    do(one)
    left = one.store.work(one.planned[0].run.spec.id)
    write_atomic(left, lambda stream: stream.write(b"x"))
    one.run()
    assert one.events("start") == []
    assert litter(tmp_path) == []


def test_leases_of_a_driver_that_was_killed_go_when_its_workers_have_done_all(data, tmp_path):
    one = board(data, tmp_path)
    do(one)

    def killed():
        with Leases(tmp_path / WORK / LEASES) as leases:
            leases.take(one.planned[0].run.spec.id)
            die()

    assert in_child(killed) == -signal.SIGKILL
    assert len(litter(tmp_path)) == 2
    one.run()
    assert one.events("start") == []
    assert litter(tmp_path) == []


# Disks -------------------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path) -> Iterator[Path]:
    """A file system of 96 KB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(folder)]
    try:
        made = subprocess.run(words, capture_output=True, text=True)
    except OSError as error:
        pytest.skip(f"cannot mount: {error}")
    if made.returncode:
        pytest.skip(f"cannot mount: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


@pytest.mark.parametrize("room", [0, 4096, 12288])
def test_full_disk_fails_no_run_and_leaves_nothing_half_written(room, data, disk, expected):
    filler = disk / "filler"
    one = board(data, disk / "r")
    with filler.open("wb") as stream:
        try:
            while True:
                os.write(stream.fileno(), bytes(4096))
        except OSError as error:
            assert error.errno == errno.ENOSPC
        stream.truncate(stream.tell() - room)
    with pytest.raises(BenchError, match=r"No space left on device; make room or name another"):
        do(one)
    assert outcome(disk / "r") == {}
    assert [name for name in litter(disk / "r") if name.endswith(".tmp")] == []
    filler.unlink()
    remount(disk, "size=4m")
    do(one)
    assert outcome(disk / "r") == expected
    assert litter(disk / "r") == []


def test_file_that_grows_over_the_limit_is_a_full_disk(data, tmp_path, expected):
    """Where nothing can be mounted: the kernel refuses to let a file grow."""
    one = board(data, tmp_path)
    said = tmp_path.parent / f"{tmp_path.name}.said"

    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        try:
            do(one)
        except StoreError as error:
            said.write_text(str(error))

    assert in_child(limited) == 0
    assert "File too large; make room or name another folder" in said.read_text()
    assert outcome(tmp_path) == {}
    assert litter(tmp_path) == []
    do(one)
    assert outcome(tmp_path) == expected


def test_read_only_results_are_one_line_before_anything_runs(data, disk):
    one = board(data, disk / "r")
    (disk / "r").mkdir()
    remount(disk, "ro")
    with pytest.raises(StoreError, match="Read-only file system; make room or name another"):
        one.run()
    assert one.told == []


def test_results_where_no_folder_can_be_are_one_line(data, tmp_path):
    one = board(data, Path("/proc/no/such"))
    with pytest.raises(StoreError, match=r"/proc/no/such.*cannot be written"):
        one.run()
    assert one.told == []


# Damaged files -----------------------------------------------------------------------------------


def changed(content: bytes, edit) -> bytes:
    tensors = safetensors.torch.load(content)
    with safetensors_meta(content) as meta:
        state = json.loads(meta["state"])
        edit(tensors, state)
        text = json.dumps(state)
        whole = {"state": text, "crc32": checksum(text, tensors)}
    return safetensors.torch.save(tensors, whole)


class safetensors_meta:  # noqa: N801
    """The metadata of a safetensors file in memory."""

    def __init__(self, content: bytes) -> None:
        length = int.from_bytes(content[:8], "little")
        self.meta = json.loads(content[8 : 8 + length])["__metadata__"]

    def __enter__(self) -> dict:
        return self.meta

    def __exit__(self, *_: object) -> None:
        pass


def wider(tensors, state):
    for name in [n for n in tensors if n.startswith("now.method.")]:
        tensors[name] = torch.zeros(3, 7)


def narrower_best(tensors, state):
    for name in [n for n in tensors if n.startswith("best.method.")]:
        tensors[name] = torch.zeros(1)


def flipped(content: bytes) -> bytes:
    return content[:-40] + bytes([content[-40] ^ 1]) + content[-39:]


def pickled(path: Path) -> bytes:
    """What torch.save writes; reading it as a pickle would create `path`."""

    class Payload:
        def __reduce__(self):
            return (open, (str(path), "w"))

    stream = io.BytesIO()
    torch.save({"state": Payload()}, stream)
    return stream.getvalue()


DAMAGE = {
    "shapes of another table": lambda c: changed(c, wider),
    "best weights of another table": lambda c: changed(c, narrower_best),
    "a tensor less": lambda c: changed(c, lambda t, s: t.pop(min(t))),
    "moments less": lambda c: changed(
        c, lambda t, s: [t.pop(n) for n in list(t) if n.startswith("optimizer.")]
    ),
    "a phase that does not exist": lambda c: changed(c, lambda t, s: s.update(phase=5)),
    "a state of another version": lambda c: changed(c, lambda t, s: s.update(stage=1)),
    "one bit": flipped,
    "the end cut off": lambda c: c[:-9],
    "nothing": lambda c: b"",
    "a header that leases terabytes": lambda c: (2**42).to_bytes(8, "little") + c[8:],
}  # fmt: skip


@pytest.mark.parametrize("name", ["hashing", "cerp"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_checkpoint_is_discarded_with_a_warning(name, damage, tmp_path, caplog):
    whole = make(name, None)
    whole.run()
    checkpoint = tmp_path / "fit.safetensors"

    def stop(entry, seen=[]):  # noqa: B006
        seen.append(entry)
        if len(seen) == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(name, checkpoint, stop).run()
    checkpoint.write_bytes(DAMAGE[damage](checkpoint.read_bytes()))
    fit, epochs = make(name, checkpoint), []
    fit.report = epochs.append
    fit.run()
    assert epochs[0]["epoch"] == 1
    assert f"{checkpoint}: discarded, training starts again" in caplog.text
    assert len(caplog.records) == 1
    for key, tensor in whole.method.state_dict().items():
        assert torch.equal(tensor, fit.method.state_dict()[key])
    clean = [{k: v for k, v in e.items() if k != "seconds"} for e in fit.state.history]
    assert clean == [{k: v for k, v in e.items() if k != "seconds"} for e in whole.state.history]


def edited(text: str, **changes) -> str:
    return json.dumps(json.loads(text) | changes)


SELECTED = {
    "nothing": lambda text: "",
    "noise": lambda text: "\0\0",
    "no phases": lambda text: edited(text, phases=[]),
    "another method's phases": lambda text: edited(
        text, phases=[{"name": "train", "best_epoch": 1, "epochs": 1}]
    ),
    "epochs that are no number": lambda text: edited(
        text,
        phases=[one | {"best_epoch": None, "epochs": "2"} for one in json.loads(text)["phases"]],
    ),
    "seconds that are no number": lambda text: edited(text, seconds="x"),
    "of other code": lambda text: edited(text, origin={"code": "ba9876543210"}),
    "of an earlier version": lambda text: "[[], []]",
    "something else": lambda text: '{"a": 1, "b": 2}',
}


@pytest.mark.parametrize("damage", SELECTED)
def test_damaged_note_of_the_first_training_is_made_again(damage, data, tmp_path, expected):
    one = board(data, tmp_path)

    def killed():
        do(one, at_epoch("search", 1, True))

    assert in_child(killed) == -signal.SIGKILL
    path = one.store.work(one.planned[0].run.spec.id, "selected.json")
    assert path.is_file()
    path.write_text(SELECTED[damage](path.read_text()))
    one.store.work(one.planned[0].run.spec.id).unlink()  # so that the first training has epochs
    epochs = []
    do(one, epochs.append)
    assert "refit" not in epochs[0]
    assert outcome(tmp_path) == expected


RECORDS = {
    "empty": lambda p: p.write_text(""),
    "cut off": lambda p: p.write_text(p.read_text()[:200]),
    "noise": lambda p: p.write_bytes(bytes(range(256))),
    "another id": lambda p: p.write_text(edited(p.read_text(), id="0123456789ab")),
    "another schema": lambda p: p.write_text(edited(p.read_text(), schema=99)),
    "no metrics": lambda p: p.write_text(edited(p.read_text(), metrics=None)),
    "a changed metric": lambda p: p.write_text(
        p.read_text().replace('"ndcg@20": 0.', '"ndcg@20": 0.0')
        if '"ndcg@20": 0.' in p.read_text()
        else p.read_text().replace('"ndcg@20": 1.0', '"ndcg@20": 0.5')
    ),
    "no arrays": lambda p: p.with_suffix(".npz").unlink(),
    "arrays cut off": lambda p: p.with_suffix(".npz").write_bytes(
        p.with_suffix(".npz").read_bytes()[:-30]
    ),
    "arrays of another run": lambda p: np.savez(
        p.with_suffix(".npz"),
        **{"users": np.arange(3), "recall@20": np.full(3, 0.1), "ndcg@20": np.full(3, 0.1)},
    ),
}


@pytest.mark.parametrize("damage", RECORDS)
def test_damaged_record_is_done_again(damage, data, tmp_path, expected):
    one = board(data, tmp_path)
    do(one)
    (path,) = tmp_path.rglob("*.json")
    assert finished(one.planned, one.store)
    RECORDS[damage](path)
    assert not finished(one.planned, one.store)
    reasons = [rejected.reason for rejected in load_board(tmp_path).rejected]
    assert len(reasons) == (damage != "no arrays")
    one.run(workers=1)
    assert [event["id"] for event in one.events("start")] == [one.planned[0].run.spec.id]
    assert outcome(tmp_path) == expected


def test_arrays_with_any_byte_changed_are_refused_or_right(data, tmp_path):
    """Whatever zip and zlib make of damage, the reader says so or reads the true numbers."""
    one = board(data, tmp_path)
    do(one)
    (path,) = tmp_path.rglob("mf/*/*.npz")
    content, rng = path.read_bytes(), np.random.default_rng(0)
    for place in rng.integers(len(content), size=150):
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(bytes(damaged))
        found = load_board(tmp_path)
        assert len(found.records) + len(found.rejected) == 1


# Files that would run code -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["object array", "torch.save", "plain pickle"])
def test_arrays_that_carry_code_are_refused(kind, data, tmp_path):
    one, trap = board(data, tmp_path / "r"), tmp_path / "sprung"
    do(one)
    (path,) = (tmp_path / "r").rglob("mf/*/*.npz")

    class Payload:
        def __reduce__(self):
            return (open, (str(trap), "w"))

    if kind == "object array":
        np.savez(path, users=np.array([Payload()], dtype=object))
    elif kind == "torch.save":
        path.write_bytes(pickled(trap))
    else:
        import pickle

        path.write_bytes(pickle.dumps(Payload()))
    assert not finished(one.planned, one.store)
    assert len(load_board(tmp_path / "r").rejected) == 1
    assert not trap.exists()


@pytest.mark.parametrize("kind", ["torch.save", "zip with a pickle"])
def test_checkpoint_that_carries_code_is_refused(kind, tmp_path, caplog):
    trap, checkpoint = tmp_path / "sprung", tmp_path / "fit.safetensors"
    if kind == "torch.save":
        checkpoint.write_bytes(pickled(trap))
    else:
        with zipfile.ZipFile(checkpoint, "w") as archive:
            archive.writestr("data.pkl", pickled(trap))
    make("hashing", checkpoint).run()
    assert "discarded" in caplog.text
    assert not trap.exists()


# Loss, clocks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_loss_that_is_no_number_is_a_failed_record_with_a_remedy(value, data, tmp_path):
    one = Board(data, tmp_path, ("dims",), 1)
    one.planned = [p for p in one.planned if p.run.spec.training]
    (run,) = one.planned
    kind = one.methods[run.run.spec.method.name]
    broken = type(
        "Broken", (kind,), {"forward": lambda s, i, f=kind.forward: f(s, i) * float(value)}
    )
    methods = one.methods | {run.run.spec.method.name: broken}
    judge = JudgeHere(one.data, methods)
    record = execute(run.run, one.data, methods, one.store, judge).stored()
    assert record["status"] == "failed"
    assert record["error"]["type"] == "Diverged"
    assert record["error"]["message"] == "loss is nan in epoch 1 of phase train; lower lr"
    assert [r.status for r in scan(tmp_path).records] == ["failed"]
    assert litter(tmp_path) == []


def test_clock_that_goes_backwards_changes_nothing(data, tmp_path, expected, monkeypatch):
    days = iter(range(0, 10**9, 86400))

    class Backwards(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2026, 1, 1, tzinfo=timezone.utc) - timedelta(seconds=next(days))

    times = iter(range(10**9, 0, -3600))
    monkeypatch.setattr(environment, "datetime", Backwards)
    monkeypatch.setattr("time.time", lambda: float(next(times)))
    monkeypatch.setattr("time.time_ns", lambda: next(times) * 10**9)
    one = board(data, tmp_path)
    one.store.root.mkdir(exist_ok=True)
    one.store.sweep()
    record = do(one)
    assert record.finished < record.started
    assert record.timings.total_s >= 0
    assert outcome(tmp_path) == expected
    assert finished(one.planned, one.store)
    assert load_board(tmp_path).rejected == ()


# Temporary files ---------------------------------------------------------------------------------


def test_sweep_takes_what_the_dead_left_and_nothing_else(tmp_path):
    store = Store(tmp_path)
    folder = tmp_path / "s" / "mf" / "m"

    def half(stream):
        stream.write(b"half")
        stream.flush()
        die()

    assert in_child(lambda: write_atomic(folder / "dead.json", half)) == -signal.SIGKILL
    (dead,) = folder.iterdir()
    others = [
        folder / f".{'0' * 12}-1-1.fresh.tmp",  # of another machine, a moment ago
        folder / ".unknown.tmp",
        folder / "kept.tmp",
        folder / "record.json",
    ]
    for path in others:
        path.write_text("")
    old = folder / f".{'0' * 12}-1-1.old.tmp"
    old.write_text("")
    os.utime(old, (1.0, 1.0))
    seen = []

    def mine(stream):
        store.sweep()
        seen.extend(folder.glob(".*.tmp"))

    write_atomic(folder / "mine.json", mine)
    assert not dead.exists()
    assert not old.exists()
    assert all(path.exists() for path in others)
    assert len(seen) == 3  # its own, too, stayed while it was written
    store.sweep()
    Store(tmp_path / "absent").sweep()


# Plugins -----------------------------------------------------------------------------------------

HONEST = """
import torch
from bench.method import Method, Rows

class Bad(Method):
    name = title = "bad"
    class Config(Method.Config):
        rows: int = 0
    @classmethod
    def plan(cls, table, config):
        return cls.solve("rows", table, config, low=2, high=table.ids)
    def build(self): self.stored = Rows(self.config.rows, self.table.dim)
    def reset(self, generator): self.stored.normal(self.table.std, generator)
    def forward(self, ids): return self.stored(ids % self.config.rows)
"""
UNPLANNED = {
    "builds wrongly": ("    def build(self): raise KeyError('x')\n", "KeyError"),
    "raises when it is packed": (
        "    def pack(self): raise RuntimeError('lost it')\n",
        "RuntimeError: lost it",
    ),
    "packs what cannot be stored": (
        "    def pack(self): return {'w': [1, 2]}\n",
        "AttributeError",
    ),
    "divides by zero": ("    @classmethod\n    def plan(cls, table, config): 1 // 0\n", "ZeroDiv"),
}
PLUGINS = {
    "raises in its penalty": (
        "    def penalty(self, rows, progress): raise ArithmeticError('too much')\n",
        "ArithmeticError",
        "too much",
    ),
    "raises when it is read back": (
        "    @classmethod\n    def unpack(cls, packed, table, config): raise OSError('gone')\n",
        "OSError",
        "gone",
    ),
    "overshoots its budget": (
        "    @classmethod\n    def plan(cls, table, config): return config.but(rows=table.ids)\n",
        "OverBudget",
        "more than its budget of",
    ),
    "lies about its size": (
        "    @classmethod\n    def arrays(cls, table, config):\n"
        "        return {'stored.weight': (torch.float32, (2, table.dim))}\n",
        "OverBudget",
        "more than its budget of",
    ),
    "returns rows of another width": (
        "    def forward(self, ids): return self.stored(ids % self.config.rows)[..., :-1]\n",
        "",
        "",
    ),
    "returns another number of rows": (
        "    def forward(self, ids): return self.stored(ids % self.config.rows)[:-1]\n",
        "",
        "",
    ),
    "returns nothing": ("    def forward(self, ids): return None\n", "", ""),
    "returns numbers that are not finite": (
        "    def forward(self, ids): return self.stored(ids % self.config.rows) / 0\n",
        "Diverged",
        "lower lr",
    ),
    "uses up its memory": (
        "    def begin(self, phase, progress, lr): raise MemoryError('out of memory')\n",
        "MemoryError",
        "out of memory",
    ),
}


@pytest.mark.parametrize("fault", PLUGINS)
def test_plugin_that_breaks_its_contract_is_a_failed_record(fault, data, tmp_path):
    body, kind, message = PLUGINS[fault]
    plugin = tmp_path / "bad.py"
    plugin.write_text(HONEST + body)
    one = Board(data, tmp_path / "r", ("bad", "dims"), 1, (plugin,))
    for each in one.planned:
        execute(each.run, one.data, one.methods, one.store, JudgeHere(one.data, one.methods))
    found = {r["method"]["name"]: r for r, _ in outcome(tmp_path / "r").values()}
    assert {name: r["status"] for name, r in found.items()} == {
        "bad": "failed",
        "dims": "ok",
        "popularity": "ok",
    }
    error = found["bad"]["error"]
    assert error["type"].startswith(kind)
    assert message in error["message"]
    assert error["message"]
    assert "Traceback" in error["traceback"]
    assert found["bad"]["metrics"] is None
    assert scan(tmp_path / "r").rejected == ()
    assert litter(tmp_path / "r") == []


@pytest.mark.parametrize("fault", UNPLANNED)
def test_plugin_that_breaks_while_it_is_planned_is_one_line(
    fault, data, tmp_path, capsys, monkeypatch
):
    body, message = UNPLANNED[fault]
    plugin = tmp_path / "bad.py"
    plugin.write_text(HONEST + body)
    words = ["bench", "leaderboard", "-d", data, "-m", "bad", "--plugin", plugin, "--dry-run"]
    monkeypatch.setattr(sys, "argv", [str(word) for word in words])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert said.startswith("error: bad: ")
    assert message in said
    assert len(said.splitlines()) == 1


# Determinism -------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2])
def test_equal_commands_give_equal_records_but_for_times(threads, data, tmp_path):
    """With 1 and with 2 threads; not in a fork, which would wait for threads that it has not."""
    records, before = [], torch.get_num_threads()
    for attempt in ("a", "b"):
        torch.set_num_threads(threads)
        try:
            do(board(data, tmp_path / attempt))
        finally:
            torch.set_num_threads(before)
        (path,) = (tmp_path / attempt).rglob("*.json")
        records.append(timeless(json.loads(path.read_text())))
    assert records[0] == records[1]


# The note ----------------------------------------------------------------------------------------


@pytest.mark.skipif(not NOTE.is_file(), reason="needs a checkout")
def test_the_note_names_what_is_tested():
    named = set(re.findall(r"`(test_\w+)`", NOTE.read_text(encoding="utf-8")))
    there = {
        path: set(re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.M))
        for path in Path(__file__).parent.parent.rglob("test_*.py")
    }
    files = {path.stem for path in there}
    assert named <= files | set().union(*there.values())
    assert there[Path(__file__)] - named == {"test_the_note_names_what_is_tested"}
