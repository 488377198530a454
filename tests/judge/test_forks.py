"""Starting processes: Ctrl-C does not break a start off."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from bench.judge.forks import undisturbed


@pytest.fixture
def other_thread():
    """A second thread, which may take a signal that the first one blocks."""
    release = threading.Event()
    thread = threading.Thread(target=release.wait)
    thread.start()
    yield
    release.set()
    thread.join()


@pytest.fixture
def stops_python():
    """Ctrl-C raises, also where the tests run in the background of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("other_thread", "stops_python")
@pytest.mark.parametrize("depth", [1, 2])
def test_ctrl_c_takes_effect_when_a_process_has_started(depth):
    before, ended = signal.getsignal(signal.SIGINT), []

    def start(depth):
        with undisturbed():
            if depth > 1:
                start(depth - 1)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)
            ended.append(depth)

    with pytest.raises(KeyboardInterrupt):
        start(depth)
    assert ended == list(range(1, depth + 1))
    assert signal.getsignal(signal.SIGINT) is before
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with undisturbed():
        pass  # nothing is left of it
