"""What the code of a method cannot do: start processes, reach others, see the environment."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import sys
from multiprocessing.connection import Pipe
from pathlib import Path

import pytest
from support.faults import in_child

from bench.judge.guard import NotAllowed, guard_reading, guard_training
from bench.judge.server import main

FALSE = "/bin/false"  # were it started, it would end the child in error
STARTS = {
    "fork": os.fork,
    "exec": lambda: os.execv(FALSE, [FALSE]),
    "spawn": lambda: os.posix_spawn(FALSE, [FALSE], {}),
    "shell": lambda: os.system(FALSE),
    "subprocess": lambda: subprocess.run([FALSE]),
    "terminal": lambda: pty.spawn([FALSE]),
}
CONNECTS = {
    "connect": lambda: socket.socket().connect(("127.0.0.1", 9)),
    "bind": lambda: socket.socket().bind(("127.0.0.1", 0)),
}


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("guard", [guard_reading, guard_training])
def test_no_process_can_be_started(guard, start):
    def work():
        guard([])
        with pytest.raises(NotAllowed, match="no process can be started there"):
            STARTS[start]()

    assert in_child(work) == 0


@pytest.mark.parametrize("connect", CONNECTS)
def test_what_reads_a_file_has_no_network(connect):
    def work():
        guard_reading([])
        with pytest.raises(NotAllowed, match="was called while the file of a method is read"):
            CONNECTS[connect]()

    assert in_child(work) == 0


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux's /proc")
def test_what_reads_a_file_sees_no_environment_of_the_start():
    def work():
        guard_reading([])
        Path("/proc/self/status").read_bytes()
        for pid in ("self", os.getpid()):
            with pytest.raises(NotAllowed, match="environ was opened"):
                Path(f"/proc/{pid}/environ").read_bytes()

    assert in_child(work) == 0


def test_no_bytecode_is_written_in_training(tmp_path):
    (tmp_path / "beside.py").write_text("FOUND = True\n")

    def work():
        sys.dont_write_bytecode = False
        sys.pycache_prefix = None
        sys.path.insert(0, str(tmp_path))
        guard_training([])
        import beside

        assert beside.FOUND

    assert in_child(work) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["beside.py"]


def test_the_judge_has_few_variables_of_the_environment(tmp_path, monkeypatch):
    """Forked from a process that may have all of them, it takes those that it needs."""
    monkeypatch.setenv("TOKEN", "of the command")
    outside = {"PATH": "/bin", "OMP_NUM_THREADS": "1", "TOKEN": "t", "BENCH_DATA": "/data"}
    ours, theirs = Pipe()
    ours.close()

    def work():
        main(theirs, str(tmp_path), outside)
        folder = str(tmp_path)
        assert dict(os.environ) == {
            "PATH": "/bin", "OMP_NUM_THREADS": "1", "HOME": folder, "TMPDIR": folder
        }  # fmt: skip

    assert in_child(work) == 0
    theirs.close()
