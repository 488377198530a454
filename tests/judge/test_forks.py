"""Starting processes: Ctrl-C does not break a start off."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from bench.judge.forks import undisturbed

SIGNALS = (signal.SIGINT, signal.SIGTERM)


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
    """Signals raise, also where a shell runs the tests in the background and ignores Ctrl-C."""
    before = {one: signal.signal(one, signal.default_int_handler) for one in SIGNALS}
    yield
    for one, handler in before.items():
        signal.signal(one, handler)


@pytest.mark.usefixtures("other_thread", "stops_python")
@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("depth", [1, 2])
def test_a_signal_takes_effect_when_a_process_has_started(depth, number):
    before, ended = signal.getsignal(number), []

    def start(depth):
        with undisturbed():
            if depth > 1:
                start(depth - 1)
            os.kill(os.getpid(), number)
            time.sleep(0.1)
            ended.append(depth)

    with pytest.raises(KeyboardInterrupt):
        start(depth)
    assert ended == list(range(1, depth + 1))
    assert signal.getsignal(number) is before
    assert number not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with undisturbed():
        pass  # nothing is left of it
