"""Freed memory is kept where the C library lets us, and only then."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_FAULTS = """
import resource
import sys
import numpy as np
from bench.engine.malloc import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
np.ones(8_000_000)  # 64 MB: glibc keeps up to 32 MiB by itself, once it has seen them freed
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(8_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_an_array_takes_the_place_of_a_freed_one_without_new_pages():
    def faults(how: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", _FAULTS, how], capture_output=True, text=True, check=True
        )
        return int(done.stdout)

    # 20 arrays of 15,625 pages, or of 30 huge ones, where NumPy asks for those and gets them.
    assert faults("keep") < 30
    assert faults("give back") >= 20 * 30


_HOLES = """
import numpy as np
from bench.engine.malloc import keep_freed_memory, memory_returner

def held():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6

assert keep_freed_memory()
give_back = memory_returner()
arrays = [np.ones(125_000) for _ in range(200)]  # 1 MB each
kept = arrays[::10]  # between them, so that the heap has holes
before = held()
del arrays
between = held()
give_back()
print(before - between, before - held())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_freed_memory_between_arrays_goes_back_between_runs():
    done = subprocess.run(
        [sys.executable, "-c", _HOLES], capture_output=True, text=True, check=True
    )
    kept, given_back = map(float, done.stdout.split())
    assert kept < 20
    assert given_back > 150  # of 180 MB


_CIRCLE = """
import gc
import weakref
from bench.engine.malloc import memory_returner

class Run:
    pass

gc.disable()  # Python would collect it sooner or later
run = Run()
run.itself, seen = run, weakref.ref(run)
del run
assert seen() is not None
memory_returner()()
assert seen() is None
"""


def test_a_run_that_refers_to_itself_is_freed_between_runs():
    subprocess.run([sys.executable, "-c", _CIRCLE], check=True)


def test_another_system_is_left_alone(monkeypatch):
    from bench.engine.malloc import keep_freed_memory

    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory() is False
